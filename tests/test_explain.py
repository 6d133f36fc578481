"""What the bytes of a ciphertext say."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import kmskit
from kmskit import Explanation, envelope, explain
from kmskit.envelope.header import SUITE, Header, Recipient, encode
from kmskit.testing import hostile

SERVICE_VERSION = "key-hzz62f1cb66fa42qo7zcb-a1b2c3d4e5"


def service_blob(version: str, size: int = 64) -> bytes:
    return b64encode(version.encode().ljust(36, b"0")[:36] + bytes(range(size)))


def test_a_local_ciphertext_names_its_version_and_with_a_kms_its_key() -> None:
    with kmskit.connect("software:?memory=1") as kms:
        key, other = kms.create_key("orders"), kms.create_key()
        old = key.encrypt(b"4111-1111")
        first = key.primary_version
        key.rotate()
        for kind in (bytes, bytearray, memoryview):
            told = explain(kind(old), kms)
            assert (told.format, told.size, told.key_version, told.key) == ("local", len(old), first, key)
        assert explain(key.encrypt(b""), kms).key_version == key.primary_version
        assert explain(other.encrypt(b""), kms).key == other
        assert explain(old).key is None
        assert "9 bytes" in explain(old).note
        with kmskit.connect("software:?memory=1") as elsewhere:
            assert explain(old, elsewhere).key is None


def test_a_service_ciphertext_is_recognised_by_its_shape() -> None:
    for version in ("0b30658a-ed1a-4922-b8f7-a673ca9c39a1", SERVICE_VERSION, "f" * 36, "0" * 36):
        told = explain(service_blob(version))
        assert (told.format, told.key_version) == ("alibaba", version.ljust(36, "0")[:36])
        with kmskit.connect("software:?memory=1") as kms:
            assert explain(service_blob(version), kms).key is None


def test_a_guess_is_called_one() -> None:
    for data in (b"\x01" + bytes(40), service_blob(SERVICE_VERSION), bytes(256)):
        assert "a guess" in explain(data).note


def test_an_envelope_is_recognised_by_its_first_bytes() -> None:
    assert explain(bytes.fromhex("020478") + bytes(60)).format == "envelope"
    assert "signed" in explain(bytes.fromhex("020578") + bytes(60)).note
    assert explain(bytes.fromhex("020178") + bytes(60)).format == "unknown"


def test_an_envelope_names_its_recipients_and_context() -> None:
    with kmskit.connect("software:?memory=1") as kms, kmskit.connect("software:?memory=1") as elsewhere:
        key, other, far = kms.create_key("orders"), kms.create_key(), elsewhere.create_key()
        raw = envelope.RawAesKey("safe", "2026", bytes(32))
        names = {id(one): f"kmskit software:{one.id}" for one in (key, other, far)} | {id(raw): "safe 2026"}
        for signed in (False, True):
            for keys in ([key], [raw, key], [far, other, key], [raw], [far]):
                message = envelope.encrypt(b"4111-1111", keys, context={"tenant": "acme"}, signed=signed)
                told = explain(message, kms)
                assert (told.format, told.size, told.key_version) == ("envelope", len(message), None)
                assert told.recipients == tuple(names[id(one)] for one in keys)
                assert told.context == {"tenant": "acme"}
                assert told.key == next((one for one in keys if one in (key, other)), None)
                assert told.note == f"an envelope message, suite 0x{'0578, signed' if signed else '0478'}"
                assert explain(message).key is None
                assert explain(message).recipients == told.recipients


def test_an_envelope_that_is_cut_in_its_header_is_a_guess() -> None:
    message = envelope.encrypt(b"4111-1111", [envelope.RawAesKey("safe", "2026", bytes(32))])
    size = envelope.inspect(message).header_size
    for length in (3, 40, size - 1):
        told = explain(message[:length])
        assert (told.format, told.recipients) == ("envelope", ())
        assert told.note.startswith("a guess from the first bytes: ")
        assert told.note.endswith("but the envelope's header is cut short")
    assert "a guess" not in explain(message[:size]).note


@pytest.mark.parametrize("name", ["orders", "alias/orders", "", "\udcff", "a" * 300, "\0"])
def test_a_header_that_names_an_alias_names_no_key(name: str) -> None:
    recipient = Recipient("kmskit", b"software:" + name.encode(errors="surrogateescape"), b"")
    header = Header(SUITE, bytes(32), {}, (recipient,), 4096, bytes(32))
    with kmskit.connect("software:?memory=1") as kms:
        kms.create_key("orders")
        told = explain(encode(header) + bytes(16), kms)
    assert len(told.recipients) == 1
    assert told.key is None


def test_a_recipient_whose_id_is_random_is_marked_so() -> None:
    html = Explanation("envelope", 1, "note", recipients=("kmskit software:1", "safe 2026"))._repr_html_()
    assert '<span class="kms-volatile">kmskit software:1</span><br>safe 2026' in html


def test_an_rsa_ciphertext_is_told_by_its_length() -> None:
    for size, name in ((256, "RSA_2048"), (384, "RSA_3072"), (512, "RSA_4096")):
        assert name in explain(b"\x7f" * size).note


def test_bytes_of_no_format_are_unknown() -> None:
    for data in (b"", b"\x01", b"plain text", bytes(100), b64encode(bytes(100)), service_blob("-" * 36)[:80]):
        assert explain(data).format == "unknown"
        assert explain(data).size == len(data)


@pytest.mark.parametrize("wrong", ["text", None, 7, ["list"]])
def test_what_is_not_binary_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match="ciphertext"):
        explain(wrong)


@given(
    st.one_of(
        st.binary(max_size=120),
        st.binary(max_size=90).map(b64encode),
        st.text("0123456789abcdef-", max_size=50).map(service_blob),
    )
)
@example(service_blob("f" * 36))
@example(service_blob("-" + "1" * 35))
@example(b"\x01" + b"\xff" * 40)
def test_any_bytes_are_explained(data: bytes) -> None:
    with kmskit.connect("software:?memory=1") as kms:
        for told in (explain(data), explain(data, kms)):
            assert told.format in ("local", "alibaba", "envelope", "unknown")
            assert told.size == len(data)
            assert told.key is None
            hostile.assert_safe(told)


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_no_field_takes_over_the_display(text: str) -> None:
    hostile.assert_safe(Explanation("envelope", 1, text, text, None, (text,), {text: text}))
