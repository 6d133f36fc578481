"""The teachers' page: plans of 90 minutes without a gap, and a test whose answers are run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "teaching.md").read_text()
PLANS = re.findall(r"^## (Plan [A-C]: .*?)\n(.*?)(?=^## )", PAGE, re.DOTALL | re.MULTILINE)
QUESTIONS = re.findall(r"^### (\d+)\. (.*?)\n(.*?)(?=^### |\Z)", PAGE, re.DOTALL | re.MULTILINE)

questions = pytest.mark.parametrize(("number", "title", "text"), QUESTIONS, ids=[title for _, title, _ in QUESTIONS])


@pytest.mark.parametrize(("title", "text"), PLANS, ids=[title for title, _ in PLANS])
def test_a_plan_fills_ninety_minutes(title: str, text: str) -> None:
    lines = re.findall(r"^\| (\d.*) \|$", text, re.MULTILINE)
    rows = [[cell.strip() for cell in f"{line} ".split("|")] for line in lines]
    end = 0
    for minutes, show, ask, _, _ in rows:
        begins, ends = map(int, minutes.split("–"))
        assert begins == end < ends <= begins + 15
        assert show
        assert ask
        end = ends
    assert end == 90
    assert sum(bool(row[-1]) for row in rows) >= 3, "what to leave out when time runs short"
    assert re.search(r"write on the board: \*\*[^*]+[.?]\*\*", text)


def test_there_are_three_plans_and_ten_questions() -> None:
    assert len(PLANS) == 3
    assert [int(number) for number, _, _ in QUESTIONS] == list(range(1, 11))


@questions
def test_a_question_has_four_options_and_keeps_its_answer_folded(number: str, title: str, text: str) -> None:
    asked, _, answer = text.partition("<details><summary>Answer</summary>")
    assert re.findall(r"^- \*\*([A-Z])\*\* \S", asked, re.MULTILINE) == list("ABCD")
    assert answer.rstrip().endswith("</details>")
    assert "Shown in" in answer
    assert re.search(r"\(\.\./notebooks/\d\d-[\w-]+\.ipynb#", answer)


@questions
def test_the_answer_is_the_one_that_its_lines_choose(number: str, title: str, text: str) -> None:
    told = re.search(r"^\*\*([A-D])\.\*\* ", text, re.MULTILINE)
    lines = re.search(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert told
    assert lines
    names: dict[str, Any] = {}
    exec(compile(lines[1], f"question {number}", "exec"), names)
    assert names["right"] == [told[1]]


def test_the_letter_alone_tells_nothing() -> None:
    letters = re.findall(r"^\*\*([A-D])\.\*\* ", PAGE, re.MULTILINE)
    assert {letter: letters.count(letter) for letter in "ABCD"} == {"A": 2, "B": 3, "C": 3, "D": 2}
