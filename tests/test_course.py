"""The course's own rules for its notebooks. Whether they run and show what is stored is for the plugin to test."""

from __future__ import annotations

import csv
import re
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from kmskit.testing.notebooks.kernel import client, same_for_everyone
from kmskit.testing.notebooks.outputs import SANITIZE_FILE, comparable, read_rules, without_dead_views

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))


def read(path: Path) -> list[NotebookNode]:
    return list(nbformat.read(path, as_version=4).cells)


def prose(cells: list[NotebookNode]) -> str:
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def code(cells: list[NotebookNode]) -> list[NotebookNode]:
    return [cell for cell in cells if cell.cell_type == "code"]


notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_the_course_begins_here() -> None:
    assert NOTEBOOKS[0].name == "00-start-here.ipynb"


@notebooks
def test_it_begins_with_its_idea_in_one_sentence_and_what_the_reader_needs(path: Path) -> None:
    title, idea, facts = read(path)[0].source.split("\n\n")
    assert title.startswith(f"# {path.name[:2]} · ")
    assert re.fullmatch(r"\*\*[^*.]+\.\*\*", idea)
    assert re.findall(r"^- \*\*(\w+)\.\*\* ", facts, re.MULTILINE) == ["Objectives", "Prerequisites", "Minutes"]


@notebooks
def test_the_readme_tells_the_same_number_of_minutes(path: Path) -> None:
    minutes = re.search(r"\*\*Minutes\.\*\* (\d+)", read(path)[0].source)
    assert minutes
    told = re.search(rf"\(notebooks/{re.escape(path.name)}\) \| (\d+) \|", (ROOT / "README.md").read_text())
    assert told
    assert told[1] == minutes[1]


@notebooks
def test_one_of_the_first_three_code_cells_shows_a_result(path: Path) -> None:
    assert any(cell.outputs for cell in code(read(path))[:3])


@notebooks
def test_every_prediction_is_asked_right_before_an_output(path: Path) -> None:
    cells = read(path)
    asked = [at for at, cell in enumerate(cells) if cell.source.rpartition("\n\n")[2].startswith("> **Predict.**")]
    assert len(asked) == prose(cells).count("> **Predict.**") >= 1
    for at in asked:
        # A definition may stand between the question and the cell that answers it.
        answers = cells[at + 1 : at + 3]
        assert answers[0].cell_type == "code"
        assert any(cell.cell_type == "code" and cell.outputs for cell in answers)


@notebooks
def test_a_failure_is_shown_with_its_cause_and_cure(path: Path) -> None:
    cells = read(path)
    assert any(cell.source.splitlines()[-1].startswith("refused(") for cell in code(cells))
    assert prose(cells).count("**Cause.**") == prose(cells).count("**Cure.**") >= 1


@notebooks
def test_it_has_two_exercises_that_refuse_two_wrong_answers_for_two_reasons(path: Path) -> None:
    exercises = [cell for cell in code(read(path)) if "exercise" in cell.metadata.get("tags", ())]
    assert len(exercises) == 2
    for cell in exercises:
        assert len({wrong["reason"] for wrong in cell.metadata["kmskit"]["wrong"]}) >= 2


@notebooks
def test_it_has_a_picture_or_a_table_that_github_shows(path: Path) -> None:
    kinds = {kind for cell in code(read(path)) for output in cell.outputs for kind in output.get("data", ())}
    assert "image/svg+xml" in kinds


@notebooks
def test_it_ends_with_a_summary_and_the_next_step(path: Path) -> None:
    last = read(path)[-1].source
    assert last.startswith("## Summary\n")
    assert re.search(r"^\*\*Next:\*\* .*\]\([\w-]+\.ipynb\)", last, re.MULTILINE)


@notebooks
def test_its_cells_have_names(path: Path) -> None:
    for cell in read(path):
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", cell.id)


@notebooks
def test_no_line_of_code_is_wider_than_the_page(path: Path) -> None:
    for cell in code(read(path)):
        assert max(map(len, cell.source.splitlines())) < 100, cell.id


@notebooks
def test_no_stored_output_shows_a_plaintext(path: Path) -> None:
    with (ROOT / "data" / "orders.csv").open(newline="") as file:
        cards = {row["card"] for row in csv.DictReader(file)}
    for cell in code(read(path)):
        shown = str(cell.outputs).replace(" ", "")
        assert not [card for card in cards if card in shown], cell.id


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path == NOTEBOOKS[0] else pytest.mark.soak) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_it_shows_the_same_when_all_cells_are_run_again_in_one_kernel(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    rules = read_rules(SANITIZE_FILE)
    stored = [without_dead_views(cell.outputs) for cell in code(notebook.cells)]
    with same_for_everyone(), client(deepcopy(notebook), path.parent, 60) as running:
        for _ in range(2):
            ran = [running.execute_cell(cell, at) for at, cell in enumerate(list(running.nb.cells))]
    for before, after in zip(stored, code(ran), strict=True):
        assert text_of(without_dead_views(after.outputs), rules) == text_of(before, rules), after.id


def text_of(outputs: list[NotebookNode], rules: dict[str, str]) -> list[dict[str, object]]:
    """What of them nbval would compare."""
    kinds = ("image/png", "image/jpeg")
    return [{kind: text for kind, text in each.items() if kind not in kinds} for each in comparable(outputs, rules)]
