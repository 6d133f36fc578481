"""`ByteMap`: bytes to be looked at one by one, coloured by field, and to be changed bit by bit.

The page gets the rows that are shown and the fields in them, never all of a large message: the inside of a long field
is folded away, and comes in pieces when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from kmskit import markup
from kmskit.notebook.byte_grid import ROW, ByteField, byte_grid, shown_rows

__all__ = ["ByteField", "ByteMap"]

_STATIC = Path(__file__).with_name("static")
_UNFOLDED = 32  # rows at a time
_LONGEST = 160  # characters of a text from a field


class ByteMap(anywidget.AnyWidget):
    """Bytes as a grid. In the page: arrows, Home, End and Page keys move; Enter, Space or `f` flips the lowest bit of a
    byte, `0` to `7` that bit.

    Args:
        data: the bytes.
        fields: what stands where: in ascending order, without overlap.
        label: what the bytes are, for those who cannot see them.

    Attributes:
        selected: the offset of the byte that is told about, or -1. Can be observed, and set.
    """

    _esm = (_STATIC / "bytemap.js").read_text(encoding="utf-8")
    _css = (_STATIC / "bytemap.css").read_text(encoding="utf-8")

    label = traitlets.Unicode("bytes").tag(sync=True)
    selected = traitlets.Int(-1).tag(sync=True)
    _view = traitlets.Dict().tag(sync=True)
    _seen = traitlets.Bytes().tag(sync=True)
    _changed: traitlets.List[Any] = traitlets.List().tag(sync=True)

    def __init__(self, data: bytes = b"", fields: Sequence[ByteField] = (), label: str = "bytes") -> None:
        super().__init__(label=markup.printable(label))
        self._callbacks: list[Callable[[ByteMap], object]] = []
        self.on_msg(self._heard)
        self.show(data, fields)

    def show(self, data: bytes, fields: Sequence[ByteField] = ()) -> None:
        """Show other bytes, unchanged and with none selected.

        Raises:
            ValueError: the fields overlap, or lie beyond the bytes.
        """
        shown_rows(len(data), fields)
        self._original, self._data, self._fields = bytes(data), bytearray(data), tuple(fields)
        self._opened: list[tuple[int, int]] = []
        self._touched: dict[int, None] = {}
        with self.hold_sync():
            self.selected = -1
            self._draw()

    @property
    def data(self) -> bytes:
        """The bytes as they are now."""
        return bytes(self._data)

    @property
    def fields(self) -> tuple[ByteField, ...]:
        """What stands where. Can be set, when changed bytes say something else."""
        return self._fields

    @fields.setter
    def fields(self, fields: Sequence[ByteField]) -> None:
        shown_rows(len(self._data), fields)
        if tuple(fields) != self._fields:
            self._fields = tuple(fields)
            with self.hold_sync():
                self._draw()

    @property
    def flipped(self) -> tuple[int, ...]:
        """Offsets of the bytes that are not as they were."""
        return tuple(at for at in self._touched if self._data[at] != self._original[at])

    def field_at(self, offset: int) -> ByteField | None:
        """The field that a byte belongs to."""
        return next((field for field in self._fields if field.offset <= offset < field.end), None)

    def flip(self, offset: int, bit: int = 0) -> None:
        """Change one bit of a byte; bit 0 is the lowest.

        Raises:
            ValueError: there is no such byte or bit.
        """
        if not (0 <= offset < len(self._data) and 0 <= bit < 8):
            raise ValueError(f"offset, bit: {len(self._data):,} bytes of 8 bits expected, not byte {offset}, bit {bit}")
        self._data[offset] ^= 1 << bit
        self._touched[offset] = None
        self._after()

    def undo(self) -> None:
        """Make all bytes what they were."""
        for offset in self._touched:
            self._data[offset] = self._original[offset]
        self._touched.clear()
        self._after()

    def on_flip(self, callback: Callable[[ByteMap], object]) -> None:
        """Call this whenever bits were flipped, here or in the page, and when they were made what they were."""
        self._callbacks.append(callback)

    def still(self) -> dict[str, str]:
        """The picture that a notebook stores: the rows as they are at first."""
        return {"image/svg+xml": byte_grid(self._original, self._fields, self.label).svg}

    def _after(self) -> None:
        self._draw_bytes()
        for callback in self._callbacks:
            callback(self)

    def _draw(self) -> None:
        size = len(self._data)
        rows = shown_rows(size, self._fields, self._opened)
        self._runs = [(first * ROW, min(last * ROW, size)) for first, last in rows]
        fields = [
            (
                field.offset,
                field.end,
                field.colour,
                *(_told(text) for text in (field.name, field.group, field.value, field.meaning)),
            )
            for field in self._fields
            if any(field.offset < end and start < field.end for start, end in self._runs)
        ]
        self._view = {"size": size, "runs": self._runs, "fields": fields}
        self._draw_bytes()

    def _draw_bytes(self) -> None:
        with self.hold_sync():
            self._seen = b"".join(self._data[start:end] for start, end in self._runs)
            self._changed = [(at, self._original[at]) for at in self.flipped]

    @traitlets.observe("selected")
    def _unfold_around(self, change: Any) -> None:
        at = change["new"]
        if 0 <= at < len(self._data) and not any(start <= at < end for start, end in self._runs):
            self._unfold(at // ROW)

    def _unfold(self, row: int) -> None:
        self._opened.append((row, row + _UNFOLDED))
        with self.hold_sync():
            self._draw()

    def _heard(self, _: object, content: Any, buffers: object) -> None:
        """What the page asks for."""
        match content:
            case {"flip": [int(at), int(bit)]} if 0 <= at < len(self._data) and 0 <= bit < 8:
                self.flip(at, bit)
            case {"unfold": int(row)} if 0 <= row * ROW < len(self._data):
                self._unfold(row)

    def __repr__(self) -> str:
        return f"<ByteMap {self.label}, {len(self._data):,} bytes, {len(self._fields):,} fields>"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        data, metadata = super()._repr_mimebundle_(**options) or ({}, {})
        return {**data, **self.still()}, metadata


def _told(text: str) -> str:
    text = markup.printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
