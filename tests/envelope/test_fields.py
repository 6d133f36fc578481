from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

import kmskit
from kmskit import InvalidCiphertextError, envelope
from kmskit.envelope import EnvelopeInfo


@pytest.fixture(scope="module")
def key() -> kmskit.Key:
    return kmskit.connect("software:?memory=1").create_key()


@pytest.fixture(scope="module")
def safe() -> envelope.RawRsaKey:
    return envelope.RawRsaKey("safe", "2026", rsa.generate_private_key(65537, 2048))


def at(info: EnvelopeInfo, message: bytes, name: str, group: str) -> bytes:
    (field,) = (field for field in info.fields if (field.name, field.group) == (name, group))
    return message[field.offset : field.end]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 1000])
def test_fields_cover_every_byte_once(key: kmskit.Key, safe: envelope.RawRsaKey, frames: int, *, signed: bool) -> None:
    aes = envelope.RawAesKey("partner", "ours", bytes(32))
    context = {"table": "orders", "ünï": "", "": "x"}
    plaintext = bytes(frames * 64 - 7)
    message = envelope.encrypt(plaintext, [key, safe, aes], context=context, signed=signed, frame_length=64)
    info = envelope.inspect(message)
    assert info.fields[0].offset == 0
    assert all(left.end == right.offset for left, right in pairwise(info.fields))
    assert info.fields[-1].end == len(message)
    assert info.frames == frames


def test_fields_stand_where_they_say(key: kmskit.Key, safe: envelope.RawRsaKey) -> None:
    message = envelope.encrypt(b"x" * 150, [key, safe], context={"table": "orders"}, frame_length=64)
    info = envelope.inspect(message)
    assert at(info, message, "version", "header") == b"\x02"
    assert at(info, message, "suite", "header") == b"\x04\x78"
    assert at(info, message, "message id", "header") == info.header.message_id
    assert at(info, message, "context length", "context") == b"\x00\x11"
    assert at(info, message, "pair count", "context") == b"\x00\x01"
    assert at(info, message, "key", "context") == b"table"
    assert at(info, message, "value length", "context") == b"\x00\x06"
    assert at(info, message, "value", "context") == b"orders"
    assert at(info, message, "recipient count", "recipients") == b"\x00\x02"
    assert at(info, message, "provider info", "recipient 1") == f"software:{key.id}".encode()
    assert at(info, message, "provider id", "recipient 2") == b"safe"
    assert at(info, message, "wrapped data key", "recipient 2") == info.recipients[1].wrapped
    assert at(info, message, "content type", "seal") == b"\x02"
    assert at(info, message, "frame length", "seal") == b"\x00\x00\x00\x40"
    assert at(info, message, "commitment", "seal") == info.header.commitment
    assert at(info, message, "sequence", "frame 2") == b"\x00\x00\x00\x02"
    assert at(info, message, "final mark", "final frame") == b"\xff\xff\xff\xff"
    assert at(info, message, "sequence", "final frame") == b"\x00\x00\x00\x03"
    assert at(info, message, "length", "final frame") == (150 - 128).to_bytes(4)
    assert len(at(info, message, "ciphertext", "final frame")) == 150 - 128


def test_what_a_field_says_is_what_stands_there(key: kmskit.Key) -> None:
    message = envelope.encrypt(b"x", [key], context={"table": "orders", "shop": "Łódź"}, signed=True)
    header = [field for field in envelope.inspect(message).fields if field.value is not None]
    assert len(header) > 20
    for field in header:
        stored = message[field.offset : field.end]
        if isinstance(field.value, int):
            assert int.from_bytes(stored) == field.value
        elif field.name == "suite":
            assert f"0x{stored.hex()}" == field.value
        else:
            assert stored == (field.value.encode() if isinstance(field.value, str) else field.value)


def test_a_signed_message_ends_in_the_fields_of_its_signature(key: kmskit.Key) -> None:
    message = envelope.encrypt(b"x", [key], signed=True)
    info = envelope.inspect(message)
    length, signature = info.fields[-2:]
    assert (length.group, signature.group) == ("footer", "footer")
    assert int.from_bytes(message[length.offset : length.end]) == signature.size


def test_a_change_in_any_field_is_refused(key: kmskit.Key) -> None:
    message = envelope.encrypt(b"x" * 150, [key], context={"table": "orders"}, signed=True, frame_length=64)
    fields = envelope.inspect(message).fields
    assert envelope.decrypt(message, [key]) == b"x" * 150
    for field in fields:
        changed = bytearray(message)
        changed[field.offset] ^= 1
        with pytest.raises(InvalidCiphertextError):
            envelope.decrypt(changed, [key])


def test_a_message_of_many_frames_has_few_fields(key: kmskit.Key) -> None:
    message = envelope.encrypt(bytes(100_000), [key], frame_length=16)
    fields = envelope.inspect(message).fields
    assert len(fields) < 40
    (between,) = (field for field in fields if field.name == "frames")
    assert between.group == "frames 3 to 6,249"
    assert between.size == 6247 * (16 + 32)


def test_the_info_of_a_written_and_of_a_read_file_have_the_fields_of_an_inspection(
    key: kmskit.Key, tmp_path: Path
) -> None:
    plain, sealed, opened = (tmp_path / name for name in ("plain", "sealed", "opened"))
    plain.write_bytes(bytes(100))
    for signed in (False, True):
        written = envelope.encrypt_file(plain, sealed, [key], signed=signed, frame_length=32, overwrite=True)
        read = envelope.decrypt_file(sealed, opened, [key], overwrite=True)
        inspected = envelope.inspect(sealed)
        assert written.fields == read.fields == inspected.fields
        assert (written.size, written.frames, written.length) == (inspected.size, inspected.frames, inspected.length)
        assert written.authenticated
        assert read.authenticated
        assert not inspected.authenticated
