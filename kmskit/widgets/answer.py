"""`Answer`: an outcome, and a text that is shown in the page and kept nowhere."""

from __future__ import annotations

import itertools
from pathlib import Path

import anywidget
import traitlets

from kmskit import markup

__all__ = ["Answer"]

_STATIC = Path(__file__).with_name("static")


class Answer(anywidget.AnyWidget):
    """What came of a call.

    The state of a widget can be stored in the notebook, so a decrypted text is no part of it: it is sent to the page
    once, and gone with the next answer, and when the page is loaded again.

    A screen reader reads it out, since the page's element stays and only what is in it changes.

    Attributes:
        told: the markup that is shown.
    """

    _esm = (_STATIC / "answer.js").read_text(encoding="utf-8")
    _css = (_STATIC / "answer.css").read_text(encoding="utf-8")

    label = traitlets.Unicode("Answer").tag(sync=True)
    html = traitlets.Unicode("").tag(sync=True)

    def __init__(self, label: str = "Answer") -> None:
        super().__init__(label=label)
        self._turns = itertools.count()
        self.told = markup.Html()

    def tell(self, html: markup.Html) -> None:
        """Show markup, instead of what was shown before."""
        self.told = html
        # The page is told of changes only, and the same answer for the second time is news too.
        self.html = f"<!-- {next(self._turns)} -->{html}" if html else ""

    def reveal(self, html: markup.Html, secret: bytes) -> None:
        """Show markup and a text, which reaches the page by itself."""
        self.tell(html)
        self.send({"reveal": markup.printable(secret.decode(errors="backslashreplace"))})

    def __repr__(self) -> str:
        return "<Answer>"
