"""What a message says of itself, without any key."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

import kmskit
from kmskit import InvalidCiphertextError, envelope
from kmskit.envelope import RawAesKey, RawRsaKey
from kmskit.testing import leaks

CONTEXT = {"table": "orders", "ünï": ""}
LENGTH = 64


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("size", [0, 1, LENGTH - 1, LENGTH, LENGTH + 1, 3 * LENGTH, 1000])
def test_a_message_is_described_without_a_key(
    tmp_path: Path, kms: kmskit.Kms, key: kmskit.Key, aes: RawAesKey, safe: RawRsaKey, size: int, *, signed: bool
) -> None:
    secret = os.urandom(size)
    message = envelope.encrypt(secret, [key, aes, safe], context=CONTEXT, signed=signed, frame_length=LENGTH)
    path = tmp_path / "message"
    path.write_bytes(message)
    before = kms.calls
    for given in (message, bytearray(message), memoryview(message), path, str(path)):
        info = envelope.inspect(given)
        assert not info.authenticated
        assert (info.signed, info.suite) == (signed, "0x0578" if signed else "0x0478")
        assert (info.length, info.size, info.frame_length) == (size, len(message), LENGTH)
        assert info.frames == max(1, -(-size // LENGTH))
        assert {name: info.context[name] for name in CONTEXT} == CONTEXT == info.header.own_context
        assert set(info.context) - set(CONTEXT) == ({"aws-crypto-public-key"} if signed else set())
        assert [recipient.provider for recipient in info.recipients] == ["kmskit", "partner", "safe"]
        assert info.recipients[0].info == f"software:{key.id}".encode()
        assert message.startswith(info.start)
        assert info.header_size == len(info.start)
        if size >= 64:
            leaks.assert_clean([repr(info), str(info.fields)], secret)
    assert kms.calls == before


def test_the_repr_says_that_nothing_was_authenticated(aes: RawAesKey) -> None:
    message = envelope.encrypt(b"x" * 100, [aes], frame_length=LENGTH)
    shown = "1 recipient(s), 2 frame(s) of up to 64 bytes, 100 bytes of plaintext"
    assert repr(envelope.inspect(message)) == f"<EnvelopeInfo envelope, {shown}, not authenticated>"
    signed = envelope.encrypt(b"x" * 100, [aes], frame_length=LENGTH, signed=True)
    assert repr(envelope.inspect(signed)) == f"<EnvelopeInfo signed envelope, {shown}, not authenticated>"


def test_what_it_says_is_read_only(aes: RawAesKey) -> None:
    info = envelope.inspect(envelope.encrypt(b"", [aes], context=CONTEXT))
    with pytest.raises(TypeError):
        info.context["table"] = "others"  # type: ignore[index]
    with pytest.raises(AttributeError):
        info.length = 7  # type: ignore[misc]


@pytest.mark.parametrize("signed", [False, True])
def test_a_cut_message_is_refused(aes: RawAesKey, *, signed: bool) -> None:
    message = envelope.encrypt(bytes(3 * LENGTH), [aes], signed=signed, frame_length=LENGTH)
    header_size = envelope.inspect(message).header_size
    for length in range(len(message)):
        with pytest.raises(InvalidCiphertextError) as caught:
            envelope.inspect(message[:length])
        if length < header_size:
            assert "header is cut short" in str(caught.value)


def test_it_believes_what_a_key_would_refuse(aes: RawAesKey) -> None:
    message = bytearray(envelope.encrypt(bytes(100), [aes], context={"table": "orders"}, frame_length=LENGTH))
    at = message.index(b"orders")
    message[at : at + 6] = b"others"
    assert envelope.inspect(message).context == {"table": "others"}
    with pytest.raises(InvalidCiphertextError):
        envelope.decrypt(message, [aes])


@pytest.mark.parametrize("wrong", [None, 7, ["x"], io.BytesIO()])
def test_only_bytes_and_paths_are_inspected(wrong: Any) -> None:
    with pytest.raises(TypeError, match="bytes or a path"):
        envelope.inspect(wrong)


def test_a_file_that_is_not_there_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        envelope.inspect(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        envelope.inspect(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(InvalidCiphertextError, match="cut short"):
        envelope.inspect(tmp_path / "empty")


def test_a_large_file_is_not_read(tmp_path: Path, aes: RawAesKey) -> None:
    path = tmp_path / "message"
    message = envelope.encrypt(b"", [aes])
    start, end = message[:-40], message[-40:]
    frame = 2**18 + 32
    with path.open("wb") as file:
        file.write(start)
        file.seek(len(start) + 2**20 * frame)  # A hole of 256 GiB, where frames would be.
        file.write(end)
    info = envelope.inspect(path)
    assert (info.frames, info.length) == (2**20 + 1, 2**38)
