"""`python -m kmskit.testing.notebooks.handout OUT PATH...`: notebooks as students get them, and what these need.

Each path, a file or a folder below the working directory, is copied to the same place below OUT. A notebook loses

- the solutions of its exercises, and the wrong answers that its metadata lists, since they are hints;
- its outputs, since they give the answers to its questions away.

Exercises and checks stay as they are, and a check refuses the same answers as before. A folder that was made in this
way can be made anew; but what somebody has changed in it is never lost: then nothing is written.
"""

from __future__ import annotations

import hashlib
import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from itertools import takewhile
from pathlib import Path

import nbformat
from nbformat import NotebookNode, ValidationError
from nbformat.reader import NotJSONError

from kmskit.testing.notebooks.exercises import SOLUTION, ExerciseError, find

__all__ = ["HandoutError", "contents", "for_students", "write"]

_MANIFEST = ".handout.json"
"""In the folder: path -> SHA-256 of what was written there, so that changes can be told from it."""


class HandoutError(Exception):
    """A handout cannot be made, or not there."""


def for_students(notebook: NotebookNode) -> NotebookNode:
    """The notebook without solutions, wrong answers and outputs.

    Raises:
        ExerciseError: an exercise is not written as it must be, so its solution might stay.
    """
    exercises = find(notebook)
    notebook = deepcopy(notebook)
    for exercise in exercises:
        following = notebook.cells[exercise.check + 1 :]
        for cell in takewhile(lambda cell: cell.cell_type == "markdown", following):
            cell.source = SOLUTION.sub("", cell.source).strip()
        own = notebook.cells[exercise.cell].metadata
        del own.kmskit["wrong"]
        if not own.kmskit:
            del own["kmskit"]
    notebook.cells = [cell for cell in notebook.cells if cell.source]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata.pop("widgets", None)
    return notebook


def contents(paths: Iterable[Path]) -> dict[str, bytes]:
    """What a handout of these paths holds: path below its folder -> content.

    Raises:
        HandoutError: a path is not there, or not below the working directory.
        ExerciseError: as for `for_students`, with the notebook's path.
    """
    here = Path.cwd()
    found: dict[str, bytes] = {}
    for path in paths:
        if not path.resolve().is_relative_to(here):
            raise HandoutError(f"{path} is not below {here}, so it has no place in the handout")
        if not path.exists():
            raise HandoutError(f"{path} is not there")
        for file in _files(path.resolve()):
            name = file.relative_to(here).as_posix()
            found[name] = _content(file, name)
    return found


def _files(path: Path) -> Iterator[Path]:
    """Without what an editor or Python has left, but a hidden file that was named is meant."""
    if path.is_file():
        yield path
        return
    for below in sorted(path.iterdir()):
        if not below.name.startswith((".", "__pycache__")):
            yield from _files(below)


def _content(file: Path, name: str) -> bytes:
    if file.suffix != ".ipynb":
        return file.read_bytes()
    notebook = nbformat.read(file, as_version=4)  # type: ignore[no-untyped-call]
    try:
        made = for_students(notebook)
    except ExerciseError as error:
        raise ExerciseError(f"{name}: {error}") from None
    return f"{nbformat.writes(made)}\n".encode()  # type: ignore[no-untyped-call]


def write(out: Path, wanted: Mapping[str, bytes]) -> None:
    """Write the files into a folder, and remove those that an earlier handout has left there.

    Raises:
        HandoutError: the folder holds something else, which would be lost; nothing was written.
    """
    before = _manifest(out)
    names = sorted({*before, *wanted})
    changed = [name for name in names if _is_changed(out / name, before.get(name), wanted.get(name))]
    if changed:
        raise HandoutError(f"{out} holds changes: {', '.join(changed)}; nothing was written, choose another folder")
    for name in before.keys() - wanted.keys():
        (out / name).unlink(missing_ok=True)
    for name, content in wanted.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    manifest = {name: _digest(content) for name, content in wanted.items()}
    (out / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def _manifest(out: Path) -> dict[str, str]:
    try:
        return dict(json.loads((out / _MANIFEST).read_text()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise HandoutError(f"{out} is no folder that a handout can be written to") from None


def _is_changed(path: Path, before: str | None, wanted: bytes | None) -> bool:
    """Whether something is there that is neither what was written nor what will be."""
    if not path.is_symlink() and not path.exists():
        return False
    if path.is_symlink() or not path.is_file():
        return True
    content = path.read_bytes()
    return content != wanted and _digest(content) != before


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> int:
    parser = ArgumentParser(prog="python -m kmskit.testing.notebooks.handout", description="Notebooks for students.")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write to")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="notebooks, folders and what they need")
    arguments = parser.parse_args()
    out: Path = arguments.out
    try:
        if any(out.resolve().is_relative_to(path.resolve()) for path in arguments.paths):
            raise HandoutError(f"{out} lies inside of what is to be copied")
        wanted = contents(arguments.paths)
        write(out, wanted)
    except (HandoutError, ExerciseError, OSError, NotJSONError, ValidationError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    notebooks = sum(name.endswith(".ipynb") for name in wanted)
    sys.stdout.write(f"{out}: {notebooks} notebooks without solutions and outputs, {len(wanted) - notebooks} files\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
