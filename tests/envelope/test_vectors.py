"""Messages with known answers, made by other code: `data/vectors/README.md`."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from kmskit import InvalidCiphertextError, envelope
from kmskit.envelope import RawAesKey, RawRsaKey

FOLDER = Path(__file__).parents[2] / "data" / "vectors"
STORED = json.loads((FOLDER / "envelope.json").read_text(encoding="utf-8"))
MESSAGES = STORED["messages"]
REASONS = {
    "version": "this is not an envelope message",
    "suite": "suite 0x.* is not read",
    "context": "the envelope's context",
    "recipients": "names . recipients",
    "provider": "provider id is not UTF-8",
    "framing": "not framed, or its frames are too long",
    "stripped": "disagree about a signature",
    "no recipient": "none of the given keys is a recipient",
    "wrapped key": "no recipient could open",
    "header": "header does not belong to this key",
    "public key": "no P-384 public key",
    "order": "not where it belongs",
    "frame": "does not open",
    "cut": "cut short|final frame",
    "trailing": "bytes follow|not where it belongs",
    "signature": "signature",
}
"""What the error says for each name of a failure."""


def key_of(vector: dict[str, Any]) -> RawAesKey | RawRsaKey:
    name, namespace = vector["key"], STORED["namespace"]
    if name in STORED["aes keys"]:
        return RawAesKey(namespace, name, bytes.fromhex(STORED["aes keys"][name]))
    return RawRsaKey(namespace, name, STORED["rsa key"], padding=name.replace("rsa-sha", "OAEP_SHA_"))


def streamed(message: bytes, keys: list[Any]) -> bytes:
    with envelope.open(io.BytesIO(message), "rb", keys) as file:
        return file.read()


@pytest.mark.parametrize("read", [envelope.decrypt, streamed])
@pytest.mark.parametrize("vector", [one for one in MESSAGES if "plaintext" in one], ids=lambda vector: vector["name"])
def test_a_message_that_opens(vector: dict[str, Any], read: Any) -> None:
    message, key = b64decode(vector["message"]), key_of(vector)
    assert read(message, [key]) == b64decode(vector["plaintext"])
    assert envelope.inspect(message).header.own_context == vector["context"]
    envelope.decrypt(message, [key], require_context=vector["context"])


@pytest.mark.parametrize("read", [envelope.decrypt, streamed])
@pytest.mark.parametrize("vector", [one for one in MESSAGES if "failure" in one], ids=lambda vector: vector["name"])
def test_a_message_that_is_refused(vector: dict[str, Any], read: Any) -> None:
    with pytest.raises(InvalidCiphertextError, match=REASONS[vector["failure"]]):
        read(b64decode(vector["message"]), [key_of(vector)])


def test_every_vector_has_a_name_and_every_failure_a_vector() -> None:
    assert len({vector["name"] for vector in MESSAGES}) == len(MESSAGES) > 80
    assert {vector["failure"] for vector in MESSAGES if "failure" in vector} == set(REASONS)
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{failure}`" in readme for failure in REASONS)


def test_the_generator_makes_the_file_again_byte_for_byte() -> None:
    made = subprocess.run([sys.executable, "-B", FOLDER / "make.py"], capture_output=True, timeout=60, check=True)
    assert made.stdout == (FOLDER / "envelope.json").read_bytes()
