"""Exercises: their solutions must be accepted, and listed wrong answers refused with their reasons.

`kmskit.notebook` says how an exercise is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from nbclient.client import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from kmskit.notebook import Verdict
from kmskit.testing.notebooks.kernel import client

__all__ = ["SOLUTION", "Exercise", "ExerciseError", "find", "try_all"]

SOLUTION = re.compile(r"<details>.*?^```python\n(.*?)^```.*?</details>", re.DOTALL | re.MULTILINE)
_RIGHT = repr(Verdict())
_UNTRIED = repr(Verdict(tried=False))
_WRONG = repr(Verdict(reason="?")).removesuffix("?")


class ExerciseError(Exception):
    """An exercise is not written as it must be."""


@dataclass(frozen=True, slots=True)
class Exercise:
    """Where an exercise is in the notebook's list of cells, and which answers it takes.

    Attributes:
        cell: the index of the exercise's cell.
        check: the index of the check's cell.
        solution: the source of an exercise cell that is right.
        wrong: pairs (source of an exercise cell that is wrong, a part of the reason).
    """

    cell: int
    check: int
    solution: str
    wrong: tuple[tuple[str, str], ...]


def find(notebook: NotebookNode) -> list[Exercise]:
    """The exercises of a notebook.

    Raises:
        ExerciseError: a cell, a solution or the wrong answers are missing or out of place.
    """
    exercises = [_read(notebook, index) for index, cell in enumerate(notebook.cells) if _tagged(cell, "exercise")]
    stray = {index for index, cell in enumerate(notebook.cells) if _tagged(cell, "check")}
    if stray - {exercise.check for exercise in exercises}:
        raise ExerciseError("a cell tagged check does not follow a cell tagged exercise")
    return exercises


def _read(notebook: NotebookNode, index: int) -> Exercise:
    cell, following = notebook.cells[index], list(enumerate(notebook.cells))[index + 1 :]
    check, after = next(((i, cell) for i, cell in following if cell.cell_type == "code"), (0, None))
    if after is None or not _tagged(after, "check"):
        raise ExerciseError(f"{_name(cell)}: the next code cell is not tagged check")
    if "..." not in cell.source:
        raise ExerciseError(f"{_name(cell)}: there is no ... for the answer")
    solution = None
    for _, candidate in following[check - index :]:
        if candidate.cell_type != "markdown":
            break
        solution = solution or SOLUTION.search(candidate.source)
    if solution is None:
        raise ExerciseError(f"{_name(cell)}: no python fence inside <details> follows its check")
    try:
        wrong = tuple((entry["answer"], entry["reason"]) for entry in cell.metadata["kmskit"]["wrong"])
    except (KeyError, TypeError):
        wrong = ()
    if not wrong or not all(answer.strip() and reason.strip() for answer, reason in wrong):
        raise ExerciseError(f"{_name(cell)}: its metadata lists no wrong answers with reasons, at kmskit.wrong")
    return Exercise(index, check, solution[1].rstrip(), wrong)


def try_all(path: Path, notebook: NotebookNode, timeout: float) -> list[str]:
    """Run a notebook once; at each exercise try no answer, the wrong answers and last the solution.

    Args:
        path: the notebook's file; its cells run in that folder.
        notebook: as nbformat reads it; it is not changed.
        timeout: for each cell, in seconds.

    Returns:
        what is wrong, one text each.

    Raises:
        ExerciseError: an exercise is not written as it must be.
        nbclient.exceptions.CellExecutionError: a cell in front of an exercise raised an error.
    """
    notebook = deepcopy(notebook)
    exercises = {exercise.cell: exercise for exercise in find(notebook)}
    done = {exercise.check for exercise in exercises.values()}
    found: list[str] = []
    with client(notebook, path.parent, timeout) as running:
        for index, cell in enumerate(list(notebook.cells)):
            if index in exercises:
                found += _try(running, exercises[index])
            elif index not in done and index < max(done):
                running.execute_cell(cell, index)
    return found


def _try(running: NotebookClient, exercise: Exercise) -> Iterator[str]:
    stored = running.nb.cells[exercise.cell]
    name = _name(stored)
    shown = _verdict(running, exercise, stored.source)
    if not shown.startswith((_UNTRIED, _WRONG)):
        yield f"{name}: it is stored without an answer, and its check shows:\n{shown}"
    for answer, reason in exercise.wrong:
        shown = _verdict(running, exercise, answer)
        if not (shown.startswith(_WRONG) and reason in shown):
            yield f"{name}: wrong, because {reason!r}, is the answer\n{answer}\nand its check shows:\n{shown}"
    shown = _verdict(running, exercise, exercise.solution)
    if shown.partition(":")[0] != _RIGHT:
        yield f"{name}: right is the solution\n{exercise.solution}\nand its check shows:\n{shown}"


def _verdict(running: NotebookClient, exercise: Exercise, answer: str) -> str:
    """What the check shows for an answer, as text."""
    try:
        running.execute_cell(_with_source(running.nb.cells[exercise.cell], answer), exercise.cell)
        check = running.execute_cell(running.nb.cells[exercise.check], exercise.check)
    except CellExecutionError as error:
        return f"{error.ename}: {error.evalue}"
    shown = [output.data.get("text/plain", "") for output in check.outputs if "data" in output]
    return str(shown[-1]) if shown else "nothing"


def _with_source(cell: NotebookNode, source: str) -> NotebookNode:
    changed = deepcopy(cell)
    changed.source = source
    return changed


def _tagged(cell: NotebookNode, tag: str) -> bool:
    return cell.cell_type == "code" and tag in cell.metadata.get("tags", ())


def _name(cell: NotebookNode) -> str:
    return f"the exercise {cell.source.splitlines()[0]!r}" if cell.source.strip() else "an empty exercise"
