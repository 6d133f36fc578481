"""HTML and plain text for everything kmskit displays: the one place where values from others are escaped.

Aliases, tags, contexts and error texts come from other people, so a value is escaped unless it already is `Html`.
Styles stand inline, because JupyterLab drops `<style>` from a notebook that is not trusted yet, and use only colours
that are legible on a light and on a dark page. GitHub drops the styles too and still shows plain tables.

A measured or random value is wrapped as *volatile*: `<span class="kms-volatile">` in HTML, `⟨…⟩` in text. The notebook
tests mask exactly those (see `kmskit.testing.notebooks`) and compare everything else.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence

# C0 and C1 controls, line separators, and the marks that reorder text: a terminal or a reader could be misled by them.
# And what is no character, which XML does not take, so that it would spoil a picture.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_SCRATCH_PREFIX = re.compile(r"nb-[0-9a-f]{8}-")
_LINE = "1px solid rgba(128,128,128,0.35)"
_CELL = "padding:2px 12px 2px 0;text-align:left;vertical-align:top"
# JupyterLab stripes the rows of tables and leaves a line free below them, which a small sheet does not need.
_SHEET_TABLE = "margin:2px 0 0 0"
_SHEET_ROW = "background:none"
_NAME = "opacity:0.75;white-space:nowrap"
_COLOURS = {"good": "#1a7f37", "wait": "#9a6700", "bad": "#b3261e", "plain": "#57606a"}
_STATES = {"ENABLED": "good", "DISABLED": "wait", "PENDING_DELETION": "bad", "PENDING_IMPORT": "wait"}


class Html(str):
    """Markup that is safe to show as it is."""

    __slots__ = ()


def printable(value: object) -> str:
    """`str(value)` with control and direction characters as escapes (`\\x1b`), so that no terminal obeys them."""
    return _CONTROLS.sub(lambda m: m[0].encode("unicode_escape").decode("ascii"), str(value))


def escape(value: object) -> Html:
    """`value` as HTML text: escaped, unless it is `Html` already."""
    return value if isinstance(value, Html) else Html(html.escape(printable(value), quote=True))


def volatile_html(value: object) -> Html:
    """A value that differs from run to run, marked so that a notebook test masks it."""
    return Html(f'<span class="kms-volatile">{escape(value)}</span>')


def volatile_text(value: object) -> str:
    """The same mark in plain text. A `⟩` inside the value would end the mark early, so it is replaced."""
    return f"⟨{printable(value).replace('⟩', '>')}⟩"


def with_volatile_html(text: str, part: str) -> Html:
    """A text whose last `part` is volatile; without one, if `part` is empty or not in it."""
    before, found, after = _around(text, part)
    return Html(escape(before) + (volatile_html(found) if found else "") + escape(after))


def with_volatile_text(text: str, part: str) -> str:
    before, found, after = _around(text, part)
    return printable(before) + (volatile_text(found) if found else "") + printable(after)


def _around(text: str, part: str) -> tuple[str, str, str]:
    return text.rpartition(part) if part else ("", "", text)


def alias_html(alias: str) -> Html:
    """An alias; the random prefix that a scratch Kms gives it is dimmed and volatile."""
    prefix = _SCRATCH_PREFIX.match(alias)
    if prefix is None:
        return escape(alias)
    return Html(f'<span style="opacity:0.6">{volatile_html(prefix[0])}</span>{escape(alias[prefix.end() :])}')


def alias_text(alias: str) -> str:
    prefix = _SCRATCH_PREFIX.match(alias)
    return printable(alias) if prefix is None else volatile_text(prefix[0]) + printable(alias[prefix.end() :])


def link(url: str, text: str | None = None, *, volatile: str | None = None) -> Html:
    """A link, if `url` is plain http(s); otherwise only its text.

    Args:
        text: what is shown instead of the address.
        volatile: what in `url` differs from run to run, such as a request's id. The address is shown up to there, and
            the link's class says that the rest of it is volatile.
    """
    shown, mark = url if text is None else text, ""
    if volatile and volatile in url:
        shown, mark = shown.partition(volatile)[0] + "…" if text is None else text, ' class="kms-volatile"'
    if not re.match(r"https?://[^\s]+\Z", url, re.IGNORECASE):
        return escape(shown)
    return Html(f'<a{mark} href="{escape(url)}" rel="noreferrer noopener" target="_blank">{escape(shown)}</a>')


def kind_of(state: object) -> str:
    """The kind, and so the colour, of a key state."""
    return _STATES.get(str(state), "plain")


def badge(text: object, kind: str | None = None) -> Html:
    """A coloured pill; a key state finds its colour by itself. White on these colours has a contrast above 4.5 : 1."""
    colour = _COLOURS[kind or kind_of(text)]
    style = f"background-color:{colour};color:#ffffff;padding:1px 8px;border-radius:10px;font-size:85%"
    return Html(f'<span style="{style}">{escape(text)}</span>')


def code(value: object) -> Html:
    return Html(f'<code style="background:none;padding:0">{escape(value)}</code>')


def pairs(mapping: Mapping[str, str]) -> Html:
    """Tags or a context as `name = value`, one below the other."""
    return Html("<br>".join(f"{escape(name)} = {escape(value)}" for name, value in sorted(mapping.items())))


def table(headers: Sequence[object], rows: Iterable[Sequence[object]], *, note: object = None) -> Html:
    """A table with a header line. `note` stands below it."""
    head = "".join(f'<th style="{_CELL};border-bottom:{_LINE}">{escape(cell)}</th>' for cell in headers)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows
    )
    foot = "" if note is None else f'<div style="opacity:0.75">{escape(note)}</div>'
    return Html(f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{foot}</div>")


def card(title: object, rows: Mapping[str, object], *, mark: object = None, kind: str = "plain") -> Html:
    """A small framed sheet: a title, a badge beside it, and `name: value` lines, but none for a value of None."""
    lines = "".join(
        f'<tr style="{_SHEET_ROW}"><td style="{_CELL};{_NAME}">{escape(name)}</td>'
        f'<td style="{_CELL}">{escape(value)}</td></tr>'
        for name, value in rows.items()
        if value is not None
    )
    style = (
        f"border:{_LINE};border-left:4px solid {_COLOURS[kind]};padding:6px 12px;display:inline-block;max-width:100%"
    )
    side = "" if mark is None else f" {escape(mark)}"
    body = f'<table style="{_SHEET_TABLE}">{lines}</table>' if lines else ""
    return Html(f'<div style="{style}"><b>{escape(title)}</b>{side}{body}</div>')


def columns(headers: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """The plain-text twin of `table`: aligned columns."""
    lines = [[printable(cell) for cell in line] for line in [headers, *rows]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
