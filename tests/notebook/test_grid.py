"""Tables of answers in a notebook."""

from __future__ import annotations

import pytest

from kmskit.notebook.grid import grid
from kmskit.testing import hostile


def test_a_grid_says_yes_no_and_what_else_was_answered() -> None:
    shown = grid({"encrypt": {"admin": True, "app": True}, "list": {"admin": True, "app": "denied"}}, "may it?")
    assert repr(shown).splitlines() == [
        "may it?  admin  app",
        "encrypt  yes    yes",
        "list     yes    denied",
    ]


def test_what_is_false_or_missing_is_a_dash() -> None:
    shown = grid({"a": {"x": False, "y": None}, "b": {"z": 7}})
    rows = [line.split() for line in repr(shown).splitlines()]
    assert rows == [["x", "y", "z"], ["a", "-", "-", "-"], ["b", "-", "-", "7"]]
    assert shown._repr_html_().count(">-<") == 5


def test_columns_stand_in_the_order_of_their_first_answer() -> None:
    assert grid({"a": {"y": True}, "b": {"x": True, "y": True}}).columns == ["y", "x"]


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_names_and_answers_are_escaped(text: str) -> None:
    shown = grid({text: {text: text}}, text)
    hostile.assert_safe_html(shown._repr_html_())
    hostile.assert_safe_text(repr(shown), lines=True)
