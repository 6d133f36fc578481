"""Run a notebook and store its outputs, so that a run which changed nothing leaves the file as it was."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import nbformat

from kmskit.testing.notebooks.guard import code_cells
from kmskit.testing.notebooks.kernel import client
from kmskit.testing.notebooks.outputs import SANITIZE_FILE, comparable, read_rules, without_dead_views

__all__ = ["execute"]

_OF_A_RUN = ("ExecuteTime", "collapsed", "execution", "scrolled")


def execute(path: Path, timeout: float) -> bool:
    """Run a notebook from top to bottom and write its outputs into it.

    An output that differs only in volatile values stays as it was. A widget is stored as the picture or table that it
    brings along, if it brings one: without a kernel its view would be an error message. Nothing is written if a cell
    fails.

    Args:
        path: the notebook.
        timeout: for each cell, in seconds.

    Returns:
        whether the file changed.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised an error.
    """
    before = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(before, as_version=4)  # type: ignore[no-untyped-call]
    rules = read_rules(SANITIZE_FILE)
    run = deepcopy(notebook)
    with client(run, path.parent, timeout) as running:
        for index, cell in enumerate(list(run.cells)):
            running.execute_cell(cell, index)
    for number, (cell, new) in enumerate(zip(code_cells(notebook), code_cells(run), strict=True), 1):
        if comparable(cell.outputs, rules) != comparable(new.outputs, rules):
            cell.outputs = new.outputs
        cell.outputs = without_dead_views(cell.outputs)
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
        for name in _OF_A_RUN:
            cell.metadata.pop(name, None)
    notebook.metadata.pop("widgets", None)
    notebook.metadata.setdefault("kernelspec", {"display_name": "Python 3", "language": "python", "name": "python3"})
    notebook.metadata.language_info = {"name": "python"}
    after: str = nbformat.writes(notebook) + "\n"  # type: ignore[no-untyped-call]
    if after != before:
        path.write_text(after, encoding="utf-8")
    return after != before
