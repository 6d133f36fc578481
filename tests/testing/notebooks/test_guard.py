"""Each rule of the guard, on a notebook that keeps it and on one that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output

from kmskit.testing.notebooks.guard import Limits, Measure, faults, measure
from kmskit.testing.notebooks.outputs import SANITIZE_FILE, read_rules
from tests.testing.notebooks.making import code, notebook, printed, prints, shown

RULES = read_rules(SANITIZE_FILE)
VOLATILE_HTML = '<div style="x"><b><span class="kms-volatile">3.2</span></b></div>'


def _good() -> NotebookNode:
    """Ten cells, three of which print nothing and one of which prints nothing but a measurement."""
    silent = [code("import math"), code("x = 1"), code("y = 2")]
    talking = [prints("<32 bytes>"), prints("suite 0x0478"), prints("⟨3.2⟩ s for 1000 calls"), *map(prints, "abc")]
    return notebook(new_markdown_cell("# A title"), *silent, *talking, code("x", shown("<b>key</b>", "<b>key</b>")))


def _found(made: NotebookNode, limits: Limits | None = None) -> list[str]:
    return faults(made, limits or Limits(), RULES, (Path("/srv/course"),))


def _stripped(made: NotebookNode) -> None:
    for cell in made.cells[1:]:
        cell.outputs, cell.execution_count = [], None


def _silenced(made: NotebookNode) -> None:
    for cell in made.cells[4:6]:
        cell.outputs = []


def _with_output(output: NotebookNode) -> Callable[[NotebookNode], None]:
    return lambda made: made.cells[5].update(outputs=[output])


def _with_text(text: str) -> Callable[[NotebookNode], None]:
    return _with_output(printed(f"{text}\n"))


def _with_source(source: str) -> Callable[[NotebookNode], None]:
    return lambda made: made.cells[5].update(source=source)


def _with_tag(tag: str) -> Callable[[NotebookNode], None]:
    return lambda made: made.cells[5].metadata.update(tags=[tag])


BREAKS = {
    "stripped": (_stripped, "run it from top to bottom"),
    "stripped, nothing to compare": (_stripped, "no cell has an output"),
    "run in another order": (lambda made: made.cells[2].update(execution_count=7), "execution counts are [1, 7, 3"),
    "a cell not run": (lambda made: made.cells[10].update(execution_count=None), "execution counts"),
    "too silent": (_silenced, "5 of 10 code cells print nothing; at most 35 % may"),
    "wholly masked text": (_with_text("⟨3.2⟩"), "6 of 7 printing cells are compared; 90 % are expected"),
    "wholly masked HTML": (_with_output(shown("⟨3.2⟩", VOLATILE_HTML)), "6 of 7 printing cells are compared"),
    "only a picture": (_with_output(new_output("display_data", {"image/png": "iVBORw0K"})), "6 of 7 printing cells"),
    "marked to be ignored": (_with_source("# NBVAL_IGNORE_OUTPUT\nprint(1)"), "1 cells are marked to be ignored"),
    "tagged to be ignored": (_with_tag("nbval-ignore-output"), "1 cells are marked to be ignored"),
    "tagged to be skipped": (_with_tag("nbval-skip"), "1 cells are marked to be ignored or skipped"),
    "an exception allowed": (_with_tag("raises-exception"), "Cell 4: it shows a traceback"),
    "an exception marked": (_with_source("# NBVAL_RAISES_EXCEPTION\n1/0"), "Cell 4: it shows a traceback"),
    "an error stored": (
        _with_output(new_output("error", ename="E", evalue="e", traceback=["t"])),
        "Cell 4: it shows a traceback",
    ),
    "a traceback printed": (_with_text("Traceback (most recent call last):"), "Cell 4: its output holds a traceback"),
    "nine lines": (_with_source("\n".join("abcdefghi")), "Cell 4: it has 9 lines; at most 8"),
    "an empty cell": (_with_source("\n"), "Cell 4: it is empty"),
    "an empty output": (_with_text(""), "Cell 4: it has an output without content"),
    "an address": (_with_text("<object at 0x7f3a5c0d1e20>"), "Cell 4: its output holds a memory address"),
    "a masked address": (_with_text("see ⟨0x7f3a5c0d1e20⟩"), "Cell 4: its output holds a memory address"),
    "someone's folder": (_with_text("opened /home/ada/keys.db"), "Cell 4: its output holds a path of someone's"),
    "a temporary folder": (_with_text("'/tmp/tmp1x2y'"), "Cell 4: its output holds a path of someone's machine"),
    "a folder of Windows": (_with_text(r"C:\Users\ada"), "Cell 4: its output holds a path of someone's machine"),
    "the folder it runs in": (_with_text("in /srv/course/data"), "Cell 4: its output holds a path of this machine"),
    "this user's home": (_with_text(f"in {Path.home()}"), "Cell 4: its output holds a path of this machine"),
    "a path in HTML": (_with_output(shown("x", "<a>/home/ada/x</a>")), "Cell 4: its output holds a path of someone's"),
    "a path in JSON": (
        _with_output(new_output("display_data", {"application/json": {"at": "/home/ada"}})),
        "Cell 4: its output holds a path of someone's machine",
    ),
    "a private key": (_with_text("-----BEGIN PRIVATE KEY-----"), "Cell 4: its output holds a private key"),
    "an EC private key": (_with_text("-----BEGIN EC PRIVATE KEY-----"), "Cell 4: its output holds a private key"),
    "a key in the source": (_with_source("pem = '-----BEGIN RSA PRIVATE KEY-----'"), "its source holds a private key"),
    "an access key": (_with_text("LTAI5tExampleExample1234"), "Cell 4: its output holds an access key id"),
    "an access key in the source": (_with_source("id = 'LTAI5tExampleExample1234'"), "its source holds an access key"),
}


def test_a_notebook_that_keeps_the_rules_has_no_faults() -> None:
    assert _found(_good()) == []
    assert measure(_good(), RULES) == Measure(cells=10, printing=7, compared=7, ignored=0)


@pytest.mark.parametrize("name", BREAKS)
def test_a_notebook_that_breaks_a_rule_is_told_which(name: str) -> None:
    change, expected = BREAKS[name]
    made = _good()
    change(made)
    assert any(expected in fault for fault in _found(made)), _found(made)


HARMLESS = {
    "a public key": "-----BEGIN PUBLIC KEY-----",
    "a path of the service": "https://example.com/home/page and GET /api/home/x",
    "a short number in hex": "0x0478, 0x1234567",
    "a digest in hex": "0x" + "ab" * 32,
    "a name that begins like a folder": "/srv/coursework and my/srv/course",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_like_a_fault_is_none(name: str) -> None:
    made = _good()
    _with_text(HARMLESS[name])(made)
    assert _found(made) == []


@pytest.mark.parametrize(
    ("limits", "change"),
    [
        (Limits(ignored=1, compared=80), _with_tag("nbval-ignore-output")),
        (Limits(lines=9), _with_source("\n".join("abcdefghi"))),
        (Limits(compared=85), _with_text("⟨3.2⟩")),
        (Limits(silent=50), _silenced),
    ],
)
def test_the_limits_can_be_widened(limits: Limits, change: Callable[[NotebookNode], None]) -> None:
    made = _good()
    change(made)
    assert _found(made) != []
    assert _found(made, limits) == []


def test_an_ignored_cell_is_not_counted_as_compared() -> None:
    made = _good()
    _with_tag("nbval-ignore-output")(made)
    assert measure(made, RULES) == Measure(cells=10, printing=7, compared=6, ignored=1)


def test_a_rule_that_masks_everything_leaves_nothing_compared() -> None:
    assert measure(_good(), {**RULES, r"(?s).+": "MASKED"}).compared == 0
