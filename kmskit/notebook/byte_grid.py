"""`byte_grid`: bytes as a grid, coloured by field. The inside of a long field is folded away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kmskit import svg
from kmskit.envelope import Field
from kmskit.envelope.drawing import colour_of
from kmskit.markup import columns, printable
from kmskit.notebook.pictures import Picture
from kmskit.svg import GREY, INK, TINTS

__all__ = ["ROW", "ByteField", "byte_grid", "shown_rows"]

ROW = 16
"""Bytes in a row of the grid."""

_KEPT = 2  # Rows that are left at each end of a long field,
_LEAST = 6  # if at least so many can be folded away between them.
_MOST = 256  # Rows, however many fields there are.

_LEFT, _TOP, _PITCH, _LINE = 84, 28, 27, 25
_LEGEND = _LEFT + ROW * _PITCH + 24


@dataclass(frozen=True, slots=True)
class ByteField:
    """Some bytes that belong together.

    Attributes:
        offset, end: from the first byte to the one behind the last.
        name: such as `frame length`.
        meaning: what they are for, in a phrase.
        value: what they say.
        group: what the field is a part of.
        colour: one of `kmskit.svg.TINTS`.
        random: whether no two runs of a program have these bytes in common: then a stored picture leaves them blank.
    """

    offset: int
    end: int
    name: str
    meaning: str = ""
    value: str = ""
    group: str = ""
    colour: str = GREY
    random: bool = False

    @classmethod
    def of(cls, field: Field) -> ByteField:
        """A field of an envelope."""
        value = field.value
        text = f"{value:,}" if isinstance(value, int) else value.hex() if isinstance(value, bytes) else value or ""
        colour = colour_of(field.group)
        return cls(field.offset, field.end, field.name, field.meaning, text, field.group, colour, field.random)


def _stretches(size: int, fields: Sequence[ByteField]) -> Iterator[tuple[int, int]]:
    """The fields, and what lies between them."""
    at = 0
    for field in fields:
        if not at <= field.offset <= field.end <= size:
            raise ValueError(f"fields: {field.name!r} begins before the field before it ends, or lies beyond the bytes")
        yield from ((at, field.offset), (field.offset, field.end))
        at = field.end
    yield at, size


def shown_rows(size: int, fields: Sequence[ByteField], opened: Sequence[tuple[int, int]] = ()) -> list[tuple[int, int]]:
    """Which rows are shown, as (first, end) in ascending order; what lies between is folded.

    Args:
        size: how many bytes there are.
        fields: in ascending order, without overlap.
        opened: rows that were unfolded, as (first, end).

    Raises:
        ValueError: the fields overlap, or lie beyond the bytes.
    """
    end = -(-size // ROW)
    hidden = []
    for start, stop in _stretches(size, fields):
        first, last = -(-start // ROW) + _KEPT, stop // ROW - _KEPT
        if last - first >= _LEAST:
            hidden.append((first, last))
    room = _MOST
    for first, last in _between(hidden, end):
        if last - first > room and end - _KEPT - (cut := first + room) >= _LEAST:
            hidden = [fold for fold in hidden if fold[1] <= cut] + [(cut, end - _KEPT)]
            break
        room -= last - first
    for start, stop in opened:
        hidden = [
            part
            for first, last in hidden
            for part in ((first, min(last, start)), (max(first, stop), last))
            if part[0] < part[1]
        ]
    return list(_between(sorted(hidden), end))


def _between(hidden: Sequence[tuple[int, int]], end: int) -> Iterator[tuple[int, int]]:
    at = 0
    for first, last in hidden:
        if at < first:
            yield at, first
        at = last
    if at < end:
        yield at, end


def byte_grid(data: bytes, fields: Sequence[ByteField] = (), what: str = "bytes") -> Picture:
    """Draw bytes as a grid. Bytes of a field that is random are blank, so that two runs make the same picture.

    Args:
        data: the bytes.
        fields: in ascending order, without overlap.
        what: what the bytes are, for those who cannot see them.

    Raises:
        ValueError: the fields overlap, or lie beyond the bytes.
    """
    parts: list[str] = []
    y, expected = float(_TOP), 0
    shown = shown_rows(len(data), fields)
    owner = {at: field for field in fields for at in _few(field, shown)}
    for first, last in [*shown, (-(-len(data) // ROW),) * 2]:
        if first > expected:
            folded = min(first * ROW, len(data)) - expected * ROW
            parts.append(svg.text(_LEFT, y + 16, f"… {folded:,} bytes more", 12, GREY))
            y += _LINE
        for row in range(first, last):
            parts.append(svg.text(_LEFT - 12, y + 15, f"{row * ROW:,}", 10.5, GREY, "end", "mono"))
            for at in range(row * ROW, min((row + 1) * ROW, len(data))):
                parts += _cell(_LEFT + at % ROW * _PITCH, y, data[at], owner.get(at))
            y += _LINE
        expected = last
    legend = [field for field in fields if field.offset < field.end]
    rows = max(1, round((y - _TOP) / _LINE))
    for at, field in enumerate(legend[:rows]):
        parts += _entry(_TOP + at * _LINE, field, len(legend) - rows if at == rows - 1 else 0)
    words = f"{what}, {len(data):,} bytes"
    table = columns(("at", "bytes", "field", "meaning"), map(_line, legend[:_MOST])) if legend else ""
    width = _LEGEND + (320 if legend else 0)
    return Picture(width, round(y + 16), "\n".join(filter(None, [words, table])), *parts)


def _few(field: ByteField, rows: Sequence[tuple[int, int]]) -> Iterator[int]:
    """The bytes of a field that are shown."""
    for first, last in rows:
        yield from range(max(field.offset, first * ROW), min(field.end, last * ROW))


def _cell(x: float, y: float, byte: int, field: ByteField | None) -> Iterator[str]:
    colour = field.colour if field else GREY
    yield svg.box(x, y, _PITCH - 2, _LINE - 4, TINTS[colour], colour, 3)
    if not (field and field.random):
        yield svg.text(x + _PITCH / 2 - 1, y + 15, f"{byte:02x}", 11.5, INK, "middle", "mono")


def _entry(y: float, field: ByteField, left_out: int) -> Iterator[str]:
    """A line of the legend; the last one tells how many fields have no line."""
    if left_out > 0:
        yield svg.text(_LEGEND, y + 15, f"… and {left_out + 1:,} fields more", 12, GREY)
        return
    yield svg.box(_LEGEND, y + 3, 14, 14, TINTS[field.colour], field.colour, 3)
    yield svg.text(_LEGEND + 22, y + 15, _short(printable(field.name), 24), 12.5, style="bold")
    yield svg.text(_LEGEND + 300, y + 15, _place(field), 11, GREY, "end")


def _place(field: ByteField) -> str:
    first, last = field.offset, field.end - 1
    return f"byte {first:,}" if first == last else f"bytes {first:,} to {last:,}"


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _line(field: ByteField) -> tuple[str, str, str, str]:
    return f"{field.offset:,}", f"{field.end - field.offset:,}", _short(field.name, 40), _short(field.meaning, 80)
