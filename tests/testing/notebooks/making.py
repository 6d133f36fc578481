"""Notebooks as they are stored, made without running them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import kmskit
from kmskit.notebook import Verdict

SOLUTION = "<details><summary>Solution</summary>\n\n```python\nnumber = 11\n```\n\n</details>"


def printed(text: str) -> NotebookNode:
    return new_output("stream", name="stdout", text=text)


def shown(text: str, html: str | None = None) -> NotebookNode:
    """The value of a cell's last line."""
    data = {"text/plain": text} if html is None else {"text/plain": text, "text/html": html}
    return new_output("execute_result", data=data)


def prints(text: str = "one", *, tags: list[str] | None = None) -> NotebookNode:
    """A cell that prints the text, with its output."""
    return code(f"print({text!r})", printed(f"{text}\n"), tags=tags)


def code(source: str, *outputs: NotebookNode, tags: list[str] | None = None, **metadata: Any) -> NotebookNode:
    return new_code_cell(source, outputs=list(outputs), metadata={**({"tags": tags} if tags else {}), **metadata})


def exercise(*wrong: tuple[str, str], solution: str = SOLUTION, fault: str = "n < 10") -> list[NotebookNode]:
    """An exercise whose answer is a number from 10."""
    todo = Verdict(tried=False)
    return [
        code("from kmskit.notebook import check\nprint('exercise')", printed("exercise\n")),
        code(
            "number = ...",
            tags=["exercise"],
            kmskit={"wrong": [{"answer": answer, "reason": reason} for answer, reason in wrong]},
        ),
        code(
            f"check(number, {{'it is too small': lambda n: {fault}}})",
            shown(repr(todo), todo._repr_html_()),
            tags=["check"],
        ),
        new_markdown_cell(solution),
    ]


def notebook(*cells: NotebookNode) -> NotebookNode:
    """The cells as if they had been run from top to bottom."""
    made = new_notebook(cells=list(cells))
    for number, cell in enumerate((cell for cell in made.cells if cell.cell_type == "code"), 1):
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
    return made


def write(path: Path, made: NotebookNode) -> Path:
    nbformat.write(made, path)
    return path


def run(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m ...` in a folder of its own, as someone else would call it, with warnings as errors in pytest."""
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(kmskit.__file__).parents[1]), "COLUMNS": "120", **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )
