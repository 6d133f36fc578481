"""The ciphertext bytes of the local backends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmskit import InvalidCiphertextError, ciphertext
from kmskit.ciphertext import OVERHEAD, header, parse, version_name

VERSIONS = st.integers(min_value=0, max_value=2**32 - 1)


def test_the_layout_is_as_the_docstring_says() -> None:
    parts = parse(bytes.fromhex("01 0a0b0c0d 000102030405060708090a0b") + bytes(range(20)))
    assert parts == (0x0A0B0C0D, bytes(range(12)), bytes(range(20)))
    assert header(0x0A0B0C0D).hex() == "010a0b0c0d"
    assert version_name(0x0A0B0C0D) == "0a0b0c0d"
    assert version_name(1) == "00000001"
    assert OVERHEAD == 1 + 4 + 12 + 16


@given(VERSIONS, st.binary(min_size=12, max_size=12), st.binary(min_size=16, max_size=80))
def test_parsing_gives_back_the_parts(version: int, iv: bytes, body: bytes) -> None:
    for kind in (bytes, bytearray, memoryview):
        assert parse(kind(header(version) + iv + body)) == (version, iv, body)


@given(st.one_of(st.binary(max_size=100), st.binary(max_size=100).map(bytes([ciphertext.FORMAT]).__add__)))
def test_any_bytes_are_a_ciphertext_or_refused(data: bytes) -> None:
    if len(data) >= OVERHEAD and data[0] == ciphertext.FORMAT:
        parts = parse(data)
        assert header(parts.version) + parts.iv + parts.body == data
    else:
        with pytest.raises(InvalidCiphertextError) as refused:
            parse(data)
        assert refused.value.hint


@given(VERSIONS, st.binary(min_size=16, max_size=40), st.integers(min_value=0, max_value=32))
def test_a_cut_ciphertext_is_too_short(version: int, body: bytes, length: int) -> None:
    with pytest.raises(InvalidCiphertextError, match="too short"):
        parse((header(version) + bytes(12) + body)[:length])
