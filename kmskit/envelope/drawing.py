"""A message as a picture and as text: one line a field, its bytes as cells.

The picture is SVG, which GitHub shows too, on a panel of its own that is legible on a light and on a dark page. Bytes
that were drawn at random are cells without digits, so two runs of a program make the same picture; where a random value
is worth reading, such as a key id, it stands between the volatile marks of `kmskit.markup`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from kmskit.envelope.fields import Field
from kmskit.markup import columns, escape, printable, volatile_text

if TYPE_CHECKING:
    from kmskit.envelope.info import EnvelopeInfo

__all__ = ["svg", "text"]

_SANS = "-apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
_MONO = "ui-monospace, 'DejaVu Sans Mono', Menlo, monospace"
_INK, _GREY, _PANEL, _RULE = "#24292f", "#57606a", "#fbfaf7", "#d6d2c8"
_BLUE, _ORANGE, _GREEN, _PURPLE = "#3b78c2", "#a85d14", "#2f8a4c", "#7a4fb0"
_TINTS = {_GREY: "#e9e8e3", _BLUE: "#dbe8f8", _ORANGE: "#fbe6d0", _GREEN: "#d9eedf", _PURPLE: "#e9dff5"}
_RANDOM = {_GREY: "#b3b5b6", _BLUE: "#a5bfdf", _ORANGE: "#d6b391", _GREEN: "#9fc7aa", _PURPLE: "#c1acd7"}
_COLOURS = {"header": _GREY, "context": _BLUE, "recipient": _ORANGE, "recipients": _ORANGE, "seal": _GREEN}

_WIDTH, _LEFT, _CELLS, _NAMES, _VALUES = 820, 20, 98, 324, 458
_CELL, _PITCH, _LINE, _HEADING, _FRAME = 17, 18, 32, 26, 40
_MOST_CELLS = 12
_MOST_PAIRS = 6
_FRAME_BOXES = {"final mark": 66, "sequence": 66, "iv": 50, "length": 50, "tag": 50, "signature length": 102}
_FRAME_WIDTH = 510
_LONGEST_VALUE = 44


class _Row(NamedTuple):
    """A line of the table: a field, and the length that stands before it, if one does."""

    length: Field | None
    field: Field

    @property
    def offset(self) -> int:
        return (self.length or self.field).offset


def _rows(fields: Iterable[Field]) -> Iterator[_Row]:
    length: Field | None = None
    for field in fields:
        if length is not None and length.name != f"{field.name} length":
            yield _Row(None, length)
            length = None
        if field.name.endswith(" length"):
            length = field
        else:
            yield _Row(length, field)
            length = None
    if length is not None:
        yield _Row(None, length)


def _groups(info: EnvelopeInfo) -> Iterator[tuple[str, list[_Row]]]:
    """The rows of each group. A context of thousands of pairs is cut short: it comes from others."""
    for group, fields in groupby(info.fields, lambda field: field.group):
        rows = list(_rows(fields))
        most = 2 + 2 * _MOST_PAIRS
        if group == "context" and len(rows) > most:
            rest, end = rows[most].offset, rows[-1].field.end
            more = Field("more pairs", rest, end - rest, f"{(len(rows) - most) // 2:,} more", None, group)
            rows = [*rows[:most], _Row(None, more)]
        yield group, rows


def _value(field: Field) -> str:
    value = field.value
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, bytes):
        shown = _cut(value[:16].hex(), 16)
        return volatile_text(shown) if field.random else shown
    if not field.random:
        return _cut(value, _LONGEST_VALUE)
    scheme, colon, key_id = value.rpartition(":")
    return _cut(scheme, 16) + colon + volatile_text(_cut(key_id, _LONGEST_VALUE))


def _cut(value: str, longest: int) -> str:
    value = printable(value)
    return value if len(value) <= longest else f"{value[: longest - 1]}…"


def _place(offset: int) -> str:
    """An offset, short enough for its column."""
    return f"{offset:,}" if offset < 10**8 else f"{offset / 10**9:,.1f} GB"


def _claim(info: EnvelopeInfo) -> str:
    return "authenticated" if info.authenticated else "not authenticated: only what the bytes say"


def _summary(info: EnvelopeInfo) -> str:
    kind = "signed envelope" if info.signed else "envelope"
    frames = "1 frame" if info.frames == 1 else f"{info.frames:,} frames"
    return (
        f"{kind} of {info.size:,} bytes: {info.header_size:,} of header, then {info.length:,} of plaintext in {frames}"
    )


def _is_body(group: str) -> bool:
    return "frame" in group or group == "footer"


def _flat(rows: Iterable[_Row]) -> list[Field]:
    return [field for row in rows for field in row if field is not None]


# As text


def text(info: EnvelopeInfo) -> str:
    """The table, for a terminal, a screen reader, or a notebook that is not trusted."""
    lines = []
    for group, rows in _groups(info):
        if _is_body(group):
            start, end = rows[0].offset, rows[-1].field.end
            parts = ", ".join(f"{field.name} {field.size:,}" for field in _flat(rows))
            lines.append((f"{start:,}", f"{end - start:,}", group, "", parts))
            continue
        for row in rows:
            length, field = row
            size = f"{field.size:,}" if length is None else f"2 + {field.size:,}"
            name = f"{group}: {field.name}" if group.startswith("recipient ") else field.name
            lines.append((f"{row.offset:,}", size, name, _value(field), field.meaning))
    return f"{_summary(info)}\n{_claim(info)}\n\n{columns(('at', 'bytes', 'field', 'value', 'meaning'), lines)}"


# As a picture


def svg(info: EnvelopeInfo) -> str:
    """The table with each field's bytes as coloured cells, and the frames as boxes."""
    summary = _summary(info)
    title = _text(_LEFT, 36, summary[0].upper() + summary[1:], 15, bold=True)
    parts = [title, _text(_LEFT, 56, _claim(info), 12, _GREEN if info.authenticated else _ORANGE)]
    y, heading = 64.0, ""
    for group, rows in _groups(info):
        colour = _COLOURS.get(group.split()[0], _PURPLE)
        name = "body" if _is_body(group) else group
        if name != heading:
            parts.append(_text(_CELLS, y + 18, name, 12, colour, bold=True))
            y, heading = y + _HEADING, name
        top = y
        if _is_body(group):
            parts += _frame(y, group, _flat(rows), colour)
            y += _FRAME
        else:
            for row in rows:
                parts += _line(y, row, colour)
                y += _LINE
        parts.append(_box(_LEFT, top, 4, y - top - 4, colour))
    parts += _legend(y + 10)
    height = y + 42
    size = f'viewBox="0 0 {_WIDTH} {height:g}" width="{_WIDTH}" height="{height:g}"'
    panel = _box(1, 1, _WIDTH - 2, height - 2, _PANEL, _RULE, 14)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{_SANS}">'
        f"<title>{escape(summary)}</title>{panel}{''.join(parts)}</svg>"
    )


def _line(y: float, row: _Row, colour: str) -> Iterator[str]:
    """A field: where it begins, its bytes, its name and what it says, and below these what it is for."""
    length, field = row
    yield _text(_CELLS - 10, y + 13, _place(row.offset), 10.5, _GREY, end=True, mono=True)
    yield from _cells(y, length, field, colour)
    yield _text(_NAMES, y + 10, field.name, 12.5, bold=True)
    yield _text(_NAMES, y + 25, field.meaning, 11, _GREY)
    yield _text(_VALUES, y + 10, _value(field), 11, mono=True)


def _cells(y: float, length: Field | None, field: Field, colour: str) -> Iterator[str]:
    """One cell a byte, as far as there is room. A length is white; what was drawn at random has no digits."""
    x = float(_CELLS)
    if length is not None:
        for byte in _bytes(length):
            yield from _cell(x, y, f"{byte:02x}", "#ffffff", colour)
            x += _PITCH
        x += 3
    room = _MOST_CELLS - (2 if length is not None else 0)
    whole = field.size <= room
    known = b"" if field.random else _bytes(field)
    for at in range(field.size if whole else room - 1):
        digits = f"{known[at]:02x}" if at < len(known) else ""
        yield from _cell(x, y, digits, (_TINTS if digits else _RANDOM)[colour], colour)
        x += _PITCH
    if not whole:
        yield _text(x + 2, y + 13, "…", 12, _GREY)


def _cell(x: float, y: float, digits: str, fill: str, colour: str) -> Iterator[str]:
    yield _box(x, y, _CELL, 18, fill, colour)
    if digits:
        yield _text(x + _CELL / 2, y + 13, digits, 9.5, middle=True, mono=True)


def _bytes(field: Field) -> bytes:
    """The bytes of a field, from what it says."""
    if isinstance(field.value, bytes):
        return field.value
    if isinstance(field.value, int):
        return field.value.to_bytes(field.size)
    text = field.value or ""
    return bytes.fromhex(text[2:]) if field.name == "suite" else text.encode()


def _frame(y: float, name: str, fields: Sequence[Field], colour: str) -> Iterator[str]:
    """A frame as boxes, not to scale."""
    first, last = fields[0], fields[-1]
    yield _text(_CELLS - 10, y + 22, _place(first.offset), 10.5, _GREY, end=True, mono=True)
    x = float(_CELLS)
    rest = _FRAME_WIDTH - sum(_FRAME_BOXES.get(field.name, 0) + 2 for field in fields)
    for field in fields:
        width = _FRAME_BOXES.get(field.name, rest)
        label = field.meaning if field.name == "frames" else field.name
        yield _box(x, y, width, 36, (_RANDOM if field.random else _TINTS)[colour], colour, 3)
        yield _text(x + width / 2, y + 15, label, 11, middle=True)
        yield _text(x + width / 2, y + 29, f"{field.size:,}", 10, middle=True, mono=True)
        x += width + 2
    yield _text(_CELLS + _FRAME_WIDTH + 10, y + 15, name, 12.5, bold=True)
    yield _text(_CELLS + _FRAME_WIDTH + 10, y + 30, f"{last.end - first.offset:,} bytes", 11, _GREY)


def _legend(y: float) -> Iterator[str]:
    yield from _cell(_CELLS, y, "0a", _TINTS[_GREY], _GREY)
    yield _text(_CELLS + 24, y + 13, "a byte", 11, _GREY)
    yield from _cell(_CELLS + 84, y, "0a", "#ffffff", _GREY)
    yield _text(_CELLS + 108, y + 13, "of a length", 11, _GREY)
    yield from _cell(_CELLS + 194, y, "", _RANDOM[_GREY], _GREY)
    yield _text(_CELLS + 218, y + 13, "random: other bytes in every message, or for every key", 11, _GREY)


# Pencils


def _box(x: float, y: float, width: float, height: float, fill: str, stroke: str = "none", radius: float = 2) -> str:
    size = f'width="{width:g}" height="{height:g}" rx="{radius:g}"'
    return f'<rect x="{x:g}" y="{y:g}" {size} fill="{fill}" stroke="{stroke}"/>'


def _text(
    x: float,
    y: float,
    value: object,
    size: float,
    fill: str = _INK,
    *,
    bold: bool = False,
    mono: bool = False,
    middle: bool = False,
    end: bool = False,
) -> str:
    style = (' font-weight="600"' if bold else "") + (f' font-family="{_MONO}"' if mono else "")
    style += ' text-anchor="middle"' if middle else ' text-anchor="end"' if end else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{fill}"{style}>{escape(value)}</text>'
