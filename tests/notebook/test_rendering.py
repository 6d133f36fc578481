"""What a reader of a notebook sees of an error that nobody caught."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook

import kmskit
from kmskit.notebook import __all__ as public
from kmskit.testing.notebooks.kernel import client, same_for_everyone

CELL = """
import kmskit
raise kmskit.ThrottledError(
    "too many requests", backend="alibaba", operation="encrypt", code="Rejected.Throttling",
    request_id="4a10", hint="wait and try again", recommend="https://example.com/why",
)
"""


def test_ipython_shows_error_reason_hint_and_link_without_path_or_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(kmskit.__file__).parents[1]))
    notebook = new_notebook(cells=[new_code_cell(CELL)])
    with same_for_everyone(), client(notebook, tmp_path, timeout=30) as running:
        running.allow_errors = True
        running.execute_cell(notebook.cells[0], 0)
    (output,) = notebook.cells[0].outputs
    assert (output.output_type, output.ename, output.evalue) == ("error", "ThrottledError", "too many requests")
    assert output.traceback == [
        "ThrottledError: too many requests",
        "  where: alibaba encrypt",
        "  code: Rejected.Throttling",
        "  request id: 4a10",
        "  hint: wait and try again",
        "  more: https://example.com/why",
    ]


def test_the_public_names_are_those_listed() -> None:
    names = {name for name, value in vars(kmskit.notebook).items() if not name.startswith("_")}
    modules = {name for name in names if type(getattr(kmskit.notebook, name)).__name__ == "module"}
    assert names - modules - {"annotations"} == set(public)
