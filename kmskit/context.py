"""The canonical bytes of an encryption context.

    pair count u16 | (key length u16 | key | value length u16 | value)*        big-endian, UTF-8, sorted by the key's
    bytes

This is the serialisation of the AWS Encryption SDK message format: every part has its length before it, so two
different contexts never have the same bytes. An empty context has no bytes at all, so it equals an absent one.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from struct import Struct
from struct import error as StructError

from kmskit.errors import LimitExceededError

__all__ = ["MAX_BYTES", "canonical", "parse"]

MAX_BYTES = 0xFFFF
_u16 = Struct(">H").pack
_utf8 = str.encode  # Unbound, so that anything but text is a TypeError.
_last: tuple[dict[str, str], bytes] = ({}, b"")
"""The last context and its bytes: a loop mostly has one, and looking it up takes a third of the time. The pair is
replaced and never changed. It stays in memory until the next context comes: a context is no secret."""


def canonical(context: Mapping[str, str] | None) -> bytes:
    """The bytes that stand for `context`.

    Raises:
        TypeError: not a mapping of str to str.
        ValueError: text that UTF-8 cannot hold (a lone surrogate).
        LimitExceededError: more than 65,535 bytes.
    """
    global _last
    if context is None:
        return b""
    pairs = {**context} if type(context) is dict else _copy(context)  # Another thread may change the caller's.
    for key in pairs:  # A subclass of str may call different texts equal, so such are encoded and not compared.
        if not type(key) is type(pairs[key]) is str:
            return _encoded(pairs)
    known, data = _last
    if pairs != known:
        data = _encoded(pairs)
        _last = pairs, data
    return data


def _copy(context: Mapping[str, str]) -> dict[str, str]:
    try:
        return dict(context.items())
    except (AttributeError, TypeError):
        pass
    raise _not_text()


def _encoded(pairs: dict[str, str]) -> bytes:
    """Linear in the pairs, also where they turn out to be too many."""
    if not pairs:
        return b""
    problem: Exception
    try:
        fields = [_u16(len(pairs))]
        # Text sorts by code points, which is the order of its UTF-8 bytes.
        for key, value in sorted(pairs.items()) if len(pairs) > 1 else pairs.items():
            key_bytes, value_bytes = _utf8(key), _utf8(value)
            fields += _u16(len(key_bytes)), key_bytes, _u16(len(value_bytes)), value_bytes
        data = b"".join(fields)
        if len(data) <= MAX_BYTES:
            return data
        problem = _too_long()
    except UnicodeEncodeError:
        problem = ValueError("context: text with a lone surrogate cannot be encoded as UTF-8")
    except TypeError:
        problem = _not_text()
    except StructError:
        problem = _too_long()
    raise problem  # Outside of `except`, because a UnicodeEncodeError would carry the text along in the chain.


def _not_text() -> TypeError:
    return TypeError("context: a mapping of text to text (str to str) expected")


def _too_long() -> LimitExceededError:
    return LimitExceededError(
        f"context: more than {MAX_BYTES:,} bytes", hint="a context names the data; keep the data itself out of it"
    )


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
    count = int.from_bytes(data[:2])
    if count == 0:
        raise ValueError("context: an empty context has no bytes")
    for _ in range(2 * count):
        if at + 2 > len(data):
            raise ValueError("context: cut short")
        end = at + 2 + int.from_bytes(data[at : at + 2])
        if end > len(data):
            raise ValueError("context: cut short")
        fields.append(bytes(data[at + 2 : end]))
        at = end
    if at != len(data):
        raise ValueError("context: bytes left over")
    keys, values = fields[::2], fields[1::2]
    if any(left >= right for left, right in pairwise(keys)):
        raise ValueError("context: keys are not in order")
    try:
        return {key.decode(): value.decode() for key, value in zip(keys, values, strict=True)}
    except UnicodeDecodeError:
        raise ValueError("context: not UTF-8") from None
