"""The keys of a message and its frames, against the definition written out with other primitives."""

from __future__ import annotations

import hmac
from hashlib import sha512

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from kmskit import InvalidCiphertextError
from kmskit.envelope.header import SIGNED_SUITE, SUITE
from kmskit.envelope.suite import (
    FINAL_OVERHEAD,
    FRAME_OVERHEAD,
    MAX_FRAMES,
    MessageKey,
    body_size,
    max_frames,
    split,
    split_body,
)

DATA_KEY, MESSAGE_ID = bytes(range(32)), bytes(range(32, 64))
SIZES, LENGTHS = st.integers(0, 2**46), st.integers(1, 2**26)


def expanded(info: bytes) -> bytes:
    """HKDF (RFC 5869) of at most one block, written out."""
    extracted = hmac.digest(MESSAGE_ID, DATA_KEY, sha512)
    return hmac.digest(extracted, info + b"\x01", sha512)[:32]


def sealed(key: bytes, iv: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """AES-GCM through the interface of pyca that kmskit does not use."""
    encryptor = Cipher(algorithms.AES(key), modes.GCM(iv)).encryptor()
    encryptor.authenticate_additional_data(aad)
    return encryptor.update(plaintext) + encryptor.finalize() + encryptor.tag


@pytest.fixture(params=[SUITE, SIGNED_SUITE], ids=["0478", "0578"])
def suite(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def key(suite: int) -> MessageKey:
    return MessageKey(DATA_KEY, suite, MESSAGE_ID)


@pytest.fixture
def encryption_key(suite: int) -> bytes:
    return expanded(suite.to_bytes(2) + b"DERIVEKEY")


def frame(key: MessageKey, sequence: int, plaintext: bytes, *, final: bool) -> bytearray:
    out = bytearray(len(plaintext) + (FINAL_OVERHEAD if final else FRAME_OVERHEAD))
    seal = key.seal_final if final else key.seal
    assert seal(sequence, memoryview(plaintext), memoryview(out)) == len(out)
    return out


def opened(key: MessageKey, sequence: int, data: bytes | bytearray, *, final: bool, out: bytearray) -> bytes:
    size = (key.open_final if final else key.open)(sequence, memoryview(data), memoryview(out))
    return bytes(out[:size])


def test_the_commitment_is_of_the_data_key_and_message_id(key: MessageKey) -> None:
    assert key.commitment == expanded(b"COMMITKEY")
    assert key.commitment != MessageKey(DATA_KEY, SUITE, bytes(32)).commitment
    assert key.commitment != MessageKey(bytes(32), SUITE, MESSAGE_ID).commitment


def test_the_header_tag_is_as_defined(key: MessageKey, encryption_key: bytes) -> None:
    assert key.header_tag(b"header") == sealed(encryption_key, bytes(12), b"", b"header")


@pytest.mark.parametrize("plaintext", [b"", b"x", bytes(3000)])
@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("sequence", [1, 2, 0xFFFFFFFE])
def test_a_frame_is_as_defined(
    key: MessageKey, encryption_key: bytes, plaintext: bytes, sequence: int, *, final: bool
) -> None:
    iv, size = sequence.to_bytes(12), len(plaintext)
    kind = b"AWSKMSEncryptionClient Final Frame" if final else b"AWSKMSEncryptionClient Frame"
    body = sealed(encryption_key, iv, plaintext, MESSAGE_ID + kind + sequence.to_bytes(4) + size.to_bytes(8))
    start = b"\xff" * 4 + sequence.to_bytes(4) + iv + size.to_bytes(4) if final else sequence.to_bytes(4) + iv
    data = frame(key, sequence, plaintext, final=final)
    assert bytes(data) == start + body
    assert opened(key, sequence, data, final=final, out=bytearray(size)) == plaintext


@pytest.mark.parametrize("final", [False, True])
def test_a_frame_with_another_iv_opens_because_the_iv_is_read_from_it(
    key: MessageKey, encryption_key: bytes, *, final: bool
) -> None:
    iv = b"another iv.."
    kind = b"AWSKMSEncryptionClient Final Frame" if final else b"AWSKMSEncryptionClient Frame"
    body = sealed(encryption_key, iv, b"text", MESSAGE_ID + kind + (7).to_bytes(4) + (4).to_bytes(8))
    mark, length = (b"\xff" * 4, (4).to_bytes(4)) if final else (b"", b"")
    data = mark + (7).to_bytes(4) + iv + length + body
    assert opened(key, 7, data, final=final, out=bytearray(4)) == b"text"


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("size", [5, 5000])
def test_a_frame_that_does_not_open_leaves_no_plaintext(key: MessageKey, size: int, *, final: bool) -> None:
    plaintext = b"secret!!" * size
    data = frame(key, 3, plaintext, final=final)
    data[-1] ^= 1
    out = bytearray(len(plaintext) + 8)
    with pytest.raises(InvalidCiphertextError, match="frame 3 does not open"):
        opened(key, 3, data, final=final, out=out)
    assert not any(out)


@pytest.mark.parametrize("final", [False, True])
def test_a_frame_opens_at_its_place_only(key: MessageKey, *, final: bool) -> None:
    data = frame(key, 3, b"text", final=final)
    with pytest.raises(InvalidCiphertextError, match="frame 4 is not where it belongs"):
        opened(key, 4, data, final=final, out=bytearray(4))
    data[(4 if final else 0) + 3] = 4  # The number alone does not move it: it is authenticated.
    with pytest.raises(InvalidCiphertextError, match="frame 4 does not open"):
        opened(key, 4, data, final=final, out=bytearray(4))


def test_a_regular_frame_is_not_taken_for_the_final_one_nor_the_reverse(key: MessageKey) -> None:
    regular, final = frame(key, 1, b"text", final=False), frame(key, 1, b"text", final=True)
    disguised = b"\xff" * 4 + regular[:16] + (4).to_bytes(4) + regular[16:]
    with pytest.raises(InvalidCiphertextError, match="does not open"):
        opened(key, 1, disguised, final=True, out=bytearray(4))
    with pytest.raises(InvalidCiphertextError, match="does not open"):
        opened(key, 1, final[4:20] + final[24:], final=False, out=bytearray(4))


def test_a_final_frame_has_the_length_it_says(key: MessageKey) -> None:
    data = frame(key, 1, b"text", final=True)
    for wrong in (0, 3, 5, 2**32 - 1):
        data[20:24] = wrong.to_bytes(4)
        with pytest.raises(InvalidCiphertextError, match="length"):
            opened(key, 1, data, final=True, out=bytearray(4))


def test_a_header_is_refused_if_key_tag_body_or_commitment_is_another(key: MessageKey) -> None:
    tag = key.header_tag(b"header")
    key.check_header(b"header", tag, key.commitment)
    other = MessageKey(bytes(32), SUITE, MESSAGE_ID)
    for checked, body, given_tag, commitment in (
        (key, b"Header", tag, key.commitment),
        (key, b"header", bytes(16), key.commitment),
        (key, b"header", tag, bytes(32)),
        (other, b"header", tag, key.commitment),
        (other, b"header", other.header_tag(b"header"), key.commitment),
    ):
        with pytest.raises(InvalidCiphertextError, match="header does not belong"):
            checked.check_header(body, given_tag, commitment)


@given(SIZES, LENGTHS)
def test_splitting_a_body_undoes_splitting_a_plaintext(size: int, frame_length: int) -> None:
    regular, last = split(size, frame_length)
    assert regular * frame_length + last == size
    assert 0 <= last <= frame_length
    assert bool(last) == bool(size)  # The writer ends in a full frame and not in an empty one.
    assert split_body(body_size(size, frame_length), frame_length) == (regular, last)


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_a_body_is_split_in_one_way_or_refused(size: int, frame_length: int) -> None:
    try:
        regular, last = split_body(size, frame_length)
    except InvalidCiphertextError:
        assert (size - FINAL_OVERHEAD) % (frame_length + FRAME_OVERHEAD) > frame_length or size < FINAL_OVERHEAD
        return
    assert regular * (frame_length + FRAME_OVERHEAD) + FINAL_OVERHEAD + last == size
    assert 0 <= last <= frame_length


def test_a_message_has_at_most_64_tebibytes_and_as_many_frames_as_their_numbers() -> None:
    assert max_frames(1) == max_frames(4096) == MAX_FRAMES == 2**32 - 1
    assert max_frames(2**18) * 2**18 == 2**46
    assert max_frames(2**26) * 2**26 == 2**46
