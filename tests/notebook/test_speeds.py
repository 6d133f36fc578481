"""Speeds: a table whose form stays when its figures change."""

from __future__ import annotations

import re

import pytest

from kmskit.notebook.speeds import Speeds, speeds
from kmskit.testing import hostile

FAST = Speeds({"encrypt": {"in memory": 312_345.0, "in the token": 11_890.0}, "anew": {"in the token": 0.1234}})
SLOW = Speeds({"encrypt": {"in memory": 9.96, "in the token": 4.0}, "anew": {"in the token": 1_999_999.0}})


def masked(text: str) -> str:
    return re.sub(r"⟨[^⟩\n]*⟩", "⟨⟩", re.sub('(<span class="kms-volatile">)[^<]*', r"\1", text))


def test_figures_are_volatile_and_nothing_else_moves_with_them() -> None:
    assert masked(repr(FAST)) == masked(repr(SLOW))
    assert masked(FAST._repr_html_()) == masked(SLOW._repr_html_())
    assert repr(FAST).splitlines() == [
        "calls a second  in memory    in the token",
        "encrypt         ⟨  310,000⟩  ⟨   12,000⟩",
        "anew            -            ⟨     0.12⟩",
    ]


def test_each_call_is_measured_where_it_stands() -> None:
    made: list[str] = []
    found = speeds({"one": {"a": lambda: made.append("1a"), "b": lambda: made.append("1b")}}, seconds=0.01).found
    assert found["one"].keys() == {"a", "b"}
    assert min(found["one"].values()) > 0
    assert {*made} == {"1a", "1b"}


def test_an_error_of_a_call_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        speeds({"one": {"a": lambda: 1 / 0}})


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_names_are_shown_and_never_obeyed(text: str) -> None:
    table = Speeds({text: {text: 1.0}})
    hostile.assert_safe_html(table._repr_html_())
    hostile.assert_safe_text(repr(table), lines=True)
