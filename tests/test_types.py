"""Signatures, data keys and filters as values."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from typing import Any

import pytest

from kmskit import DataKey, KeySpec, KeyState, KeyUsage, Protection, Signature
from kmskit.testing import hostile
from kmskit.types import KeyFilter, KeyInfo

SIGNATURE = Signature(bytes(range(70)), "0b30658a-ed1a-4922-b8f7-a673ca9c39a1", "00c0ffee", "ECDSA_SHA_256")
INFO = KeyInfo(
    id="0b30658a-ed1a-4922-b8f7-a673ca9c39a1",
    spec=KeySpec.AES_256,
    usage=KeyUsage.ENCRYPT_DECRYPT,
    state=KeyState.ENABLED,
    versions=("00c0ffee",),
    primary_version="00c0ffee",
    created=datetime(2026, 1, 1, tzinfo=UTC),
    aliases=("orders", "cards"),
    tags={"team": "payments", "stage": ""},
)


def test_a_signature_is_a_value() -> None:
    assert bytes(SIGNATURE) == SIGNATURE.value
    assert pickle.loads(pickle.dumps(SIGNATURE)) == SIGNATURE
    changed: Any = SIGNATURE
    with pytest.raises(FrozenInstanceError):
        changed.algorithm = "NONE"


def test_a_signature_marks_what_differs_from_run_to_run() -> None:
    assert repr(SIGNATURE) == "<Signature ECDSA_SHA_256 ⟨70 bytes, 000102030405…⟩>"
    html = SIGNATURE._repr_html_()
    for volatile in (SIGNATURE.key_id, SIGNATURE.key_version, "70 bytes: 000102"):
        assert f'<span class="kms-volatile">{volatile}' in html


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_a_signature_from_others_does_not_take_over_its_display(text: str) -> None:
    hostile.assert_safe(Signature(text.encode(), text, text, text))


def test_a_data_key_is_wiped_in_place() -> None:
    plaintext = bytearray(b"0123456789abcdef")
    with DataKey(plaintext, b"wrapped") as made:
        assert made.plaintext is plaintext
        assert plaintext == b"0123456789abcdef"
    assert plaintext == bytes(16)
    assert made.ciphertext == b"wrapped"
    made.wipe()
    assert plaintext == bytes(16)


def test_a_data_key_takes_no_other_attribute() -> None:
    made: Any = DataKey(bytearray(16), b"")
    with pytest.raises(AttributeError):
        made.copy_of_plaintext = b""


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (KeyFilter(), True),
        (KeyFilter(spec=KeySpec.AES_256, usage=KeyUsage.ENCRYPT_DECRYPT, state=KeyState.ENABLED), True),
        (KeyFilter(spec=KeySpec.AES_128), False),
        (KeyFilter(usage=KeyUsage.SIGN_VERIFY), False),
        (KeyFilter(state=KeyState.DISABLED), False),
        (KeyFilter(protection=Protection.SOFTWARE), True),
        (KeyFilter(protection=Protection.HSM), False),
        (KeyFilter(alias="cards"), True),
        (KeyFilter(alias="card"), False),
        (KeyFilter(tags={"team": "payments"}), True),
        (KeyFilter(tags={"team": None, "stage": ""}), True),
        (KeyFilter(tags={"team": "payments", "stage": "live"}), False),
        (KeyFilter(tags={"other": None}), False),
        (KeyFilter(spec=KeySpec.AES_256, alias="card"), False),
    ],
)
def test_all_conditions_of_a_filter_hold(wanted: KeyFilter, matches: bool) -> None:
    assert wanted.matches(INFO) is matches
