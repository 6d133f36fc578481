"""Handouts: what students must not see is gone, what they need is there, and what they have written is never lost."""

from __future__ import annotations

import json
import os
import re
import subprocess
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

import kmskit
from kmskit.testing.notebooks import handout
from kmskit.testing.notebooks.exercises import ExerciseError, find, try_all
from kmskit.testing.notebooks.handout import HandoutError, contents, for_students, write
from kmskit.testing.notebooks.kernel import same_for_everyone
from kmskit.testing.notebooks.store import execute
from tests.testing.notebooks.making import SOLUTION, code, exercise, notebook, prints, run
from tests.testing.notebooks.making import write as store

ROOT = Path(kmskit.__file__).parents[1]
COURSE = sorted((ROOT / "notebooks").glob("*.ipynb"))
WRONG = ("number = 3", "too small")


def made() -> NotebookNode:
    """Two exercises, of which the second tells more around its solution, and a cell that belongs to none."""
    around = f"**Think first.**\n\n{SOLUTION}\n\nEleven is the first."
    return notebook(
        new_markdown_cell("# Title\n\n<details><summary>More</summary>\n\n```python\nnumber = 10\n```\n\n</details>"),
        *exercise(WRONG),
        prints(),
        *exercise(WRONG, solution=around),
        new_markdown_cell("## Summary"),
    )


def sources(of: NotebookNode, kind: str) -> list[str]:
    return [cell.source for cell in of.cells if cell.cell_type == kind]


def test_solutions_wrong_answers_and_outputs_are_gone_and_all_else_is_there() -> None:
    before = made()
    kept = deepcopy(before)
    after = for_students(before)
    assert before == kept
    assert sources(after, "code") == sources(before, "code")
    assert sources(after, "markdown") == [
        before.cells[0].source,
        "**Think first.**\n\n\n\nEleven is the first.",
        "## Summary",
    ]
    for cell in after.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
            assert "kmskit" not in cell.metadata
    assert [cell.metadata.tags for cell in after.cells if "tags" in cell.metadata] == [["exercise"], ["check"]] * 2


def test_a_check_still_refuses_wrong_answers_and_takes_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    before, after = made(), for_students(made())
    for old, new in zip(find(before), [cell for cell in after.cells if "exercise" in str(cell.metadata)], strict=True):
        new.metadata["kmskit"] = before.cells[old.cell].metadata["kmskit"]
    positions = [at for at, cell in enumerate(after.cells) if "check" in cell.metadata.get("tags", ())]
    for at in reversed(positions):
        after.cells.insert(at + 1, new_markdown_cell(SOLUTION))
    assert len(find(after)) == 2
    with same_for_everyone():
        assert try_all(tmp_path / "book.ipynb", after, 30) == []


def test_an_exercise_that_is_not_as_it_must_be_might_keep_its_solution_so_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path / "book.ipynb", notebook(*exercise(WRONG)[:3], prints(), *exercise(WRONG)[3:]))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExerciseError, match=r"^book\.ipynb: .*no python fence"):
        contents([tmp_path / "book.ipynb"])


def tell_tales(path: Path) -> set[str]:
    """Lines of a notebook's solutions and wrong answers that stand nowhere else in it."""
    before = nbformat.read(path, as_version=4)
    answers = [
        line.strip()
        for one in find(before)
        for text in (one.solution, *(answer for answer, _ in one.wrong))
        for line in text.splitlines()
    ]
    elsewhere = "\n".join(sources(before, "code"))
    elsewhere += re.sub(r"<details>.*?</details>", "", "\n".join(sources(before, "markdown")), flags=re.DOTALL)
    return {line for line in answers if len(line) > 11 and line not in elsewhere}


@pytest.mark.parametrize("path", COURSE, ids=lambda path: path.stem)
def test_nothing_of_a_solution_is_left_in_the_course(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (content,) = contents([path]).values()
    after = nbformat.reads(content.decode(), as_version=4)
    text = "\n".join(value for cell in after.cells for value in (cell.source, json.dumps(cell.metadata)))
    if find(nbformat.read(path, as_version=4)):
        assert tell_tales(path)
    assert not [line for line in tell_tales(path) if line in text]
    assert "<summary>Solution" not in text
    assert sources(after, "code") == sources(nbformat.read(path, as_version=4), "code")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of one notebook, which reads data, in the working directory."""
    (tmp_path / "notebooks" / ".ipynb_checkpoints").mkdir(parents=True)
    (tmp_path / "notebooks" / ".ipynb_checkpoints" / "book.ipynb").write_text("half a notebook")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.csv").write_bytes(b"1,2\r\n")
    store(tmp_path / "notebooks" / "book.ipynb", notebook(code("open('../data/rows.csv').read()"), *exercise(WRONG)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def held(out: Path) -> set[str]:
    return {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}


def test_every_file_has_the_same_place_in_the_handout(folder: Path) -> None:
    done = run("kmskit.testing.notebooks.handout", "out", "notebooks", "data", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "out: 1 notebooks without solutions and outputs, 1 files\n"
    assert held(folder / "out") == {".handout.json", "notebooks/book.ipynb", "data/rows.csv"}
    assert (folder / "out" / "data" / "rows.csv").read_bytes() == b"1,2\r\n"


def test_a_handout_is_made_anew_as_long_as_nobody_has_changed_it(folder: Path) -> None:
    out, both = folder / "out", [Path("notebooks"), Path("data")]
    write(out, contents(both))
    (folder / "data" / "rows.csv").write_text("3,4")
    write(out, contents(both))
    assert (out / "data" / "rows.csv").read_text() == "3,4"
    write(out, contents(both[:1]))
    assert held(out) == {".handout.json", "notebooks/book.ipynb"}
    (out / "notebooks" / "mine.ipynb").write_text("a student's own")
    (out / "notebooks" / "book.ipynb").unlink()
    write(out, contents(both))
    assert (out / "notebooks" / "mine.ipynb").exists()


@pytest.mark.parametrize("change", ["edit", "link", "folder", "own"])
def test_what_somebody_has_written_is_not_lost(folder: Path, change: str) -> None:
    out = folder / "out"
    if change == "own":  # A folder with files of those names that no handout has written.
        (out / "data").mkdir(parents=True)
        (out / "data" / "rows.csv").write_text("mine")
    else:
        write(out, contents([Path("data")]))
        (out / "data" / "rows.csv").unlink()
    if change == "edit":
        (out / "data" / "rows.csv").write_text("mine")
    if change == "link":
        (out / "data" / "rows.csv").symlink_to(folder / "data" / "rows.csv")
    if change == "folder":
        (out / "data" / "rows.csv").mkdir()
    before = held(out)
    with pytest.raises(HandoutError, match=r"holds changes: data/rows\.csv; nothing was written"):
        write(out, contents([Path("notebooks"), Path("data")]))
    assert held(out) == before
    with pytest.raises(HandoutError, match="holds changes"):  # Nor is it removed, now that it is not wanted.
        write(out, contents([Path("notebooks")]) | ({"data/rows.csv": b"x"} if change == "own" else {}))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["notebooks/out", "notebooks"], "lies inside"),
        ([".", "notebooks"], "holds changes: notebooks/book.ipynb"),
        (["out", "nothing"], "nothing is not there"),
        (["out", "/etc/hostname"], "is not below"),
        (["data/rows.csv", "notebooks"], "no folder"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    before = held(folder)
    monkeypatch.setattr("sys.argv", ["handout", *arguments])
    assert handout.main() == 1
    told = capsys.readouterr().err
    assert reason in told
    assert told.count("\n") == 1
    assert held(folder) == before


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The course's handout, of what the Makefile names."""
    out = tmp_path_factory.mktemp("handout")
    # A make inside of `make test` would say where it is, too.
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "-n", "handout", f"OUT={out}"]
    told = subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True, check=True)
    _, _, paths = told.stdout.replace("\\\n", "").partition(f'"{out}"')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        write(out, contents(map(Path, paths.split())))
    return out


def test_students_get_the_course_and_not_the_test_on_it(given: Path) -> None:
    assert {path.name for path in (given / "notebooks").iterdir()} == {path.name for path in COURSE}
    assert (given / "docs" / "emulator.md").exists()
    assert not (given / "docs" / "teaching.md").exists()


def test_what_notebooks_link_to_is_handed_out_too(given: Path) -> None:
    for path in (given / "notebooks").glob("*.ipynb"):
        for link in re.findall(r"\]\(([^)#\s]+)", "".join(sources(nbformat.read(path, as_version=4), "markdown"))):
            if (ROOT / "notebooks" / link).exists():
                assert (path.parent / link).exists(), (path.name, link)


@pytest.mark.parametrize(
    "name",
    [pytest.param(path.name, marks=() if path.name.startswith("02") else pytest.mark.soak) for path in COURSE],
)
def test_a_handout_runs_from_top_to_bottom(given: Path, name: str) -> None:
    path = given / "notebooks" / name
    with same_for_everyone():
        assert execute(path, 60)
    ran = nbformat.read(path, as_version=4)
    checks = [str(cell.outputs) for cell in ran.cells if "check" in cell.metadata.get("tags", ())]
    assert all("Not tried yet" in shown or "Not right yet" in shown for shown in checks)
