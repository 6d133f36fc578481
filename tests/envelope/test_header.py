"""The header: what is written is what is read, and any other bytes are refused by name."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmskit import InvalidCiphertextError, LimitExceededError
from kmskit.envelope.header import (
    MAX_FRAME_LENGTH,
    MAX_RECIPIENTS,
    PUBLIC_KEY_NAME,
    SIGNED_SUITE,
    SUITE,
    Header,
    Recipient,
    encode,
    read,
)

TAG = bytes(range(16))
POINT = b64encode(bytes(49)).decode()
RECIPIENTS = st.builds(Recipient, st.text(max_size=12), st.binary(max_size=40), st.binary(max_size=80))
CONTEXTS = st.dictionaries(st.text(max_size=12).filter(lambda name: name != PUBLIC_KEY_NAME), st.text(max_size=12))


@st.composite
def headers(draw: st.DrawFn) -> Header:
    signed = draw(st.booleans())
    return Header(
        SIGNED_SUITE if signed else SUITE,
        draw(st.binary(min_size=32, max_size=32)),
        draw(CONTEXTS) | ({PUBLIC_KEY_NAME: POINT} if signed else {}),
        tuple(draw(st.lists(RECIPIENTS, min_size=1, max_size=MAX_RECIPIENTS))),
        draw(st.integers(1, MAX_FRAME_LENGTH)),
        draw(st.binary(min_size=32, max_size=32)),
    )


PLAIN = Header(SUITE, bytes(32), {"a": "b"}, (Recipient("kmskit", b"software:1", b"wrapped"),), 128, bytes(32))


def changed(at: int, new: bytes) -> bytes:
    """The plain header with other bytes at a place."""
    data = bytearray(encode(PLAIN))
    data[at : at + len(new)] = new
    return bytes(data) + TAG


def refused(data: bytes) -> InvalidCiphertextError:
    with pytest.raises(InvalidCiphertextError) as caught:
        read(BytesIO(data).read)
    return caught.value


def test_the_layout_is_as_the_docstring_says() -> None:
    header = Header(SUITE, bytes(range(32)), {"b": "2", "a": "11"}, (Recipient("p", b"in", b"key"),), 256, bytes(32))
    assert encode(header).hex() == (
        "02 0478" + bytes(range(32)).hex() + "000f 0002 0001 61 0002 3131 0001 62 0001 32"
        "0001 0001 70 0002 696e 0003 6b6579 02 00000100" + bytes(32).hex()
    ).replace(" ", "")
    assert encode(replace(header, context={}))[35:39].hex() == "00000001"  # An empty context has no pair count.


@given(headers(), st.binary(max_size=8))
def test_reading_gives_back_what_was_written(header: Header, rest: bytes) -> None:
    body = encode(header)
    source = BytesIO(body + TAG + rest)
    assert read(source.read) == (header, body, TAG)
    assert source.read() == rest


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_by_name(data: bytes) -> None:
    refused(data)


@given(headers(), st.integers(0), st.binary(min_size=1, max_size=6))
def test_changed_bytes_are_refused_by_name_or_read_as_they_stand(header: Header, at: int, new: bytes) -> None:
    data = bytearray(encode(header) + TAG)
    at %= len(data)
    data[at : at + len(new)] = new
    try:
        read_header, body, tag = read(BytesIO(bytes(data)).read)
    except InvalidCiphertextError:
        return
    assert encode(read_header) == body
    assert bytes(data).startswith(body + tag)


@given(headers(), st.integers(0))
def test_a_cut_header_is_refused(header: Header, length: int) -> None:
    data = encode(header) + TAG
    assert "cut short" in str(refused(data[: length % len(data)]))


@pytest.mark.parametrize("suite", [0x0014, 0x0046, 0x0078, 0x0114, 0x0146, 0x0178, 0x0214, 0x0346, 0x0378, 0x0479])
def test_another_suite_is_named(suite: int) -> None:
    error = refused(changed(1, suite.to_bytes(2)))
    assert f"0x{suite:04x}" in str(error)
    assert "does not commit" in str(error)
    assert "0x0478" in str(error.hint)


def test_format_version_1_is_named() -> None:
    assert "version 1" in str(refused(changed(0, b"\x01")).hint)
    assert "explain" in str(refused(changed(0, b"\x80")).hint)


CONTEXT, COUNT, TAIL = 35, 45, len(encode(PLAIN)) - 37


def test_the_places_of_this_file_are_right() -> None:
    body = encode(PLAIN)
    assert body[CONTEXT:COUNT].hex() == "00080001000161000162"
    assert body[COUNT : COUNT + 2].hex() == "0001"
    assert body[TAIL : TAIL + 5].hex() == "0200000080"


@pytest.mark.parametrize(
    ("at", "new", "reason"),
    [
        (COUNT, b"\x00\x00", "0 recipients"),
        (COUNT, b"\x00\x09", "9 recipients"),
        (COUNT, b"\xff\xff", "65535 recipients"),
        (COUNT + 4, b"\xff", "UTF-8"),
        (TAIL, b"\x01", "not framed"),
        (TAIL, b"\x00", "not framed"),
        (TAIL + 1, b"\x00\x00\x00\x00", "frames are too long"),
        (TAIL + 1, (MAX_FRAME_LENGTH + 1).to_bytes(4), "frames are too long"),
        (TAIL + 1, b"\xff\xff\xff\xff", "frames are too long"),
        (CONTEXT + 2, b"\x00\x00", "context"),
        (CONTEXT + 2, b"\x00\x02", "context"),
        (CONTEXT + 6, b"\xff", "context: not UTF-8"),
        (1, b"\x05\x78", "disagree about a signature"),
    ],
)
def test_a_wrong_field_is_named(at: int, new: bytes, reason: str) -> None:
    assert reason in str(refused(changed(at, new)))


@pytest.mark.parametrize("context", [{"b": "1", "a": "1"}, {"a": "1"}])
def test_a_context_that_is_not_canonical_is_refused(context: dict[str, str]) -> None:
    pairs = [bytes([0, 1]) + name.encode() + bytes([0, 1]) + value.encode() for name, value in context.items()]
    doubled = pairs if len(pairs) == 2 else pairs * 2
    data = (2).to_bytes(2) + b"".join(doubled)
    start = encode(PLAIN)[:CONTEXT]
    assert "not in order" in str(refused(start + len(data).to_bytes(2) + data + bytes(100)))


def test_a_public_key_in_an_unsigned_message_is_a_stripped_signature() -> None:
    data = encode(replace(PLAIN, context={PUBLIC_KEY_NAME: POINT})) + TAG
    assert "disagree about a signature" in str(refused(data))


@pytest.mark.parametrize("count", [0, MAX_RECIPIENTS + 1])
def test_a_header_for_too_few_or_too_many_is_not_written(count: int) -> None:
    with pytest.raises(LimitExceededError, match="1 to 8 recipients"):
        encode(replace(PLAIN, recipients=PLAIN.recipients * count))


@pytest.mark.parametrize(
    "recipient", [Recipient("x" * 65536, b"", b""), Recipient("", bytes(65536), b""), Recipient("", b"", bytes(65536))]
)
def test_parts_that_do_not_fit_their_length_are_not_written(recipient: Recipient) -> None:
    with pytest.raises(LimitExceededError, match="65,535"):
        encode(replace(PLAIN, recipients=(recipient,)))


def test_lengths_are_never_believed_before_they_are_read() -> None:
    asked: list[int] = []
    body = encode(replace(PLAIN, recipients=(Recipient("p", b"", bytes(65535)),)))

    def read_once(size: int) -> bytes:
        asked.append(size)
        return source.read(size)

    source = BytesIO(body + TAG)
    read(read_once)
    assert max(asked) == 65535
