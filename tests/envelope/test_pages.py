"""Huge pages are advice: whether it is taken or not, nobody's bytes change."""

from __future__ import annotations

import io
import os
import sys

import pytest

import kmskit
from kmskit import envelope
from kmskit.envelope.pages import in_huge_pages

LARGE = 9 << 20


@pytest.mark.parametrize("start", [0, 1, 16, 4095, 4096])
@pytest.mark.parametrize("end", [0, 1, 4095, 4096])
def test_advice_changes_no_byte_in_the_buffer_or_beside_it(start: int, end: int) -> None:
    whole = bytearray(os.urandom(LARGE))
    before = bytes(whole)
    in_huge_pages(memoryview(whole)[start : LARGE - end])
    assert whole == before
    whole.clear()  # Nothing holds the buffer any more, or this would be a BufferError.


@pytest.mark.parametrize("platform", ["linux", "darwin", "emscripten"])
def test_large_messages_are_the_same_with_and_without(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    key = kmskit.connect("software:?memory=1").create_key()
    for size in (0, 1, 1 << 20, LARGE, LARGE + 1):
        plaintext = os.urandom(size)
        message = envelope.encrypt(plaintext, [key])
        assert len(message) == envelope.encrypted_size(size, [key])
        assert envelope.decrypt(message, [key]) == plaintext


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes the advice")
def test_a_large_buffer_is_backed_by_huge_pages_where_they_are_to_be_had() -> None:
    with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="ascii") as file:
        if "[never]" in file.read():
            pytest.skip("huge pages are turned off here")
    before = huge_bytes()
    out = io.BytesIO(bytes(64 << 20))  # Not touched yet, so the advice comes in time.
    with out.getbuffer() as view:
        in_huge_pages(view)
        for at in range(0, len(view), 4096):
            view[at] = 1
        assert huge_bytes() - before > 32 << 20


def huge_bytes() -> int:
    """How much of this process's memory lies in huge pages."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("AnonHugePages:"))
