"""The checks of displays find what they look for."""

from __future__ import annotations

import html

import pytest

from kmskit.testing import hostile


class Shown:
    def __init__(self, text: str = "", markup: str = "", traceback: str = "") -> None:
        self._text, self._markup, self._traceback = text, markup, traceback

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return self._markup

    def _render_traceback_(self) -> list[str]:
        return [self._traceback]


@pytest.mark.parametrize("text", hostile.STRINGS[:4])
def test_markup_is_found_where_it_is_not_escaped(text: str) -> None:
    for markup in (f"<td>{text}</td>", f'<td title="{text}">x</td>', f"<td title='{text}'>x</td>"):
        try:
            hostile.assert_safe_html(markup)
        except AssertionError as found:
            assert "active in the HTML" in str(found)  # noqa: PT017  # Which of the three is dangerous differs.
            break
    else:
        pytest.fail("nothing was found")
    hostile.assert_safe_html(f'<td title="{html.escape(text)}">{html.escape(text)}</td>')


@pytest.mark.parametrize("text", hostile.STRINGS[4:])
def test_what_steers_a_terminal_is_found_everywhere(text: str) -> None:
    for shown in (Shown(text=text), Shown(markup=text), Shown(traceback=text)):
        with pytest.raises(AssertionError, match="displayed as they are"):
            hostile.assert_safe(shown)
    hostile.assert_safe(Shown(text=ascii(text), markup=ascii(text), traceback=ascii(text)))


@pytest.mark.parametrize(
    "markup",
    [
        '<a href="javascript:alert(1)">x</a>',
        '<a href="data:text/html,x">x</a>',
        '<a href="//example.com">x</a>',
        "<b onclick=alert(1)>x</b>",
        "<IMG SRC=x>",
        "<svg><script>x</script></svg>",
    ],
)
def test_active_elements_are_found(markup: str) -> None:
    with pytest.raises(AssertionError, match="active in the HTML"):
        hostile.assert_safe_html(markup)


def test_harmless_markup_passes() -> None:
    hostile.assert_safe_html('<table>\n<tr><td style="a:b">é 阿 &lt;img&gt;</td></tr></table><a href="https://x">y</a>')
    hostile.assert_safe_text("two\nlines", lines=True)
    with pytest.raises(AssertionError):
        hostile.assert_safe_text("two\nlines")
