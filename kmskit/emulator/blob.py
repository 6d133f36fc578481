"""The CiphertextBlob of a symmetric key, and the associated data that an encryption context becomes.

    base64( version id, 36 ASCII bytes | iv 12 | AES-GCM ciphertext | tag 16 )

    AAD = none, where no EncryptionContext was given
        = SHA-256( "k1=v1&k2=v2&…" ), keys sorted, UTF-8, nothing escaped

What is encrypted is the Plaintext parameter as it was sent, which clients make the base64 of their data. The blob names
a version and no key, and the AAD cannot tell `{"a": "1&b=2"}` from `{"a": "1", "b": "2"}`: both are the service's.

Source: the vendor's transfer SDKs, which take such blobs apart and put them together.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from hashlib import sha256
from os import urandom
from typing import Any, Protocol

from kmskit.emulator.errors import invalid

__all__ = ["VERSION_SIZE", "Aead", "associated_data", "open_blob", "seal_blob", "version_of"]

VERSION_SIZE = 36
_IV_SIZE = 12
_TAG_SIZE = 16
_MAX_CONTEXT = 8192


class Aead(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


def associated_data(context: str | None, parameter: str = "EncryptionContext") -> bytes | None:
    """
    Args:
        context: the parameter, a JSON object of text to text; None if it was not given. An empty object is one that
            was given, as in the vendor's SDKs.

    Raises:
        ServiceError: InvalidParameter.
    """
    if context is None:
        return None
    pairs = None
    if len(context) <= _MAX_CONTEXT:
        try:
            pairs = json.loads(context, object_pairs_hook=_pairs)
        except (ValueError, RecursionError):
            pairs = None
    if isinstance(pairs, _Pairs) and all(isinstance(value, str) for _, value in pairs.items):
        try:
            return sha256("&".join(f"{name}={value}" for name, value in sorted(pairs.items)).encode()).digest()
        except UnicodeEncodeError:
            pass  # A lone surrogate, which UTF-8 cannot hold.
    raise invalid(parameter, "A JSON object of text to text is expected.")


class _Pairs:
    """What a JSON object held; a list of pairs could be mistaken for a JSON array."""

    def __init__(self, items: list[tuple[str, Any]]) -> None:
        self.items = items


def _pairs(items: list[tuple[str, Any]]) -> _Pairs:
    if len({name for name, _ in items}) != len(items):
        raise ValueError("a name stands there twice")
    return _Pairs(items)


def seal_blob(version: str, cipher: Aead, plaintext: str, aad: bytes | None, iv: bytes | None = None) -> str:
    """`iv` is for known-answer tests only."""
    iv = iv or urandom(_IV_SIZE)
    return b64encode(version.encode() + iv + cipher.encrypt(iv, plaintext.encode(), aad)).decode()


def version_of(blob: str) -> tuple[str, bytes]:
    """The version id that a blob names, and what follows it.

    Raises:
        ServiceError: InvalidParameter: it is no blob.
    """
    try:
        data = b64decode(blob, validate=True)
        version = data[:VERSION_SIZE].decode("ascii")
    except ValueError:
        data, version = b"", ""
    if len(data) < VERSION_SIZE + _IV_SIZE + _TAG_SIZE:
        raise invalid("CiphertextBlob")
    return version, data[VERSION_SIZE:]


def open_blob(cipher: Aead, rest: bytes, aad: bytes | None) -> str:
    """
    Args:
        rest: what follows the version id.

    Raises:
        Exception: whatever the cipher raises for bytes, key and context that do not belong together.
    """
    return cipher.decrypt(rest[:_IV_SIZE], rest[_IV_SIZE:], aad).decode()
