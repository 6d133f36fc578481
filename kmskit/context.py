"""The canonical bytes of an encryption context.

    pair count u16 | (key length u16 | key | value length u16 | value)*        big-endian, UTF-8, sorted by the key's bytes

This is the serialisation of the AWS Encryption SDK message format: every part has its length before it, so two different
contexts never have the same bytes. An empty context has no bytes at all, so it equals an absent one.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct

from kmskit.errors import LimitExceededError

__all__ = ["MAX_BYTES", "canonical", "parse"]

MAX_BYTES = 0xFFFF
_u16 = Struct(">H")
_pack = _u16.pack


def canonical(context: Mapping[str, str] | None) -> bytes:
    """The bytes that stand for `context`.

    Raises:
        TypeError: not a mapping of str to str.
        ValueError: text that UTF-8 cannot hold (a lone surrogate).
        LimitExceededError: more than 65,535 bytes.
    """
    if context is None:
        return b""
    if not isinstance(context, Mapping):
        raise TypeError(f"context: a mapping of str to str expected, not {type(context).__name__}")
    if not context:
        return b""
    for part in (*context.keys(), *context.values()):
        if not isinstance(part, str):
            raise TypeError(f"context: keys and values are text (str), not {type(part).__name__}")
    encoded = _encode(context)
    if encoded is None:
        raise ValueError("context: text with a lone surrogate cannot be encoded as UTF-8")
    if 2 + sum(4 + len(key) + len(value) for key, value in encoded) > MAX_BYTES:
        raise LimitExceededError(
            f"context: more than {MAX_BYTES:,} bytes", hint="a context names the data; keep the data itself out of it"
        )
    return _pack(len(encoded)) + b"".join(_pack(len(key)) + key + _pack(len(value)) + value for key, value in encoded)


def _encode(context: Mapping[str, str]) -> list[tuple[bytes, bytes]] | None:
    """The pairs as sorted UTF-8. None instead of an error, because a UnicodeEncodeError would carry the text along."""
    try:
        return sorted((key.encode(), value.encode()) for key, value in context.items())
    except UnicodeEncodeError:
        return None


def parse(data: bytes) -> dict[str, str]:
    """The context whose canonical bytes are `data`.

    Raises:
        ValueError: not canonical: cut short, bytes left over, unsorted or doubled keys, not UTF-8.
    """
    if not data:
        return {}
    if len(data) > MAX_BYTES:
        raise ValueError("context: too long")
    fields: list[bytes] = []
    at = 2
    count = _u16.unpack_from(data)[0] if len(data) >= 2 else 0
    if count == 0:
        raise ValueError("context: an empty context has no bytes")
    for _ in range(2 * count):
        if at + 2 > len(data):
            raise ValueError("context: cut short")
        end = at + 2 + _u16.unpack_from(data, at)[0]
        if end > len(data):
            raise ValueError("context: cut short")
        fields.append(bytes(data[at + 2 : end]))
        at = end
    if at != len(data):
        raise ValueError("context: bytes left over")
    keys, values = fields[::2], fields[1::2]
    if any(left >= right for left, right in zip(keys, keys[1:], strict=False)):
        raise ValueError("context: keys are not in order")
    try:
        return {key.decode(): value.decode() for key, value in zip(keys, values, strict=True)}
    except UnicodeDecodeError:
        raise ValueError("context: not UTF-8") from None
