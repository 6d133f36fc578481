"""`EnvelopeInfo`: what a message says of itself."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from kmskit.envelope import drawing
from kmskit.envelope import header as headers
from kmskit.envelope.fields import Field, of_footer, of_frames, of_header
from kmskit.envelope.header import Header, Recipient
from kmskit.envelope.suite import FINAL_MARK, FRAME_OVERHEAD, body_size, split, split_body
from kmskit.errors import InvalidCiphertextError
from kmskit.types import Buffer

__all__ = ["EnvelopeInfo", "inspect", "of_writing"]


@dataclass(frozen=True, slots=True)
class EnvelopeInfo:
    """A message, described. Jupyter draws it, byte by byte.

    Attributes:
        header: suite, message id, context, recipients, frame length, commitment.
        start: the header's bytes, with its tag.
        frames: how many, the final one included.
        length: of the plaintext, in bytes.
        size: of the message, in bytes.
        authenticated: whether a key was used. If not, all of this is only what the bytes claim.
    """

    header: Header
    start: bytes
    frames: int
    length: int
    size: int
    authenticated: bool

    @property
    def suite(self) -> str:
        return f"0x{self.header.suite:04x}"

    @property
    def signed(self) -> bool:
        return self.header.signed

    @property
    def context(self) -> Mapping[str, str]:
        return MappingProxyType(dict(self.header.context))

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        return self.header.recipients

    @property
    def frame_length(self) -> int:
        return self.header.frame_length

    @property
    def header_size(self) -> int:
        """In bytes, with the tag."""
        return len(self.start)

    @property
    def fields(self) -> tuple[Field, ...]:
        """What stands at which place, from the first byte to the last."""
        last = self.length - (self.frames - 1) * self.frame_length
        fields = [
            *of_header(self.header, self.start),
            *of_frames(len(self.start), self.frame_length, self.frames, last),
        ]
        if fields[-1].end < self.size:
            fields += of_footer(fields[-1].end, self.size - fields[-1].end)
        return tuple(fields)

    def __repr__(self) -> str:
        kind = "signed envelope" if self.signed else "envelope"
        claim = "" if self.authenticated else ", not authenticated"
        return (
            f"<EnvelopeInfo {kind}, {len(self.recipients)} recipient(s), {self.frames} frame(s) of up to "
            f"{self.frame_length:,} bytes, {self.length:,} bytes of plaintext{claim}>"
        )

    def _repr_svg_(self) -> str:
        return drawing.svg(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """IPython's text: the table. There is no HTML, because GitHub would show that and leave the picture out."""
        printer.text(drawing.text(self))


def of_writing(header: Header, start: bytes, length: int) -> EnvelopeInfo:
    """The info of a message that was just written."""
    regular, _ = split(length, header.frame_length)
    footer = headers.FOOTER_SIZE if header.signed else 0
    size = len(start) + body_size(length, header.frame_length) + footer
    return EnvelopeInfo(header, start, regular + 1, length, size, True)


def inspect(message: Buffer | str | os.PathLike[str]) -> EnvelopeInfo:
    """Read a message's header and count its frames, without any key.

    Args:
        message: the bytes, or the path of a file.

    Raises:
        InvalidCiphertextError: not a message of this format, or cut short.
        OSError: the file cannot be read.
    """
    if isinstance(message, str | os.PathLike):
        with Path(message).open("rb") as file:
            return _inspect(file, os.fstat(file.fileno()).st_size)
    if not isinstance(message, bytes | bytearray | memoryview):
        raise TypeError(f"message: bytes or a path expected, not {type(message).__name__}")
    data = bytes(message)
    return _inspect(io.BytesIO(data), len(data))


def _inspect(file: BinaryIO, size: int) -> EnvelopeInfo:
    header, body, tag = headers.read(file.read)
    start = len(body) + len(tag)
    footer = _footer_size(file, size) if header.signed else 0
    regular, last = split_body(size - start - footer, header.frame_length)
    file.seek(start + regular * (header.frame_length + FRAME_OVERHEAD))
    final = file.read(24)
    if final[:4] != FINAL_MARK or int.from_bytes(final[20:]) != last:
        raise InvalidCiphertextError("the envelope's final frame is not there", hint="was it stored whole?")
    length = regular * header.frame_length + last
    return EnvelopeInfo(header, body + tag, regular + 1, length, size, False)


def _footer_size(file: BinaryIO, size: int) -> int:
    """A DER signature of P-384 has 8 to 104 bytes and tells its own length, right behind the footer's."""
    at = file.tell()
    tail = min(size - at, 2 + 104)
    file.seek(size - tail)
    end = file.read(tail)
    for length in range(8, 105):
        footer = end[-length - 2 :]
        if len(footer) == length + 2 and footer[:3] == length.to_bytes(2) + b"\x30" and footer[3] == length - 2:
            return length + 2
    raise InvalidCiphertextError("the envelope's signature is not there", hint="was it stored whole?")
