"""docs/course.md: every notebook has its grades, none is below 2, and what keeps one from a 3 is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "course.md").read_text(encoding="utf-8")
NOTEBOOKS = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))}
CRITERIA = 10
NOT_YET = "·"

GRADES = re.findall(r"^\| \[(\d\d)\]\(\.\./notebooks/([\w-]+\.ipynb)\) \| (.*) \|$", PAGE, re.MULTILINE)


def test_every_notebook_has_one_row_of_grades() -> None:
    assert [(number, name) for number, name, _ in GRADES] == [(n, path.name) for n, path in NOTEBOOKS.items()]


@pytest.mark.parametrize(("number", "row"), [(number, row) for number, _, row in GRADES])
def test_no_grade_is_below_2_and_what_keeps_it_from_3_is_told(number: str, row: str) -> None:
    *marks, told = (cell.strip() for cell in row.split("|"))
    assert len(marks) == CRITERIA, number
    if set(marks) != {NOT_YET}:
        assert set(marks) <= {"2", "3"}, number
        assert told, number


def test_its_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
