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
from kmskit.markup import columns, printable, volatile_text
from kmskit.svg import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, TINTS, WHITE, box, drawing
from kmskit.svg import text as write

if TYPE_CHECKING:
    from kmskit.envelope.info import EnvelopeInfo

__all__ = ["colour_of", "svg", "text"]

_RANDOM = {GREY: "#b3b5b6", BLUE: "#a5bfdf", ORANGE: "#d6b391", GREEN: "#9fc7aa", PURPLE: "#c1acd7"}
_COLOURS = {"header": GREY, "context": BLUE, "recipient": ORANGE, "recipients": ORANGE, "seal": GREEN}

_WIDTH, _LEFT, _CELLS, _NAMES, _VALUES = 820, 20, 98, 324, 458
_CELL, _PITCH, _LINE, _HEADING, _FRAME = 17, 18, 32, 26, 40
_MOST_CELLS = 12
_MOST_PAIRS = 6
_FRAME_BOXES = {"final mark": 66, "sequence": 66, "iv": 50, "length": 50, "tag": 50, "signature length": 102}
_FRAME_WIDTH = 510
_LONGEST_VALUE = 44


def colour_of(group: str) -> str:
    """The colour of a group of fields, in every picture."""
    return _COLOURS.get(group.split()[0], PURPLE)


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
    return volatile_text(_cut(value, _LONGEST_VALUE + 16))


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
    title = write(_LEFT, 36, summary[0].upper() + summary[1:], 15, style="bold")
    parts = [title, write(_LEFT, 56, _claim(info), 12, GREEN if info.authenticated else ORANGE)]
    y, heading = 64.0, ""
    for group, rows in _groups(info):
        colour = colour_of(group)
        name = "body" if _is_body(group) else group
        if name != heading:
            parts.append(write(_CELLS, y + 18, name, 12, colour, style="bold"))
            y, heading = y + _HEADING, name
        top = y
        if _is_body(group):
            parts += _frame(y, group, _flat(rows), colour)
            y += _FRAME
        else:
            for row in rows:
                parts += _line(y, row, colour)
                y += _LINE
        parts.append(box(_LEFT, top, 4, y - top - 4, colour, radius=2))
    parts += _legend(y + 10)
    return drawing(_WIDTH, y + 42, summary, *parts)


def _line(y: float, row: _Row, colour: str) -> Iterator[str]:
    """A field: where it begins, its bytes, its name and what it says, and below these what it is for."""
    length, field = row
    yield write(_CELLS - 10, y + 13, _place(row.offset), 10.5, GREY, "end", "mono")
    yield from _cells(y, length, field, colour)
    yield write(_NAMES, y + 10, field.name, 12.5, style="bold")
    yield write(_NAMES, y + 25, field.meaning, 11, GREY)
    yield write(_VALUES, y + 10, _value(field), 11, style="mono")


def _cells(y: float, length: Field | None, field: Field, colour: str) -> Iterator[str]:
    """One cell a byte, as far as there is room. A length is white; what was drawn at random has no digits."""
    x = float(_CELLS)
    if length is not None:
        for byte in _bytes(length):
            yield from _cell(x, y, f"{byte:02x}", WHITE, colour)
            x += _PITCH
        x += 3
    room = _MOST_CELLS - (2 if length is not None else 0)
    whole = field.size <= room
    known = b"" if field.random else _bytes(field)
    for at in range(field.size if whole else room - 1):
        digits = f"{known[at]:02x}" if at < len(known) else ""
        yield from _cell(x, y, digits, (TINTS if digits else _RANDOM)[colour], colour)
        x += _PITCH
    if not whole:
        yield write(x + 2, y + 13, "…", 12, GREY)


def _cell(x: float, y: float, digits: str, fill: str, colour: str) -> Iterator[str]:
    yield box(x, y, _CELL, 18, fill, colour, 2)
    if digits:
        yield write(x + _CELL / 2, y + 13, digits, 9.5, INK, "middle", "mono")


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
    yield write(_CELLS - 10, y + 22, _place(first.offset), 10.5, GREY, "end", "mono")
    x = float(_CELLS)
    rest = _FRAME_WIDTH - sum(_FRAME_BOXES.get(field.name, 0) + 2 for field in fields)
    for field in fields:
        width = _FRAME_BOXES.get(field.name, rest)
        label = field.meaning if field.name == "frames" else field.name
        yield box(x, y, width, 36, (_RANDOM if field.random else TINTS)[colour], colour, 3)
        yield write(x + width / 2, y + 15, label, 11, INK, "middle")
        yield write(x + width / 2, y + 29, f"{field.size:,}", 10, INK, "middle", "mono")
        x += width + 2
    yield write(_CELLS + _FRAME_WIDTH + 10, y + 15, name, 12.5, style="bold")
    yield write(_CELLS + _FRAME_WIDTH + 10, y + 30, f"{last.end - first.offset:,} bytes", 11, GREY)


def _legend(y: float) -> Iterator[str]:
    yield from _cell(_CELLS, y, "0a", TINTS[GREY], GREY)
    yield write(_CELLS + 24, y + 13, "a byte", 11, GREY)
    yield from _cell(_CELLS + 84, y, "0a", WHITE, GREY)
    yield write(_CELLS + 108, y + 13, "of a length", 11, GREY)
    yield from _cell(_CELLS + 194, y, "", _RANDOM[GREY], GREY)
    yield write(_CELLS + 218, y + 13, "random: other bytes in every message, or for every key", 11, GREY)
