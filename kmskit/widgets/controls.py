"""Buttons, fields and boxes as the widgets here use them: labelled, reachable by keyboard, and of one look.

Each field carries its label above itself, so that a screen reader reads it out. What a label, button or tooltip says is
shown as text by the page, and never as markup; control characters become escapes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ipywidgets import HTML, BoundedIntText, Button, Dropdown, HBox, Text, Textarea, VBox, Widget

from kmskit import markup

__all__ = [
    "alias_label",
    "box",
    "button",
    "choice",
    "discard",
    "heading",
    "long_text",
    "number",
    "offer",
    "pairs_of",
    "row",
    "say",
    "section",
    "section_head",
    "show",
    "stack",
    "text",
]


_SCRATCH_MARK = re.compile(r"^⟨nb-[0-9a-f]{8}-⟩")


class _Typed(Textarea):  # type: ignore[misc]  # ipywidgets carries no types.
    """A text that its own repr does not tell: it may be a secret."""

    def __repr__(self) -> str:
        return "<a text field>"


class _TypedLine(Text):  # type: ignore[misc]
    """The same of one line."""

    def __repr__(self) -> str:
        return "<a text field>"


def button(label: str, act: Callable[[], object], kind: str = "", tip: str = "") -> Button:
    """A button.

    Args:
        label: what it says.
        act: called on a click.
        kind: `primary`, `danger`, `chip`, `once` (a double click is one click), several of them, or none.
        tip: what a pointer on it shows.
    """
    made = Button(description=markup.printable(label), tooltip=markup.printable(tip or label))
    made.on_click(lambda _: act())
    for name in kind.split():
        made.add_class(f"kms-{name}")
    return made


def text(label: str, hint: str = "", *, live: bool = False) -> Text:
    """A field of one line that grows with its row; `live` tells each letter, otherwise the whole when it is left."""
    return _field(_TypedLine(description=label, placeholder=hint, continuous_update=live), "wide")


def long_text(label: str, hint: str = "", rows: int = 2, value: str = "") -> Textarea:
    """A field of several lines, told letter by letter."""
    return _field(_Typed(description=label, placeholder=hint, rows=rows, value=value), "wide")


def choice(label: str, options: Sequence[object], wide: bool = False) -> Dropdown:
    """A field to choose from texts, or from pairs of a text and what it stands for."""
    pairs = [one if isinstance(one, tuple) else (str(one), one) for one in options]
    return _field(Dropdown(description=label, options=pairs), "wide" if wide else "")


def offer(field: Dropdown, options: Sequence[tuple[str, str]]) -> None:
    """Give a field other options; what was chosen stays chosen if it is among them."""
    before = field.value
    field.options = options
    values = [value for _, value in options]
    field.index = None if not values else values.index(before) if before in values else 0


def number(label: str, value: int, least: int, most: int) -> BoundedIntText:
    return _field(BoundedIntText(value, min=least, max=most, description=label), "narrow")


def _field(made: Any, *classes: str) -> Any:
    made.add_class("kms-field")
    for name in filter(None, classes):
        made.add_class(f"kms-{name}")
    return made


def say(html: object = "", kind: str = "") -> HTML:
    """A piece of markup; what is not `markup.Html` is escaped."""
    made = HTML(str(markup.escape(html)))
    if kind:
        made.add_class(f"kms-{kind}")
    return made


def heading(title: str, beside: object = "") -> markup.Html:
    """The name of a widget, and small beside it what it works on."""
    small = f" <small>{markup.escape(beside)}</small>" if beside else ""
    return markup.Html(f'<div class="kms-title" role="heading" aria-level="3">{markup.escape(title)}{small}</div>')


def section(title: str, *parts: object) -> VBox:
    """Parts below a small heading."""
    return stack(say(section_head(title)), *parts)


def section_head(title: str) -> markup.Html:
    return markup.Html(f'<div class="kms-section" role="heading" aria-level="4">{markup.escape(title)}</div>')


def row(*parts: object) -> HBox:
    """Side by side; what finds no room goes below."""
    return _box(HBox(list(parts)), "row")


def stack(*parts: object) -> VBox:
    return _box(VBox(list(parts)), "stack")


def box(kind: str, *parts: object) -> VBox:
    """Parts in a box of a kind: `panel`, `columns`, `bar`, `sections`."""
    return _box(HBox(list(parts)) if kind in ("columns", "bar", "sections") else VBox(list(parts)), kind)


def _box(made: Any, kind: str) -> Any:
    made.add_class(f"kms-{kind}")
    return made


def show(part: Any, shown: bool = True) -> None:
    """Let a part be seen, or not."""
    (part.remove_class if shown else part.add_class)("kms-hidden")


def discard(part: Any) -> None:
    """Close a widget, its parts, and what ipywidgets made for each: kernel and page hold on to them otherwise."""
    for child in getattr(part, "children", ()):
        discard(child)
    for made in (getattr(part, name, None) for name in ("layout", "style")):
        if isinstance(made, Widget):
            made.close()
    part.close()


def alias_label(alias: str) -> str:
    """An alias where only text is shown: without the random prefix of a scratch Kms, as its notebook writes it."""
    return _SCRATCH_MARK.sub("", markup.alias_text(alias))


def pairs_of(lines: str, argument: str) -> Mapping[str, str]:
    """Lines of `name = value` as a mapping.

    Raises:
        ValueError: a line has no `=`, or a name comes twice. The message does not repeat the line.
    """
    found: dict[str, str] = {}
    for place, line in enumerate(_filled(lines), 1):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not (name and equals):
            raise ValueError(f"{argument}: name = value expected in line {place}")
        if name in found:
            raise ValueError(f"{argument}: line {place} gives a name for the second time")
        found[name] = value
    return found


def _filled(lines: str) -> Iterable[str]:
    return (line for line in lines.splitlines() if line.strip())
