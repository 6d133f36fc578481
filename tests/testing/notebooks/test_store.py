"""`python -m kmskit.testing.notebooks`: outputs are stored, and a run that changed nothing changes no file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from nbformat import NotebookNode

from tests.testing.notebooks.making import code, notebook, printed, prints, run, shown, write

VIEW = "application/vnd.jupyter.widget-view+json"


class Stored(NamedTuple):
    folder: Path
    before: dict[str, str]
    done: subprocess.CompletedProcess[str]

    def read(self, name: str) -> NotebookNode:
        return nbformat.reads((self.folder / name).read_text(), as_version=4)


def _new() -> NotebookNode:
    """A notebook that was never run here, with the traces of an older program."""
    made = notebook(
        code("import sys\nfrom kmskit.notebook import scratch\nkms = scratch()"),
        code("kms.create_key('orders')"),
        code("print('out')\nprint('err', file=sys.stderr)\nprint('more')", execution={"iopub.status.busy": "2026"}),
    )
    made.metadata.language_info = {"name": "python", "version": "3.9.0"}
    for cell in made.cells:
        cell.execution_count = None
    return made


def _changed() -> NotebookNode:
    """One value differs inside its marks, one text outside; and a widget was stored by JupyterLab."""
    widget = shown("<IPython.core.display.HTML object>", "<b>still</b>")
    widget.data[VIEW] = {"model_id": "1f0e", "version_major": 2, "version_minor": 0}
    return notebook(
        code("print('took ⟨4⟩ s')", printed("took ⟨31⟩ s\n")),
        code("print('took ⟨4⟩ ms')", printed("took ⟨31⟩ s\n")),
        code("5", shown("5")),
        code("from IPython.display import HTML\nHTML('<b>still</b>')", widget),
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """One call for all: the new notebook is stored and then run once more."""
    folder = tmp_path_factory.mktemp("work")
    course = folder / "course"
    course.mkdir()
    write(course / "new.ipynb", _new())
    write(course / "changed.ipynb", _changed())
    write(course / "failing.ipynb", notebook(prints("new"), code("raise ValueError('on purpose')")))
    before = {path.name: path.read_text() for path in course.iterdir()}
    names = ("missing", "failing", "new", "new", "changed")
    done = run("kmskit.testing.notebooks", *(f"course/{name}.ipynb" for name in names), folder=folder)
    return Stored(course, before, done)


def test_each_notebook_is_reported(stored: Stored) -> None:
    reports = re.findall(r"^course/(\w+)\.ipynb: \d+\.\d s, (.*)$", stored.done.stdout, re.MULTILINE)
    assert reports == [
        ("missing", "not stored"),
        ("failing", "not stored"),
        ("new", "changed"),
        ("new", "as it was"),
        ("changed", "changed"),
    ]
    assert (stored.done.returncode, stored.done.stderr) == (1, "")
    assert "FileNotFoundError" in stored.done.stdout
    assert "on purpose" in stored.done.stdout


def test_outputs_are_stored_with_counts_and_without_traces_of_the_run(stored: Stored) -> None:
    now, before = stored.read("new.ipynb"), nbformat.reads(stored.before["new.ipynb"], as_version=4)
    assert [cell.id for cell in now.cells] == [cell.id for cell in before.cells]
    assert [cell.execution_count for cell in now.cells] == [1, 2, 3]
    assert "orders AES_256" in now.cells[1].outputs[0].data["text/plain"]
    assert [output.text for output in now.cells[2].outputs] == ["out\nmore\n", "err\n"]
    assert now.metadata.kernelspec.name == "python3"
    text = (stored.folder / "new.ipynb").read_text()
    assert text.endswith("}\n")
    assert "3.9.0" not in text
    assert "iopub" not in text


def test_a_value_that_changed_only_inside_its_marks_stays(stored: Stored) -> None:
    outputs = [cell.outputs[0] for cell in stored.read("changed.ipynb").cells]
    assert [output.text for output in outputs[:2]] == ["took ⟨31⟩ s\n", "took ⟨4⟩ ms\n"]


def test_a_view_that_needs_a_kernel_goes_also_where_nothing_else_changed(stored: Stored) -> None:
    (output,) = stored.read("changed.ipynb").cells[3].outputs
    assert set(output.data) == {"text/plain", "text/html"}


def test_a_notebook_that_fails_keeps_its_outputs(stored: Stored) -> None:
    assert (stored.folder / "failing.ipynb").read_text() == stored.before["failing.ipynb"]


def test_nothing_is_left_beside_the_notebooks(stored: Stored) -> None:
    assert {path.name for path in stored.folder.iterdir()} == set(stored.before)
