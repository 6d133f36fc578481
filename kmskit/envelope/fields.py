"""The fields of a message: what stands at which place, by the names of the layouts in `header` and `suite`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kmskit.context import canonical
from kmskit.envelope.header import PUBLIC_KEY_NAME, TAG_SIZE, Header, Recipient
from kmskit.envelope.recipients import PROVIDER
from kmskit.envelope.suite import FRAME_OVERHEAD

__all__ = ["Field", "of_footer", "of_frames", "of_header"]

_SHOWN_FRAMES = 2  # Of the regular ones; so many messages have more that they cannot all be listed.
_SUITE = "AES-256-GCM, keys by HKDF-SHA-512, key commitment"
_SIGNED_SUITE = f"{_SUITE}, ECDSA P-384 signature"


@dataclass(frozen=True, slots=True)
class Field:
    """Some bytes of a message that belong together.

    Attributes:
        name: as in the layout, such as `frame length`.
        offset: where the first byte is in the message.
        size: how many bytes.
        meaning: what they are for, in a phrase.
        value: what they say: a number, text, or bytes that have no other form. None in the body, which is not read.
        group: what the field is a part of: `header`, `context`, `recipient 1`, `seal`, `frame 1`, `final frame`,
            `footer`.
        random: whether the bytes were drawn, or come from what was drawn: no two runs of a program have them in common.
    """

    name: str
    offset: int
    size: int
    meaning: str
    value: int | str | bytes | None = None
    group: str = "header"
    random: bool = False

    @property
    def end(self) -> int:
        return self.offset + self.size


class _Ruler:
    """Makes fields that stand one behind the other."""

    def __init__(self, at: int, group: str) -> None:
        self._at = at
        self.group = group

    def field(
        self, name: str, size: int, meaning: str, value: int | str | bytes | None = None, *, random: bool = False
    ) -> Field:
        field = Field(name, self._at, size, meaning, value, self.group, random)
        self._at += size
        return field

    def with_length(
        self, name: str, data: bytes, meaning: str, value: str | bytes, *, random: bool = False
    ) -> Iterator[Field]:
        """A field of any length, and before it the length."""
        yield self.field(f"{name} length", 2, "in bytes", len(data))
        yield self.field(name, len(data), meaning, value, random=random)


def of_header(header: Header, start: bytes) -> Iterator[Field]:
    """The fields of a header.

    Args:
        header: what it says.
        start: its bytes, with the tag.
    """
    ruler = _Ruler(0, "header")
    yield ruler.field("version", 1, "of the message format", start[0])
    yield ruler.field("suite", 2, _SIGNED_SUITE if header.signed else _SUITE, f"0x{header.suite:04x}")
    message_id = header.message_id
    yield ruler.field("message id", len(message_id), "makes the keys of this message its own", message_id, random=True)
    yield from _of_context(header, ruler)
    ruler.group = "recipients"
    yield ruler.field("recipient count", 2, "any one of them opens the message", len(header.recipients))
    for number, recipient in enumerate(header.recipients, 1):
        ruler.group = f"recipient {number}"
        yield from _of_recipient(recipient, ruler)
    ruler.group = "seal"
    yield ruler.field("content type", 1, "2: the body is cut into frames", 2)
    yield ruler.field("frame length", 4, "bytes of plaintext in each frame but the final one", header.frame_length)
    commitment = header.commitment
    yield ruler.field(
        "commitment", len(commitment), "of the data key: no other one is accepted", commitment, random=True
    )
    yield ruler.field("tag", TAG_SIZE, "authenticates every byte above", start[-TAG_SIZE:], random=True)


def _of_context(header: Header, ruler: _Ruler) -> Iterator[Field]:
    size = len(canonical(header.context))
    ruler.group = "context"
    yield ruler.field("context length", 2, "in bytes; 0 if there is none", size)
    if not size:
        return
    yield ruler.field("pair count", 2, "text pairs, in the order of their keys", len(header.context))
    for name, value in sorted(header.context.items(), key=lambda pair: pair[0].encode()):
        is_ours = name == PUBLIC_KEY_NAME
        kind = "the format's own" if is_ours else "of a pair: readable by everyone, and authenticated"
        yield from ruler.with_length("key", name.encode(), kind, name)
        kind = "the public key for the signature in the footer" if is_ours else "of the same pair"
        yield from ruler.with_length("value", value.encode(), kind, value, random=is_ours)


def _of_recipient(recipient: Recipient, ruler: _Ruler) -> Iterator[Field]:
    is_ours = recipient.provider == PROVIDER
    kind = "a key of a backend" if is_ours else "the namespace of a raw key"
    which = "which key: backend and key id" if is_ours else "which key, by the name it was given"
    info = _readable(recipient.info)
    is_drawn = is_ours or isinstance(info, bytes)  # A raw AES key's info ends in the iv of its wrapping.
    wrapped = recipient.wrapped
    yield from ruler.with_length("provider id", recipient.provider.encode(), kind, recipient.provider)
    yield from ruler.with_length("provider info", recipient.info, which, info, random=is_drawn)
    yield from ruler.with_length("wrapped data key", wrapped, "opens under that key only", wrapped, random=True)


def of_frames(start: int, frame_length: int, frames: int, last: int) -> Iterator[Field]:
    """The fields of the first frames and the final one; what is between is one field.

    Args:
        start: where the first frame is.
        frame_length: of the plaintext.
        frames: how many, the final one included.
        last: the length of the final frame's plaintext.
    """
    regular, stride = frames - 1, frame_length + FRAME_OVERHEAD
    shown = regular if regular <= _SHOWN_FRAMES + 1 else _SHOWN_FRAMES
    for number in range(1, shown + 1):
        ruler = _Ruler(start + (number - 1) * stride, f"frame {number}")
        yield from _of_place(ruler)
        yield from _of_content(ruler, frame_length)
    if shown < regular:
        group = f"frames {shown + 1:,} to {regular:,}"
        size = (regular - shown) * stride
        yield Field("frames", start + shown * stride, size, f"{regular - shown:,} frames like these", None, group, True)
    ruler = _Ruler(start + regular * stride, "final frame")
    yield ruler.field("final mark", 4, "FFFFFFFF: no frame follows")
    yield from _of_place(ruler)
    yield ruler.field("length", 4, f"of the plaintext: at most {frame_length:,}")
    yield from _of_content(ruler, last)


def _of_place(ruler: _Ruler) -> Iterator[Field]:
    yield ruler.field("sequence", 4, "its place, counted from 1")
    yield ruler.field("iv", 12, "used once under this message's key")


def _of_content(ruler: _Ruler, size: int) -> Iterator[Field]:
    yield ruler.field("ciphertext", size, "as long as the plaintext", random=True)
    yield ruler.field("tag", TAG_SIZE, "authenticates the frame, its place and its length", random=True)


def of_footer(start: int, size: int) -> Iterator[Field]:
    """The fields behind the final frame of a signed message."""
    ruler = _Ruler(start, "footer")
    yield ruler.field("signature length", 2, "in bytes")
    yield ruler.field("signature", size - 2, "ECDSA P-384 over everything above", random=True)


def _readable(data: bytes) -> str | bytes:
    """Text as text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    return text if text.isprintable() else data
