"""Values marked as differing from run to run."""

from __future__ import annotations

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_output

from kmskit.notebook import volatile
from kmskit.testing import hostile
from kmskit.testing.notebooks.outputs import SANITIZE_FILE, comparable, read_rules, says_something


def test_text_and_html_carry_the_marks() -> None:
    assert repr(volatile(3)) == str(volatile(3)) == "⟨3⟩"
    assert volatile("x")._repr_html_() == '<span class="kms-volatile">x</span>'


def test_an_f_string_formats_inside_the_marks() -> None:
    assert f"{volatile(1.2345):.2f} s, {volatile('a'):>3}" == "⟨1.23⟩ s, ⟨  a⟩"


def _display(text: str, html: str) -> NotebookNode:
    return new_output("display_data", data={"text/plain": text, "text/html": html})


@pytest.mark.parametrize("value", [*hostile.STRINGS, "⟩ seen", "a\nb", "</span> seen", "⟨nested⟩ ⟨twice⟩"])
def test_nothing_of_a_value_escapes_the_marks(value: str) -> None:
    shown = volatile(value)
    hostile.assert_safe(shown)
    rules = read_rules(SANITIZE_FILE)
    output = _display(repr(shown), shown._repr_html_())
    assert not says_something(output, rules)
    assert comparable([output], rules) == comparable([_display("⟨other⟩", volatile("other")._repr_html_())], rules)
