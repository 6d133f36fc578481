"""The intruder of the capstone: what he gets is what a real one would get."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kmskit import AuthenticationError, InvalidCiphertextError, Kms, emulator, envelope
from kmskit.emulator import Cloud
from kmskit.notebook.intruder import Intruder, opened_with

CONTEXT = {"tenant": "acme"}


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def kms(cloud: Cloud) -> Kms:
    return cloud.connect(instance="software")


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 100, 1000])
def test_a_data_key_opens_its_own_message_of_any_number_of_frames(kms: Kms, size: int) -> None:
    key = kms.create_key()
    text = bytes(range(256)) * 4
    message = envelope.encrypt(text[:size], [key], context=CONTEXT, frame_length=32)
    data_key = key.decrypt_data_key(envelope.inspect(message).recipients[0].wrapped, context=CONTEXT).plaintext
    assert opened_with(bytes(data_key), message) == text[:size]
    assert opened_with(bytes(32), message) is None


def test_he_keeps_what_he_was_given_when_the_kms_serves_him_no_more(cloud: Cloud, kms: Kms) -> None:
    user = cloud.ram.create_user("app", policies=["AliyunKMSCryptoUserAccess"])
    key = kms.create_key()
    read, unread = (envelope.encrypt(text, [key], context=CONTEXT) for text in (b"read", b"unread"))
    intruder = Intruder(cloud.connect(user, instance="software"))
    assert not intruder.opens(read)
    assert intruder.asks(read)
    cloud.ram.set_access_key(user.access_key_id, active=False)
    assert not intruder.asks(unread)
    assert intruder.reads(read) == b"read"
    assert intruder.reads(unread) is None
    with pytest.raises(AuthenticationError):
        intruder.forges(read, b"other")


def test_what_he_forges_opens_under_the_same_key_and_context(kms: Kms) -> None:
    key = kms.create_key()
    message = envelope.encrypt(b"one", [key], context=CONTEXT)
    forged = Intruder(kms).forges(message, b"other")
    assert envelope.decrypt(forged, [key], require_context=CONTEXT) == b"other"


def test_of_recipients_he_can_only_ask_for_those_of_a_kms(kms: Kms) -> None:
    raw = envelope.RawAesKey("safe", "2026", bytes(32))
    assert not Intruder(kms).asks(envelope.encrypt(b"x", [raw]))
    assert Intruder(kms).asks(envelope.encrypt(b"x", [raw, kms.create_key()]))


def test_no_repr_shows_a_data_key(kms: Kms) -> None:
    intruder = Intruder(kms)
    intruder.asks(envelope.encrypt(b"x", [kms.create_key()]))
    assert repr(intruder) == "<Intruder, 1 data key(s)>"
    with pytest.raises(InvalidCiphertextError):
        opened_with(bytes(32), b"no envelope")
