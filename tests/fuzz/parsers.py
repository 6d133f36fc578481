"""What must hold for each parser, whatever it is given: only the errors that it names, and no loss on the way back."""

from __future__ import annotations

import io
import json
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from kmskit import ciphertext, context, envelope, explain, uri
from kmskit.envelope import header
from kmskit.errors import ConfigurationError, InvalidCiphertextError

__all__ = ["PARSERS", "Parser"]


class Parser(NamedTuple):
    """
    Attributes:
        check: fails if something does not hold for these bytes.
        seeds: what a fuzzer starts from.
    """

    check: Callable[[bytes], None]
    seeds: list[bytes]


VECTORS = json.loads((Path(__file__).parents[2] / "data" / "vectors" / "envelope.json").read_text(encoding="utf-8"))
KEYS = [envelope.RawAesKey(VECTORS["namespace"], name, bytes.fromhex(key)) for name, key in VECTORS["aes keys"].items()]
MESSAGES = [b64decode(vector["message"]) for vector in VECTORS["messages"]]


def check_envelope(data: bytes) -> None:
    explained = explain(data)
    try:
        read, body, tag = header.read(io.BytesIO(data).read)
        assert header.encode(read) + tag == data[: len(body) + len(tag)]
        assert explained.format == "envelope"
        assert explained.context == read.own_context
    except InvalidCiphertextError:
        assert not explained.recipients
    try:
        info = envelope.inspect(data)
        assert info.size == len(data) == sum(field.size for field in info.fields)
    except InvalidCiphertextError:
        info = None
    opened = []
    for read_all in (one_shot, in_order, from_the_end):
        try:
            opened.append(read_all(data))
        except InvalidCiphertextError:
            opened.append(None)
    assert opened[0] == opened[1] == opened[2]
    if opened[0] is not None:
        assert data in MESSAGES  # Nobody makes a message that opens without the key.
        assert info is not None
        assert info.length == len(opened[0])


def one_shot(data: bytes) -> bytes:
    return envelope.decrypt(data, KEYS)


def in_order(data: bytes) -> bytes:
    with envelope.open(io.BytesIO(data), "rb", KEYS) as file:
        return b"".join(iter(lambda: file.read(100), b""))


def from_the_end(data: bytes) -> bytes:
    with envelope.open(io.BytesIO(data), "rb", KEYS) as file:
        if file.seekable():
            file.seek(0, io.SEEK_END)
            file.seek(0)
        return file.read()


def check_context(data: bytes) -> None:
    try:
        pairs = context.parse(data)
    except UnicodeError:
        raise
    except ValueError:
        return
    assert context.canonical(pairs) == data


def check_ciphertext(data: bytes) -> None:
    explain(data)
    try:
        parts = ciphertext.parse(data)
    except InvalidCiphertextError:
        return
    assert ciphertext.header(parts.version) + parts.iv + parts.body == data


def check_uri(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    try:
        parsed = uri.parse(text)
    except ConfigurationError:
        return
    assert uri.parse(str(parsed)) == parsed
    repr(parsed)


URIS = (
    "software:",
    "software:?memory=1",
    "software:///abs/keys.db?key-file=/abs/a%20b",
    "pkcs11:token=kmskit;serial=%00%ff?module-path=/usr/lib/libsofthsm2.so&pin-source=file:/x",
    "alibaba://cn-hangzhou?instance=kst-1&ca=/x.pem&endpoint=localhost:8443",
    "alibaba://[::1]:8443?ca=/x.pem",
)
PARSERS = {
    "envelope": Parser(check_envelope, MESSAGES),
    "context": Parser(check_context, [context.canonical({"table": "orders", "ünï": "", "": "x"}), b""]),
    "ciphertext": Parser(check_ciphertext, [ciphertext.header(7) + bytes(40), b"\x7f" * 256]),
    "uri": Parser(check_uri, [text.encode() for text in URIS]),
}
