"""`Sequences`: diagrams of calls that were made when they were chosen."""

from __future__ import annotations

import pytest

import kmskit
from kmskit.widgets import sequences
from kmskit.widgets.sequences import Sequences
from tests import parts
from tests.widgets.looking import assert_safe, states


def seen(shown: Sequences) -> dict[str, set[str]]:
    shown.settle()
    assert shown.story is not None
    return {who: {what for what, known in row.items() if known} for who, row in shown.story.seen().rows.items()}


def test_direct_encryption_shows_the_plaintext_to_the_kms() -> None:
    assert seen(Sequences()) == {
        "app": {"plaintext", "ciphertext"},
        "medium": {"ciphertext"},
        "KMS": {"plaintext", "ciphertext"},
    }


def test_an_envelope_shows_it_to_nobody() -> None:
    assert seen(Sequences("envelope"))["KMS"] == {"data key", "wrapped data key"}


def test_server_side_the_product_sees_it() -> None:
    found = seen(Sequences("server-side"))
    assert found["ECS"] == {"plaintext", "data key", "wrapped data key", "ciphertext"}
    assert found["medium"] == {"wrapped data key", "ciphertext"}


def test_an_hsm_gets_the_data_key_from_outside() -> None:
    try:
        kmskit.softhsm.module_path()
    except kmskit.ConfigurationError:
        parts.missing("SoftHSM")
    shown = Sequences("hsm")
    assert seen(shown)["HSM"] == {"plaintext", "ciphertext", "data key", "wrapped data key"}
    assert shown.story is not None
    wrapping = next(message for message in shown.story.messages if message.carries == ("data key",))
    assert (wrapping.sender, wrapping.receiver, wrapping.text) == ("app", "HSM", "Encrypt")


def test_an_hsm_is_used_again_by_the_next_widget() -> None:
    try:
        kmskit.softhsm.module_path()
    except kmskit.ConfigurationError:
        parts.missing("SoftHSM")
    first, second = Sequences("hsm"), Sequences("hsm")
    assert repr(first) == repr(second)


def test_it_is_walked_through_message_by_message() -> None:
    shown = Sequences()
    shown.settle()
    assert shown.count.value == "6 of 6 messages"
    assert (shown.next.disabled, shown.back.disabled) == (True, False)
    whole = shown.diagram.value
    for _ in range(6):
        shown.back.click()
    assert shown.count.value == "0 of 6 messages"
    assert shown.back.disabled
    assert "✓" not in shown.seen.value
    shown.next.click()
    assert shown.seen.value.count("✓") == 2  # the program and the KMS have seen the plaintext
    shown.all.click()
    assert shown.diagram.value == whole


def test_another_way_makes_other_calls() -> None:
    shown = Sequences()
    shown.ways["envelope"].click()
    shown.settle()
    assert "GenerateDataKey" in shown.diagram.value
    assert "never goes there" in shown.note.value


def test_no_such_way() -> None:
    with pytest.raises(ValueError, match="one of direct, envelope, server-side, hsm expected"):
        Sequences("carrier pigeon")


def test_a_way_that_cannot_be_gone_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    sequences._folder.cache_clear()
    monkeypatch.setattr("kmskit.backends.pkcs11.places.find_modules", list)
    monkeypatch.setattr("kmskit.softhsm.find_modules", list)
    shown = Sequences("hsm")
    shown.settle()
    assert "SoftHSM is not installed" in shown.told
    assert "apt-get install" in shown.told
    assert shown.still().keys() == {"text/html"}
    assert_safe(shown)


def test_what_is_stored_is_the_same_each_time_and_holds_no_plaintext() -> None:
    first, second = Sequences("envelope"), Sequences("envelope")
    assert first.still() == second.still()
    assert repr(first) == repr(second)
    assert "GenerateDataKey" in repr(first)
    assert_safe(first)
    assert "4111 1111" not in states(first) + repr(first) + str(first.still())
