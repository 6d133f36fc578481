"""`EnvelopeInspector`: the bytes of an envelope, field by field; and which check refuses one when a bit is flipped."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from kmskit import InvalidCiphertextError, Key, KmsError, LimitExceededError, envelope, markup
from kmskit.envelope import EnvelopeInfo, RawAesKey, RawRsaKey, drawing
from kmskit.types import Buffer
from kmskit.widgets import controls
from kmskit.widgets.bytemap import ByteField, ByteMap
from kmskit.widgets.tile import Tile, refusal_html

__all__ = ["EnvelopeInspector"]

_Found: TypeAlias = tuple[EnvelopeInfo, int | KmsError | None]

_LARGEST_FILE = 64 * 2**20
_LISTED = 200
_LONGEST = 32  # characters of a value in the list; the grid tells the rest


class EnvelopeInspector(Tile):
    """An envelope to look into: its bytes by field, what each says, and what refuses a changed one.

    Without keys only the layout can be checked. With them the message is opened after each change, and what it holds
    is not kept. The message itself, or its file, is never changed.

    Args:
        message: the bytes of an envelope, or the path of a file of up to 64 MiB. What is no envelope is shown too, with
            the reason why it is none.
        keys: to open it with: as for `kmskit.envelope.decrypt`.

    Raises:
        LimitExceededError: the file is larger.
        OSError: the file cannot be read.
    """

    def __init__(
        self, message: Buffer | str | os.PathLike[str], *, keys: Sequence[Key | RawAesKey | RawRsaKey] = ()
    ) -> None:
        super().__init__()
        self._keys = list(keys)
        self._turn = 0
        data = _read(message)
        self.info: EnvelopeInfo | InvalidCiphertextError = _inspect(data)
        self.fields = _fields(self.info)
        self.map = ByteMap(data, self.fields, "envelope")
        self.field = controls.choice("Field", [("choose one", -1), *_options(self.fields)], wide=True)
        self.undo = controls.button("Undo flips", self.map.undo, tip="Make all bytes what they were")
        self.changed = controls.say(kind="count")
        self.gates = controls.say()
        self.map.observe(self._follow, "selected")
        self.map.on_flip(self.check)
        self.field.observe(self._go, "value")
        head = controls.say(controls.heading("Envelope", _summary(self.info)))
        bar = controls.row(self.field, self.undo, self.changed)
        self.show(head, bar, self.map, controls.say(_listed(self.fields)), self.gates)
        self.check()

    def still(self) -> dict[str, str]:
        """The table of its fields, as `kmskit.envelope.inspect` draws it."""
        if isinstance(self.info, EnvelopeInfo):
            return {"image/svg+xml": self.info._repr_svg_()}
        return {"text/html": refusal_html(self.info)}

    # What the bytes are now

    def check(self, *_: object) -> None:
        """Check the bytes as they are now: first their layout, then with the keys. The tile's thread does it."""
        self._turn = turn = self._turn + 1
        count = len(self.map.flipped)
        self.undo.disabled = not count
        self.changed.value = f"{count:,} byte{'' if count == 1 else 's'} changed" if count else "unchanged"
        data = self.map.data
        if self._keys:
            self.say("Opening…")

        # Whoever flips faster than the keys answer is told about the last bytes only, and no others are asked for.
        def examine() -> _Found | None:
            return self._examine(data) if self._turn == turn else None

        def examined(found: _Found | None) -> None:
            if found is not None and self._turn == turn:
                self._examined(found)

        def unreadable(error: Exception) -> None:
            if self._turn == turn:
                self._unreadable(error)

        self.work(examine, examined, None, refused=unreadable)

    def _examine(self, data: bytes) -> _Found:
        """What the layout says, and how much the keys open or why they do not."""
        info = envelope.inspect(data)
        try:
            return info, len(envelope.decrypt(data, self._keys)) if self._keys else None
        except KmsError as error:
            return info, error.with_traceback(None)

    def _examined(self, found: _Found) -> None:
        info, opened = found
        self.map.fields = _fields(info)
        if isinstance(opened, KmsError):
            self._tell_gates("passed", "refused")
            self.refuse(opened)
        elif opened is None:
            self._tell_gates("passed", "none given")
            self.say("The layout is in order. Whether it is genuine only a key tells: give keys=[key] too.")
        else:
            self._tell_gates("passed", "passed")
            self.say(f"It opens: {opened:,} bytes of plaintext.")

    def _unreadable(self, error: Exception) -> None:
        self._tell_gates("refused", "not asked")
        self.refuse(error)

    def _tell_gates(self, layout: str, keys: str) -> None:
        kinds = {"passed": "good", "refused": "bad"}
        named = (("the layout, without any key", layout), ("the keys, and what they authenticate", keys))
        cells = (
            f"<span>{name}</span><span>{markup.badge(said, kinds.get(said, 'plain'))}</span>" for name, said in named
        )
        self.gates.value = f'<div class="kms-facts">{"".join(cells)}</div>'

    # The grid and the list of fields say the same

    def _go(self, change: Any) -> None:
        offset = change["new"]
        chosen = self.map.field_at(self.map.selected)
        if offset >= 0 and (chosen is None or chosen.offset != offset):
            self.map.selected = offset

    def _follow(self, change: Any) -> None:
        field = self.map.field_at(change["new"])
        if field is not None and field.offset in dict(self.field.options).values():
            self.field.value = field.offset

    def __repr__(self) -> str:
        """The table of fields in words, as the picture is not shown everywhere."""
        if isinstance(self.info, EnvelopeInfo):
            return drawing.text(self.info)
        return f"<EnvelopeInspector of what is no envelope: {markup.printable(self.info)}>"


def _read(message: Buffer | str | os.PathLike[str]) -> bytes:
    if not isinstance(message, str | os.PathLike):
        return bytes(memoryview(message))
    path = Path(message)
    if path.stat().st_size > _LARGEST_FILE:
        raise LimitExceededError(
            f"message: a file of {path.stat().st_size:,} bytes, and the inspector takes {_LARGEST_FILE:,}",
            hint="kmskit.envelope.inspect(path) describes a file of any size",
        )
    return path.read_bytes()


def _inspect(data: bytes) -> EnvelopeInfo | InvalidCiphertextError:
    try:
        return envelope.inspect(data)
    except InvalidCiphertextError as error:
        return error.with_traceback(None)


def _fields(info: EnvelopeInfo | InvalidCiphertextError) -> list[ByteField]:
    return [ByteField.of(field) for field in info.fields] if isinstance(info, EnvelopeInfo) else []


def _summary(info: EnvelopeInfo | InvalidCiphertextError) -> str:
    if not isinstance(info, EnvelopeInfo):
        return "these bytes are none"
    frames = "1 frame" if info.frames == 1 else f"{info.frames:,} frames"
    kind = "signed, " if info.signed else ""
    return f"{kind}{info.size:,} bytes: {info.header_size:,} of header, {info.length:,} of plaintext in {frames}"


def _options(fields: Sequence[ByteField]) -> list[tuple[str, int]]:
    """Where the list of fields leads; an empty field is nowhere."""
    named = (field for field in fields[:_LISTED] if field.offset < field.end)
    return [(markup.printable(f"{field.offset:,} · {field.group}: {field.name}"), field.offset) for field in named]


def _listed(fields: Sequence[ByteField]) -> markup.Html:
    """All fields as a table: what the grid shows, to be read from top to bottom."""
    rows = (
        (
            f"{field.offset:,}",
            f"{field.end - field.offset:,}",
            field.group,
            field.name,
            _cut(field.value),
            field.meaning,
        )
        for field in fields[:_LISTED]
    )
    more = len(fields) - _LISTED
    table = markup.table(
        ("at", "bytes", "part", "field", "value", "meaning"), rows, note=f"and {more:,} more" if more > 0 else None
    )
    region = (
        f'<div role="region" tabindex="0" aria-label="All fields" style="max-height:320px;overflow:auto">{table}</div>'
    )
    return markup.Html(f"<details><summary>All {len(fields):,} fields as a list</summary>{region}</details>")


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"
