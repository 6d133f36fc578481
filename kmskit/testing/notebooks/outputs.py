"""What a stored output holds, and what of it is compared."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbval.plugin import get_sanitize_patterns

__all__ = [
    "SANITIZE_FILE",
    "Rules",
    "comparable",
    "count_rules",
    "read_rules",
    "says_something",
    "texts",
    "without_dead_views",
]

SANITIZE_FILE = Path(__file__).with_name("sanitize.cfg")

_WIDGET = "application/vnd.jupyter.widget-view+json"
_NEVER_COMPARED = ("image/png", "image/jpeg", _WIDGET)
_MARKUP = ("text/html", "image/svg+xml")
_TAG = re.compile(r"<[^>]*>")

Rules = dict[str, str]
"""Regular expression -> replacement, as nbval applies them."""


def read_rules(path: Path) -> Rules:
    return dict(get_sanitize_patterns(path.read_text(encoding="utf-8")))


def count_rules(text: str) -> tuple[int, int]:
    """How many rules a sanitise file means to hold, and how many nbval finds in it: it passes over the others."""
    meant = sum(line.lstrip().startswith("regex") for line in text.splitlines())
    return meant, len(dict(get_sanitize_patterns(text)))


def contents(output: NotebookNode) -> dict[str, Any]:
    """MIME type, or the name of a stream or of an error's part -> content."""
    if output.output_type == "stream":
        return {output.name: output.text}
    if output.output_type == "error":
        return {"error": f"{output.ename}: {output.evalue}", "traceback": "\n".join(output.traceback)}
    return dict(output.data)


def texts(output: NotebookNode) -> list[str]:
    """Everything in an output that a reader of the notebook file could read."""
    return [text for _, text in _readable(output)]


def _readable(output: NotebookNode) -> Iterator[tuple[str, str]]:
    for kind, content in contents(output).items():
        if kind not in _NEVER_COMPARED:
            yield kind, content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def says_something(output: NotebookNode, rules: Rules) -> bool:
    """Whether anything is left to compare when all that the rules mask is taken away."""
    for kind, text in _readable(output):
        for regex in rules:
            text = re.sub(regex, "", text)
        if kind in _MARKUP:
            text = html.unescape(_TAG.sub("", text))
        if any(character.isalnum() for character in text):
            return True
    return False


def comparable(outputs: list[NotebookNode], rules: Rules) -> list[dict[str, Any]]:
    """Outputs as nbval compares them, but pictures count too: a changed one is to be stored."""

    def masked(text: str) -> str:
        for regex, replacement in rules.items():
            text = re.sub(regex, replacement, text)
        return text

    return [
        {
            kind: masked(content) if isinstance(content, str) else content
            for kind, content in contents(output).items()
            if kind != _WIDGET
        }
        for output in outputs
    ]


def without_dead_views(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs whose widgets' views are gone, where something else is there to see; changed in place."""
    for output in outputs:
        data = output.get("data", {})
        if any(kind in data for kind in _MARKUP):
            data.pop(_WIDGET, None)
    return outputs
