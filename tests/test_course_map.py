"""What the first notebook and the README tell of the others: their minutes, and the paths through them."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
PATHS = {"data": "00 02 05 12", "platform": "00 07 09 05 08 11", "lecture": "02 03 04 05 09"}
"""Path -> its notebooks, in the order in which they are read."""


def start() -> str:
    cells = nbformat.read(NOTEBOOKS / "00-start-here.ipynb", as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def minutes(notebook: Path) -> int:
    found = re.search(r"\*\*Minutes\.\*\* (\d+)", nbformat.read(notebook, as_version=4).cells[0].source)
    assert found, notebook.name
    return int(found[1])


def numbered() -> dict[str, Path]:
    return {path.name[:2]: path for path in sorted(NOTEBOOKS.glob("[0-9][0-9]-*.ipynb"))}


told = pytest.mark.parametrize(
    ("text", "folder"), [(start(), ""), ((ROOT / "README.md").read_text(), "notebooks/")], ids=["00", "README"]
)


@told
@pytest.mark.parametrize("name", PATHS)
def test_a_path_names_its_notebooks_in_order_and_their_minutes_add_up(text: str, folder: str, name: str) -> None:
    row = re.search(rf"^\| \*\*{name}\*\* \| (\d+) \| .+? \| (.+) \|$", text, re.MULTILINE)
    assert row
    links = re.findall(r"\[(\d\d)\]\(([^)]+)\)", row[2])
    assert [number for number, _ in links] == PATHS[name].split()
    files = numbered()
    assert [link for _, link in links] == [f"{folder}{files[number].name}" for number, _ in links]
    assert int(row[1]) == sum(minutes(files[number]) for number, _ in links)


@told
def test_a_path_takes_about_two_hours_as_is_said(text: str, folder: str) -> None:
    assert "about two hours each" in text
    files = numbered()
    for name, path in PATHS.items():
        exercises = 8 * len(path.split()) if name == "platform" else 0  # Two in each, by the rule of docs/course.md.
        assert 100 <= sum(minutes(files[number]) for number in path.split()) - exercises <= 140
    assert "almost three" in text
    assert "without its exercises" in text


@pytest.mark.parametrize("path", numbered().values(), ids=lambda path: path.stem)
def test_the_map_lists_each_notebook_with_its_minutes(path: Path) -> None:
    name = r"\*\*00 Start here\*\*" if path.name.startswith("00") else rf"\[.+?\]\({re.escape(path.name)}\)"
    row = re.search(rf"^\| {name} \| .+ \| (\d+) \|$", start(), re.MULTILINE)
    assert row
    assert int(row[1]) == minutes(path)
