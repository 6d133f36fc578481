"""The documents' table of actions is what the program says. `python -m tests.emulator.test_docs` writes it anew."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from kmskit.emulator import ACTIONS

PAGE = Path(__file__).parents[2] / "docs" / "emulator.md"
MARK = "<!-- The table below is written by `python -m tests.emulator.test_docs`. -->\n"


def table() -> str:
    counted = Counter(action.state for action in ACTIONS.values())
    lines = [
        f"{len(ACTIONS)} actions: {counted['done']} done, {counted['partly']} partly, {counted['not done']} not done.",
        "",
        "| action | state | evidence | note |",
        "|---|---|---|---|",
        *(f"| {each.name} | {each.state} | {each.evidence or '-'} | {each.note} |" for each in ACTIONS.values()),
    ]
    return "\n".join(lines) + "\n"


def test_the_page_has_the_programs_own_table() -> None:
    assert PAGE.read_text("utf-8").partition(MARK)[2] == f"\n{table()}"


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text("utf-8").partition(MARK)[0] + MARK + "\n" + table(), "utf-8")
