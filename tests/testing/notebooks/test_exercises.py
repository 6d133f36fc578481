"""Exercises: how they are written, and that wrong answers do not get through."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbformat.v4 import new_markdown_cell

import kmskit
from kmskit.testing.notebooks.exercises import ExerciseError, find, try_all
from kmskit.testing.notebooks.kernel import same_for_everyone
from tests.testing.notebooks.making import code, exercise, notebook, prints

WRONG = ("number = 3", "it is too small")


def test_an_exercise_is_found_with_its_solution_and_wrong_answers() -> None:
    (found,) = find(notebook(prints(), *exercise(WRONG)))
    assert (found.cell, found.check) == (2, 3)
    assert found.solution == "number = 11"
    assert found.wrong == (WRONG,)


def test_a_task_may_stand_between_the_exercise_and_its_check() -> None:
    cells = exercise(WRONG)
    cells.insert(2, new_markdown_cell("Now check it."))
    cells.insert(4, new_markdown_cell("Need help?"))
    assert len(find(notebook(*cells, *exercise(WRONG)))) == 2


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (exercise(WRONG)[:2], "the next code cell is not tagged check"),
        ([*exercise(WRONG)[:2], prints(), *exercise(WRONG)[2:]], "the next code cell is not tagged check"),
        (exercise(WRONG)[2:], "does not follow a cell tagged exercise"),
        (exercise(WRONG)[:3], "no python fence inside <details>"),
        ([*exercise(WRONG)[:3], prints(), exercise(WRONG)[3]], "no python fence inside <details>"),
        (exercise(WRONG, solution="```python\nnumber = 11\n```"), "no python fence inside <details>"),
        (exercise(), "lists no wrong answers"),
        (exercise(("number = 3", " ")), "lists no wrong answers"),
        ([code("number = 1", tags=["exercise"]), *exercise(WRONG)[2:]], "there is no ... for the answer"),
    ],
)
def test_an_exercise_that_lacks_a_part_is_refused(cells: list[object], reason: str) -> None:
    with pytest.raises(ExerciseError, match=reason):
        find(notebook(*cells))  # type: ignore[arg-type]


def test_what_a_check_gets_wrong_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(kmskit.__file__).parents[1]))
    made = notebook(
        *exercise(WRONG, ("number = 'x'", "TypeError"), ("number = 12 - 3", "too small")),
        *exercise(("number = 10", "it is too small")),
        *exercise(("number = 3", "some other reason")),
        *exercise(("1 / 0", "too small")),
        *exercise(WRONG, solution="<details>\n\n```python\nnumber = 9\n```\n\n</details>"),
        code("number = 11  # ...", tags=["exercise"], kmskit={"wrong": [{"answer": "number = 3", "reason": "small"}]}),
        *exercise(WRONG)[2:],
        code("raise SystemError('behind the last exercise nothing is run')"),
    )
    before = str(made)
    with same_for_everyone():
        found = try_all(tmp_path / "x.ipynb", made, timeout=30)
    assert [fault.splitlines()[1:] for fault in found] == [
        ["number = 10", "and its check shows:", "Right"],
        ["number = 3", "and its check shows:", "Not right yet: it is too small"],
        ["1 / 0", "and its check shows:", "ZeroDivisionError: division by zero"],
        ["number = 9", "and its check shows:", "Not right yet: it is too small"],
        ["Right"],
    ]
    assert found[0].startswith("the exercise 'number = ...': wrong, because 'it is too small', is the answer")
    assert found[4].startswith("the exercise 'number = 11  # ...': it is stored without an answer")
    assert str(made) == before
