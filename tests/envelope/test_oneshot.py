"""Whole messages: round trips of every shape, and everything that is not exactly what was written is refused."""

from __future__ import annotations

import array
import io
import os
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

import kmskit
from kmskit import InvalidCiphertextError, LimitExceededError, envelope
from kmskit.envelope import DataKeyCache, RawAesKey, RawRsaKey
from kmskit.envelope.header import FOOTER_SIZE, PUBLIC_KEY_NAME, SIGNED_SUITE, SUITE, encode, read
from kmskit.envelope.suite import FINAL_OVERHEAD, FRAME_OVERHEAD, MessageKey
from kmskit.testing import leaks

LENGTH = 48
CONTEXT = {"table": "orders"}
SECRET = b"4111-1111-1111-1111 is a secret plaintext "
PLAINTEXT = (SECRET * 4)[: 2 * LENGTH + 10]  # Three frames.
MINE = RawAesKey("partner", "shared", bytes(range(32)))
Reader = Callable[[bytes, Sequence[Any]], bytes]


# Ways to read


def decrypted(message: bytes, keys: Sequence[Any]) -> bytes:
    return envelope.decrypt(message, keys)


def decrypted_into(message: bytes, keys: Sequence[Any]) -> bytes:
    out = bytearray(b"\xaa" * len(message))
    try:
        size = envelope.decrypt_into(message, out, keys)
    except InvalidCiphertextError:
        held = out.replace(b"\0", b"").replace(b"\xaa", b"")
        assert not held, "plaintext is left in the buffer"
        raise
    assert out[size:] == b"\xaa" * (len(message) - size)
    return bytes(out[:size])


def streamed(message: bytes, keys: Sequence[Any]) -> bytes:
    with envelope.open(io.BytesIO(message), "rb", keys) as file:
        return file.read()


def streamed_from_the_end(message: bytes, keys: Sequence[Any]) -> bytes:
    with envelope.open(io.BytesIO(message), "rb", keys) as file:
        if not file.seekable():
            return file.read()
        parts = []
        for at in range(file.seek(0, io.SEEK_END) // LENGTH, -1, -1):
            file.seek(at * LENGTH)
            parts.append(file.read(LENGTH))
        return b"".join(reversed(parts))


def from_file(message: bytes, keys: Sequence[Any]) -> bytes:
    """As a pipe gives it: no seeking, and a few bytes at a time."""

    class Trickle(io.RawIOBase):
        left = message

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            part, self.left = self.left[: min(7, len(buffer))], self.left[min(7, len(buffer)) :]
            buffer[: len(part)] = part
            return len(part)

    with envelope.open(Trickle(), "rb", keys) as file:
        return file.read()


WAYS = [decrypted, decrypted_into, streamed, streamed_from_the_end, from_file]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def way(request: pytest.FixtureRequest) -> Reader:
    reader: Reader = request.param
    return reader


@pytest.fixture(scope="module")
def message() -> bytes:
    return envelope.encrypt(PLAINTEXT, [MINE], context=CONTEXT, frame_length=LENGTH)


@pytest.fixture(scope="module")
def signed_message() -> bytes:
    return envelope.encrypt(PLAINTEXT, [MINE], context=CONTEXT, signed=True, frame_length=LENGTH)


def frames(message: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Header, frames and footer."""
    info = envelope.inspect(message)
    start, stride = info.header_size, info.frame_length + FRAME_OVERHEAD
    ends = [start + number * stride for number in range(info.frames)]
    end = len(message) - (FOOTER_SIZE if info.signed else 0)
    pieces = [message[left:right] for left, right in zip(ends, [*ends[1:], end], strict=True)]
    return message[:start], pieces, message[end:]


# Round trips


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("recipients", [1, 2, 8])
@pytest.mark.parametrize("length", [1, 16, 4096, 5000])
def test_every_size_around_a_frame_comes_back(
    key: kmskit.Key, aes: RawAesKey, safe: RawRsaKey, recipients: int, length: int, *, signed: bool
) -> None:
    keys = [aes, key, safe, key, aes, aes, aes, aes][:recipients]
    data = os.urandom(3 * length)
    for size in sorted({0, 1, length - 1, length, length + 1, 3 * length}):
        arguments: Any = {"context": CONTEXT, "signed": signed, "frame_length": length}
        message = envelope.encrypt(data[:size], keys, **arguments)
        assert len(message) == envelope.encrypted_size(size, keys, **arguments)
        for reader in WAYS:
            assert reader(message, keys[-1:]) == data[:size]


def test_the_default_frame_length_comes_back(key: kmskit.Key) -> None:
    for size in (2**18 - 1, 2**18, 2**18 + 1, 3 * 2**18):
        data = os.urandom(size)
        message = envelope.encrypt(data, [key])
        assert len(message) == envelope.encrypted_size(size, [key])
        for reader in (decrypted, decrypted_into, streamed):
            assert reader(message, [key]) == data


@given(st.binary(max_size=300), st.dictionaries(st.text(max_size=8), st.text(max_size=8)), st.integers(1, 100))
def test_anything_comes_back(plaintext: bytes, context: dict[str, str], frame_length: int) -> None:
    message = envelope.encrypt(plaintext, [MINE], context=context, frame_length=frame_length)
    assert len(message) == envelope.encrypted_size(len(plaintext), [MINE], context=context, frame_length=frame_length)
    assert envelope.decrypt(message, [MINE], require_context=context) == plaintext
    assert streamed(message, [MINE]) == plaintext


@pytest.mark.parametrize("signed", [False, True])
def test_encrypt_into_writes_what_was_announced_and_no_more(key: kmskit.Key, *, signed: bool) -> None:
    size = envelope.encrypted_size(len(PLAINTEXT), [key], context=CONTEXT, signed=signed, frame_length=LENGTH)
    out = bytearray(b"\xaa" * (size + 10))
    arguments: Any = {"context": CONTEXT, "signed": signed, "frame_length": LENGTH}
    assert envelope.encrypt_into(PLAINTEXT, out, [key], **arguments) == size
    assert out[size:] == b"\xaa" * 10
    assert envelope.decrypt(out[:size], [key]) == PLAINTEXT
    assert envelope.encrypt_into(PLAINTEXT, memoryview(out)[:size], [key], **arguments) == size


def test_nothing_needs_no_room(key: kmskit.Key) -> None:
    assert envelope.decrypt_into(envelope.encrypt(b"", [key]), bytearray(), [key]) == 0


def test_a_buffer_that_is_too_small_is_refused_untouched(message: bytes) -> None:
    size = envelope.encrypted_size(len(PLAINTEXT), [MINE], context=CONTEXT, frame_length=LENGTH)
    out = bytearray(size - 1)
    with pytest.raises(ValueError, match=f"out: {size} bytes expected, not {size - 1}"):
        envelope.encrypt_into(PLAINTEXT, out, [MINE], context=CONTEXT, frame_length=LENGTH)
    assert not any(out)
    out = bytearray(len(PLAINTEXT) - 1)
    with pytest.raises(ValueError, match=f"out: {len(PLAINTEXT)} bytes expected, not {len(PLAINTEXT) - 1}"):
        envelope.decrypt_into(message, out, [MINE])
    assert not any(out)


def test_every_message_is_another(key: kmskit.Key) -> None:
    one, two = envelope.encrypt(PLAINTEXT, [key]), envelope.encrypt(PLAINTEXT, [key])
    assert sum(left == right for left, right in zip(one[-100:], two[-100:], strict=True)) < 20


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: array.array("B", data)])
def test_all_binary_types_are_taken(kind: Callable[[bytes], Any], message: bytes) -> None:
    assert envelope.decrypt(envelope.encrypt(kind(SECRET), [MINE]), [MINE]) == SECRET
    assert envelope.decrypt(kind(message), [MINE]) == PLAINTEXT
    assert envelope.inspect(message).length == len(PLAINTEXT)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 3)])
def test_arrays_are_taken_by_their_bytes(shape: tuple[int, ...]) -> None:
    numpy = pytest.importorskip("numpy")
    data = numpy.arange(int(numpy.prod(shape)), dtype="u4").reshape(shape)
    out = numpy.zeros(6, dtype="u4")
    message = envelope.encrypt(data, [MINE])
    assert envelope.decrypt_into(message, out, [MINE]) == data.nbytes
    assert out.tobytes()[: data.nbytes] == envelope.decrypt(message, [MINE]) == data.tobytes()


@pytest.mark.parametrize("wrong", ["text", None, 7, ["x"]])
def test_what_is_not_binary_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match="plaintext: bytes expected"):
        envelope.encrypt(wrong, [MINE])
    with pytest.raises(TypeError, match="message: bytes expected"):
        envelope.decrypt(wrong, [MINE])
    with pytest.raises(TypeError, match="out: "):
        envelope.encrypt_into(b"", wrong, [MINE])


def test_a_buffer_that_cannot_be_written_is_a_type_error(message: bytes) -> None:
    with pytest.raises(TypeError, match="writable"):
        envelope.decrypt_into(message, bytes(1000), [MINE])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="writable"):
        envelope.encrypt_into(b"", memoryview(bytes(1000)), [MINE])


@pytest.mark.parametrize(
    ("length", "error"),
    [(0, ValueError), (-1, ValueError), (2**26 + 1, ValueError), (1.5, TypeError), (True, TypeError)],
)
def test_a_frame_length_that_is_none_is_refused(length: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="frame_length"):
        envelope.encrypt(b"", [MINE], frame_length=length)
    with pytest.raises(error, match="frame_length"):
        envelope.encrypted_size(1, [MINE], frame_length=length)


def test_64_tebibytes_are_the_most() -> None:
    assert envelope.encrypted_size(2**46, [MINE]) > 2**46
    with pytest.raises(LimitExceededError, match="frames") as caught:
        envelope.encrypted_size(2**46 + 1, [MINE])
    assert "several messages" in str(caught.value.hint)
    with pytest.raises(LimitExceededError, match="4,294,967,295 frames of 1 bytes"):
        envelope.encrypted_size(2**32, [MINE], frame_length=1)
    assert envelope.encrypted_size(2**32 - 1, [MINE], frame_length=1) > 2**37


@pytest.mark.parametrize("length", [-1, 1.5, "1"])
def test_a_size_that_is_none_is_refused(length: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="length"):
        envelope.encrypted_size(length, [MINE])


# The context


def test_a_context_must_be_text_to_text() -> None:
    wrong: Any
    for wrong in ({"a": 1}, {b"a": "b"}, [("a", "b")], "text"):
        with pytest.raises(TypeError, match="context"):
            envelope.encrypt(b"", [MINE], context=wrong)
        with pytest.raises(TypeError, match="context"):
            envelope.decrypt(b"", [MINE], require_context=wrong)


@pytest.mark.parametrize("name", ["aws-crypto-public-key", "aws-crypto-", "aws-crypto-ec"])
def test_names_of_the_format_are_refused_from_users(message: bytes, name: str) -> None:
    for call in (
        lambda: envelope.encrypt(b"", [MINE], context={name: "x"}),
        lambda: envelope.encrypted_size(1, [MINE], context={name: "x"}),
        lambda: envelope.open(io.BytesIO(), "wb", [MINE], context={name: "x"}),
        lambda: envelope.decrypt(message, [MINE], require_context={name: "x"}),
    ):
        with pytest.raises(ValueError, match="format's own"):
            call()


def test_a_context_that_is_too_large_is_refused() -> None:
    with pytest.raises(LimitExceededError, match="65,535"):
        envelope.encrypt(b"", [MINE], context={"a": "x" * 65536})
    fits = {"a": "x" * (65535 - 7)}
    assert envelope.decrypt(envelope.encrypt(b"", [MINE], context=fits), [MINE], require_context=fits) == b""
    with pytest.raises(LimitExceededError, match="65,535"):  # The signature's public key has no room left.
        envelope.encrypt(b"", [MINE], context=fits, signed=True)


def test_a_required_context_must_be_there(message: bytes, signed_message: bytes) -> None:
    for one in (message, signed_message):
        for fine in (None, {}, CONTEXT):
            assert envelope.decrypt(one, [MINE], require_context=fine) == PLAINTEXT
        for missing in ({"table": "Orders"}, {"table": ""}, {"tenant": "acme"}, {**CONTEXT, "tenant": "acme"}):
            for call in (
                lambda missing=missing, one=one: envelope.decrypt(one, [MINE], require_context=missing),
                lambda missing=missing, one=one: envelope.decrypt_into(
                    one, bytearray(1000), [MINE], require_context=missing
                ),
                lambda missing=missing, one=one: envelope.open(io.BytesIO(one), "rb", [MINE], require_context=missing),
            ):
                with pytest.raises(InvalidCiphertextError, match="does not have the required") as caught:
                    call()
                assert "orders" not in str(caught.value)


# Signatures


def test_a_required_signature_must_be_there(message: bytes, signed_message: bytes) -> None:
    assert envelope.decrypt(signed_message, [MINE], require_signed=True) == PLAINTEXT
    for call in (
        lambda: envelope.decrypt(message, [MINE], require_signed=True),
        lambda: envelope.open(io.BytesIO(message), "rb", [MINE], require_signed=True),
    ):
        with pytest.raises(InvalidCiphertextError, match="not signed"):
            call()


def resealed(message: bytes, signer: ec.EllipticCurvePrivateKey | None, **changes: Any) -> bytes:
    """What someone can do who knows the data key, as each recipient does: write header and frames anew."""
    header, _, _ = read(io.BytesIO(message).read)
    header = replace(header, **changes)
    key = MessageKey(MINE.unwrap(header.recipients[0], header.context), header.suite, header.message_id)
    header = replace(header, commitment=key.commitment)
    body = encode(header)
    out = bytearray(LENGTH + FINAL_OVERHEAD)
    size = key.seal_final(1, memoryview(b"forged"), memoryview(out))
    sealed = body + key.header_tag(body) + out[:size]
    if signer is None:
        return sealed
    signature = signer.sign(sealed, ec.ECDSA(SHA384()))
    return sealed + len(signature).to_bytes(2) + signature


def point(private: ec.EllipticCurvePrivateKey) -> str:
    return b64encode(private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)).decode()


def test_a_recipient_cannot_change_a_signed_message(way: Reader, signed_message: bytes) -> None:
    signature = signed_message[-FOOTER_SIZE:]
    for forged in (
        resealed(signed_message, None),
        resealed(signed_message, None) + signature,
        resealed(signed_message, ec.generate_private_key(ec.SECP384R1())),
        resealed(signed_message, None, suite=SUITE),
    ):
        with pytest.raises(InvalidCiphertextError):
            way(forged, [MINE])


def with_public_key(value: str) -> dict[str, Any]:
    """Of a new message what changes when its context names a key for signatures; only who made it can do that."""
    header, _, _ = read(io.BytesIO(envelope.encrypt(b"", [MINE])).read)
    context = {PUBLIC_KEY_NAME: value}
    recipient = MINE.wrap(bytearray(MINE.unwrap(header.recipients[0], {})), context)
    return {"suite": SIGNED_SUITE, "context": context, "recipients": (recipient,)}


def test_a_signature_of_any_der_length_verifies(way: Reader, message: bytes) -> None:
    # Numbers in DER are 48 bytes long, or 49 if they begin with a one; kmskit itself writes 103 bytes only.
    signer = ec.generate_private_key(ec.SECP384R1())
    changes = with_public_key(point(signer))
    seen = set()
    for _ in range(200):
        signed = resealed(message, signer, **changes)
        seen.add(len(signed) - len(resealed(message, None, **changes)) - 2)
        assert way(signed, [MINE]) == b"forged"
        if {102, 103, 104} <= seen:
            break
    assert {102, 103, 104} <= seen


@pytest.mark.parametrize("value", ["", "AAAA", "no base64!", "A" * 68, b64encode(b"\x02" + bytes(47)).decode()])
def test_a_public_key_that_is_none_is_refused(way: Reader, message: bytes, value: str) -> None:
    with pytest.raises(InvalidCiphertextError, match="no P-384 public key"):
        way(resealed(message, None, **with_public_key(value)) + bytes(FOOTER_SIZE), [MINE])


def test_a_stripped_signature_is_refused(way: Reader, signed_message: bytes) -> None:
    with pytest.raises(InvalidCiphertextError, match="signature"):
        way(signed_message[:-FOOTER_SIZE], [MINE])


# Everything else is refused


def assert_refused(way: Reader, changed: bytes) -> None:
    with pytest.raises(InvalidCiphertextError) as caught:
        way(changed, [MINE])
    leaks.assert_clean(caught.value, SECRET[:16])


@pytest.mark.parametrize("signed", [False, True])
def test_every_flipped_bit_is_refused(way: Reader, message: bytes, signed_message: bytes, *, signed: bool) -> None:
    changed = bytearray(signed_message if signed else message)
    for at in range(len(changed)):
        for bit in range(8):
            changed[at] ^= 1 << bit
            with pytest.raises(InvalidCiphertextError):
                way(bytes(changed), [MINE])
            changed[at] ^= 1 << bit


def test_every_truncation_is_refused(way: Reader, message: bytes, signed_message: bytes) -> None:
    for one in (message, signed_message):
        for length in range(len(one)):
            with pytest.raises(InvalidCiphertextError):
                way(one[:length], [MINE])


def rearranged(pieces: list[bytes], others: list[bytes]) -> Iterator[list[bytes]]:
    """Frames swapped, doubled, left out, and exchanged for another message's."""
    for one in range(len(pieces)):
        yield [*pieces[: one + 1], *pieces[one:]]
        yield [*pieces[:one], *pieces[one + 1 :]]
        yield [*pieces[:one], others[one], *pieces[one + 1 :]]
        for two in range(one):
            swapped = list(pieces)
            swapped[one], swapped[two] = swapped[two], swapped[one]
            yield swapped
            yield [*pieces[:one], pieces[two], *pieces[one + 1 :]]
            yield [*pieces[:two], pieces[one], *pieces[two + 1 :]]
    yield pieces[::-1]
    yield [*pieces, *pieces]
    yield [*pieces, *others]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("size", [3 * LENGTH, 2 * LENGTH + 10])
def test_frames_belong_to_their_place_and_message(way: Reader, size: int, *, signed: bool) -> None:
    # With a cache both messages share even the data key.
    cache = DataKeyCache()
    one, two = (
        frames(envelope.encrypt(bytes(size), [MINE], signed=signed, frame_length=LENGTH, cache=cache)) for _ in range(2)
    )
    start, pieces, footer = one
    assert len(pieces) == 3
    assert way(start + b"".join(pieces) + footer, [MINE]) == bytes(size)
    for arrangement in rearranged(pieces, two[1]):
        assert_refused(way, start + b"".join(arrangement) + footer)
    assert_refused(way, two[0] + b"".join(pieces) + footer)


@pytest.mark.parametrize("rest", [b"\0", b"\xff", bytes(16), bytes(LENGTH + FRAME_OVERHEAD), bytes(1000)])
def test_bytes_behind_the_end_are_refused(way: Reader, message: bytes, signed_message: bytes, rest: bytes) -> None:
    for one in (message, signed_message):
        assert_refused(way, one + rest)
        assert_refused(way, one + one)


@pytest.mark.parametrize("garbage", [b"", b"\x02", b"\x02\x04\x78", b"no envelope at all", bytes(1000), b"\xff" * 1000])
def test_what_is_no_message_is_refused(way: Reader, garbage: bytes) -> None:
    assert_refused(way, garbage)


def test_another_suite_is_named(way: Reader, message: bytes) -> None:
    with pytest.raises(InvalidCiphertextError, match=r"0x0178 .*does not commit"):
        way(message[:1] + b"\x01\x78" + message[3:], [MINE])


def test_ciphertexts_of_keys_are_no_messages(way: Reader, key: kmskit.Key) -> None:
    assert_refused(way, key.encrypt(SECRET))


def test_messages_of_several_threads_do_not_mix(key: kmskit.Key) -> None:
    failures: list[object] = []

    def work(number: int) -> None:
        for _ in range(20):
            data = bytes([number]) * 10_000
            if envelope.decrypt(envelope.encrypt(data, [key], frame_length=4096), [key]) != data:
                failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
