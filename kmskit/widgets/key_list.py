"""`KeyList`: keys as rows with badges, one of which can be chosen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import anywidget
import traitlets

from kmskit import Key, KmsError, markup
from kmskit.types import KeyUsage

__all__ = ["PURPOSES", "KeyList"]

_STATIC = Path(__file__).with_name("static")

PURPOSES = {
    KeyUsage.ENCRYPT_DECRYPT: "encrypts",
    KeyUsage.SIGN_VERIFY: "signs",
    KeyUsage.GENERATE_VERIFY_MAC: "makes MACs",
}
"""What a key is for, in a word or two."""


class KeyList(anywidget.AnyWidget):
    """Keys to choose one from: with the pointer, or with the arrow keys.

    Attributes:
        selected: the id of the chosen key, or nothing. Can be observed, and set.
        note: what is shown while there are no rows.
        busy: whether the keys are being fetched.
    """

    _esm = (_STATIC / "keylist.js").read_text(encoding="utf-8")
    _css = (_STATIC / "keylist.css").read_text(encoding="utf-8")

    label = traitlets.Unicode("Keys").tag(sync=True)
    rows: traitlets.List[dict[str, str]] = traitlets.List().tag(sync=True)
    selected = traitlets.Unicode("").tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)

    def fill(self, keys: Iterable[Key]) -> None:
        """Show these keys."""
        self.rows = [{"id": key.id, "html": _row(key)} for key in keys]

    def __repr__(self) -> str:
        return f"<KeyList of {len(self.rows)} key(s)>"


def _row(key: Key) -> str:
    """What a row shows; of a key that may not be described, what the user said of it."""
    try:
        title, state = key.title_html(), markup.badge(key.state)
    except KmsError:
        title, state = markup.code(key.id), markup.badge("not told")
    facts = f"{key.spec}, {PURPOSES[key.usage]}"
    return f"<span><b>{title}</b><i>{markup.escape(facts)}</i></span>{state}"
