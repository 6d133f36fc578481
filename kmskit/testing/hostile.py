"""Strings that try to take over a page or a terminal, and checks that a display did not let them."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser

__all__ = ["STRINGS", "assert_safe", "assert_safe_html", "assert_safe_text"]

STRINGS = (
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    "</td></table><iframe src=javascript:alert(1)>",
    "\x1b]0;x\x07\x1b[2J",
    "\x9b31mred",
    "first\r\nsecond\x08\x7f",
    "invoice\u202efdp.exe\u2066\u200f",
)
"""Markup for a browser, escape sequences for a terminal, and marks that reorder what a person reads."""

_REORDERING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_MARKS = "\u200e\u200f\u061c\u2028\u2029"
_ACTIVE = {"script", "img", "iframe", "object", "embed", "form", "base", "meta", "link"}


class _Reader(HTMLParser):
    """Collects what a browser would make active."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _ACTIVE:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name.startswith("on"):
                self.found.append(f"<{tag} {name}>")
            if name in ("href", "src", "action") and not re.match(r"https?://", value or "", re.IGNORECASE):
                self.found.append(f"<{tag} {name}> that is no http(s) link")


def assert_safe_text(text: str, *, lines: bool = False) -> None:
    """Fail if a terminal would obey the text, or show it in another order.

    Args:
        text: what is displayed.
        lines: whether it may have line ends.
    """
    allowed = "\n" if lines else ""
    found = sorted({repr(character) for character in text if _misleads(character) and character not in allowed})
    assert not found, f"displayed as they are: {', '.join(found)}"


def assert_safe_html(html: str) -> None:
    """Fail if the HTML holds an active element, an event handler, a link other than http(s), or a control character."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert not reader.found, f"active in the HTML: {', '.join(reader.found)}"
    assert_safe_text(html, lines=True)


def assert_safe(shown: object) -> None:
    """Fail if a display of the object is not safe: its repr, its HTML, or for an error what IPython prints."""
    assert_safe_text(repr(shown), lines=True)
    html = getattr(shown, "_repr_html_", None)
    if html is not None:
        assert_safe_html(html())
    traceback = getattr(shown, "_render_traceback_", None)
    if traceback is not None:
        for line in traceback():
            assert_safe_text(line)


def _misleads(character: str) -> bool:
    return (
        unicodedata.category(character) in ("Cc", "Cs")
        or unicodedata.bidirectional(character) in _REORDERING
        or character in _MARKS
    )
