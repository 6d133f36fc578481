"""What widgets hold, for tests to look through."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ipywidgets import HTML, Button, Widget

from kmskit.testing import hostile
from kmskit.testing.notebooks.outputs import SANITIZE_FILE, read_rules
from kmskit.widgets.answer import Answer
from kmskit.widgets.key_list import KeyList


def parts_of(widget: Any) -> Iterator[Widget]:
    """A widget and all in it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts_of(child)


def assert_safe(tile: Any) -> None:
    """Fail if anything the widget shows, or a notebook stores of it, could take over a page or mislead a reader."""
    for part in parts_of(tile):
        if isinstance(part, HTML):
            hostile.assert_safe_html(part.value.replace("<style>", "").replace("</style>", ""))
        elif isinstance(part, KeyList):
            for row in part.rows:
                hostile.assert_safe_html(row["html"])
        elif isinstance(part, Answer):
            hostile.assert_safe_html(part.html)
        elif isinstance(part, Button):
            hostile.assert_safe_text(part.description)
            hostile.assert_safe_text(part.tooltip or "")
        for label, _ in getattr(part, "options", ()):
            hostile.assert_safe_text(label)
    for kind, text in tile.still().items():
        hostile.assert_safe_html(text)
        assert kind in ("text/html", "image/svg+xml")
    hostile.assert_safe_text(repr(tile), lines=True)


def states(tile: Any, *without: Widget) -> str:
    """The whole state that JupyterLab could store in the notebook, but for some parts."""
    return json.dumps(
        [part.get_state() for part in parts_of(tile) if part not in without], default=repr, ensure_ascii=False
    )


def masked(html: str) -> str:
    """As the notebook tests compare it."""
    for pattern, mask in read_rules(SANITIZE_FILE).items():
        html = re.sub(pattern, mask, html)
    return html
