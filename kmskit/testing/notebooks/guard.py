"""What would make a green notebook mean nothing, or make it unfit to publish.

A notebook without outputs passes nbval, since there is nothing to compare. So the guard requires of a stored notebook
that it was run from top to bottom, that next to nothing is left out of the comparison, and that its outputs hold no
path of someone's machine, no memory address, no traceback and no secret.
"""

from __future__ import annotations

import operator
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

from nbformat import NotebookNode
from nbval.plugin import find_comment_markers, find_metadata_tags

from kmskit.testing.notebooks.outputs import Rules, says_something, texts

__all__ = ["Limits", "Measure", "code_cells", "faults", "measure"]

_UNFIT = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "an access key id": re.compile(r"\bLTAI[0-9A-Za-z]{8,}"),
    "a memory address": re.compile(r"\b0x[0-9a-fA-F]{8,16}\b"),
    "a path of someone's machine": re.compile(
        r"(?<![\w./-])/(?:home|Users|root|tmp|var/folders)/\w|\b[A-Z]:\\{1,2}Users\b"
    ),
}
_SECRETS = ("a private key", "an access key id")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a notebook must keep to.

    Attributes:
        ignored: cells that may be marked to be skipped or left out of the comparison.
        lines: of a code cell.
        compared: the least part, in per cent, of the cells that print whose output is compared.
        silent: the largest part, in per cent, of the code cells that prints nothing.
    """

    ignored: int = 0
    lines: int = 8
    compared: int = 90
    silent: int = 35


@dataclass(frozen=True, slots=True)
class Measure:
    """How much of a notebook is compared, in numbers of code cells."""

    cells: int
    printing: int
    compared: int
    ignored: int

    @property
    def silent(self) -> int:
        return self.cells - self.printing

    def __add__(self, other: Measure) -> Measure:
        """Of two notebooks together."""
        return Measure(*map(operator.add, astuple(self), astuple(other)))


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def measure(notebook: NotebookNode, rules: Rules) -> Measure:
    """Count. A cell is compared if nothing exempts it and its output is more than masked values and pictures."""
    cells = code_cells(notebook)
    printing = [cell for cell in cells if cell.outputs]
    compared = [
        cell for cell in printing if not _ignored(cell) and any(says_something(one, rules) for one in cell.outputs)
    ]
    return Measure(len(cells), len(printing), len(compared), sum(map(_ignored, cells)))


def faults(notebook: NotebookNode, limits: Limits, rules: Rules, places: tuple[Path, ...] = ()) -> list[str]:
    """What is wrong with a stored notebook, one sentence each.

    Args:
        notebook: as nbformat reads it.
        limits: what it must keep to.
        rules: what is masked before outputs are compared.
        places: folders that no output may name, beside those of this machine and user.
    """
    found = [*_of_the_whole(notebook, limits, measure(notebook, rules))]
    paths = _local_paths(places)
    # Cells are numbered as nbval numbers them, so that both speak of the same one.
    for number, cell in enumerate(code_cells(notebook)):
        found += (f"Cell {number}: {fault}" for fault in _of_a_cell(cell, limits, paths))
    return found


def _of_the_whole(notebook: NotebookNode, limits: Limits, found: Measure) -> Iterator[str]:
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if counts != list(range(1, found.cells + 1)):
        yield f"its execution counts are {counts}, not 1 to {found.cells}: run it from top to bottom and store it"
    if not found.printing:
        yield "no cell has an output, so nothing is compared"
    elif found.compared * 100 < limits.compared * found.printing:
        yield f"{found.compared} of {found.printing} printing cells are compared; {limits.compared} % are expected"
    if found.silent * 100 > limits.silent * found.cells:
        yield f"{found.silent} of {found.cells} code cells print nothing; at most {limits.silent} % may"
    if found.ignored > limits.ignored:
        yield f"{found.ignored} cells are marked to be ignored or skipped; the budget is {limits.ignored}"


def _of_a_cell(cell: NotebookNode, limits: Limits, paths: re.Pattern[str]) -> Iterator[str]:
    lines = len(cell.source.splitlines())
    if not cell.source.strip():
        yield "it is empty"
    if lines > limits.lines:
        yield f"it has {lines} lines; at most {limits.lines} are read at a glance"
    if _options(cell).get("check_exception") or any(output.output_type == "error" for output in cell.outputs):
        yield "it shows a traceback, which is not compared; show an expected failure with kmskit.notebook.refused"
    for name in _SECRETS:
        if _UNFIT[name].search(cell.source):
            yield f"its source holds {name}"
    for output in cell.outputs:
        shown = "\n".join(texts(output))
        if not shown.strip() and output.output_type == "stream":
            yield "it has an output without content"
        for name, pattern in _UNFIT.items():
            if pattern.search(shown):
                yield f"its output holds {name}"
        if "Traceback (most recent call last)" in shown:
            yield "its output holds a traceback"
        if paths.search(shown):
            yield "its output holds a path of this machine"


def _ignored(cell: NotebookNode) -> bool:
    options = _options(cell)
    return bool(options.get("skip")) or options.get("check") is False


def _options(cell: NotebookNode) -> dict[str, bool]:
    """What nbval was told about the cell, by tags and by comments."""
    return {**dict(find_metadata_tags(cell.metadata)), **dict(find_comment_markers(cell.source))}


def _local_paths(places: tuple[Path, ...]) -> re.Pattern[str]:
    folders = {Path.home(), Path.cwd(), Path(tempfile.gettempdir()), Path(sys.prefix), *places}
    names = sorted(str(folder.absolute()) for folder in folders if folder.absolute() != Path(folder.absolute().anchor))
    return re.compile("|".join(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])" for name in names))
