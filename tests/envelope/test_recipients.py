"""Who can open an envelope, and what is said when no one can."""

from __future__ import annotations

import os
import pickle
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

import kmskit
from kmskit import InvalidCiphertextError, KmsError, LimitExceededError, envelope
from kmskit.context import canonical
from kmskit.envelope import RawAesKey, RawRsaKey
from kmskit.envelope.header import Recipient
from kmskit.envelope.materials import unwrap
from kmskit.envelope.recipients import title, wrappers
from kmskit.testing import hostile, leaks

from . import outage

CONTEXT = {"table": "orders", "ünï": ""}
DATA = b"4111-1111-1111-1111"


def pem(private: Any, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


def public_pem(private: Any) -> bytes:
    return bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def test_any_recipient_opens_alone(key: kmskit.Key, aes: RawAesKey, safe: RawRsaKey) -> None:
    remote, _ = outage.connect()
    keys: list[Any] = [key, remote.create_key(), aes, safe]
    for order in list(permutations(keys))[::5]:
        message = envelope.encrypt(DATA, order, context=CONTEXT)
        assert len(envelope.inspect(message).recipients) == 4
        for one in keys:
            assert envelope.decrypt(message, [one], require_context=CONTEXT) == DATA


def test_others_do_not_open(key: kmskit.Key, other: kmskit.Key, aes: RawAesKey, safe: RawRsaKey) -> None:
    message = envelope.encrypt(DATA, [key, aes, safe])
    for stranger in (
        other,
        RawAesKey("partner", "another name", bytes(range(32))),
        RawAesKey("another namespace", "shared", bytes(range(32))),
        RawRsaKey("safe", "2027", rsa.generate_private_key(65537, 2048)),
    ):
        with pytest.raises(InvalidCiphertextError, match="none of the given keys is a recipient"):
            envelope.decrypt(message, [stranger])
    for imitator in (
        RawAesKey("partner", "shared", bytes(32)),
        RawRsaKey("safe", "2026", rsa.generate_private_key(65537, 2048)),
    ):
        with pytest.raises(InvalidCiphertextError, match="no recipient could open"):
            envelope.decrypt(message, [imitator])


def test_a_raw_aes_key_wraps_as_its_docstring_says(aes: RawAesKey) -> None:
    (recipient,) = envelope.inspect(envelope.encrypt(DATA, [aes], context=CONTEXT)).recipients
    assert recipient.provider == "partner"
    assert recipient.info[:-12] == b"shared" + (128).to_bytes(4) + (12).to_bytes(4)
    unwrapped = AESGCM(bytes(range(32))).decrypt(recipient.info[-12:], recipient.wrapped, canonical(CONTEXT))
    assert len(unwrapped) == 32


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_raw_aes_keys_have_three_lengths(bits: int) -> None:
    mine = RawAesKey("n", "k", os.urandom(bits // 8))
    assert envelope.decrypt(envelope.encrypt(DATA, [mine]), [mine]) == DATA


@pytest.mark.parametrize("digest", ["SHA_1", "SHA_256", "SHA_384", "SHA_512"])
def test_a_raw_rsa_key_wraps_with_oaep(private: rsa.RSAPrivateKey, digest: str) -> None:
    mine = RawRsaKey("safe", "2026", private, padding=f"OAEP_{digest}")
    message = envelope.encrypt(DATA, [mine])
    (recipient,) = envelope.inspect(message).recipients
    assert (recipient.provider, recipient.info) == ("safe", b"2026")
    algorithm = getattr(hashes, digest.replace("_", "") if digest != "SHA_1" else "SHA1")()
    oaep = padding.OAEP(padding.MGF1(algorithm), algorithm, None)
    assert len(private.decrypt(recipient.wrapped, oaep)) == 32
    assert envelope.decrypt(message, [mine]) == DATA
    another = RawRsaKey("safe", "2026", private, padding="OAEP_SHA_1" if digest != "SHA_1" else "OAEP_SHA_256")
    with pytest.raises(InvalidCiphertextError):
        envelope.decrypt(message, [another])


@pytest.mark.parametrize("as_text", [False, True])
def test_an_rsa_key_is_given_as_pem_or_as_an_object(private: rsa.RSAPrivateKey, *, as_text: bool) -> None:
    def form(data: bytes) -> bytes | str:
        return data.decode() if as_text else data

    message = envelope.encrypt(DATA, [RawRsaKey("safe", "2026", form(public_pem(private)))])
    for readable in (private, form(pem(private))):
        assert envelope.decrypt(message, [RawRsaKey("safe", "2026", readable)]) == DATA


def test_a_public_half_says_that_it_cannot_open(private: rsa.RSAPrivateKey, aes: RawAesKey) -> None:
    half = RawRsaKey("safe", "2026", private.public_key())
    message = envelope.encrypt(DATA, [half, aes])
    assert envelope.decrypt(message, [half, aes]) == DATA
    with pytest.raises(kmskit.UnsupportedError, match="safe 2026: only the public half"):
        envelope.decrypt(message, [half])


@pytest.mark.parametrize(
    ("make", "error", "reason"),
    [
        (lambda: RawAesKey("n", "k", bytes(20)), ValueError, "16, 24 or 32"),
        (lambda: RawAesKey("n", "k", "0" * 32), TypeError, "material"),  # type: ignore[arg-type]
        (lambda: RawAesKey("kmskit", "k", bytes(32)), ValueError, "namespace"),
        (lambda: RawAesKey("aws-kms", "k", bytes(32)), ValueError, "namespace"),
        (lambda: RawAesKey("", "k", bytes(32)), ValueError, "namespace"),
        (lambda: RawAesKey(b"n", "k", bytes(32)), TypeError, "namespace"),  # type: ignore[arg-type]
        (lambda: RawAesKey("n", 1, bytes(32)), TypeError, "name"),  # type: ignore[arg-type]
        (lambda: RawRsaKey("n", "k", ec.generate_private_key(ec.SECP256R1())), TypeError, "an RSA key"),
        (lambda: RawRsaKey("n", "k", pem(ec.generate_private_key(ec.SECP256R1()))), TypeError, "an RSA key"),
        (lambda: RawRsaKey("n", "k", b"no PEM"), ValueError, "PEM"),
        (lambda: RawRsaKey("n", "k", None), TypeError, "an RSA key"),
        (lambda: RawRsaKey("n", "k", b"", padding="PKCS1"), ValueError, "OAEP_SHA_256"),
        (lambda: RawRsaKey("n", "k", rsa.generate_private_key(65537, 1024)), ValueError, "2,048 bits"),
    ],
)
def test_a_raw_key_that_cannot_be_one_is_refused(make: Any, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        make()


def test_an_encrypted_pem_is_refused_without_a_trace_of_it(private: rsa.RSAPrivateKey) -> None:
    with pytest.raises(ValueError, match="decrypted first") as caught:
        RawRsaKey("n", "k", pem(private, b"passphrase"))
    assert caught.value.__context__ is None


def test_raw_keys_show_and_pickle_nothing(aes: RawAesKey, safe: RawRsaKey) -> None:
    leaks.assert_clean([repr(aes), repr(safe)], bytes(range(32)))
    for raw in (aes, safe):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(raw)


@pytest.mark.parametrize("wrong", [None, 7, "key", b"key", [None], ["key"], {}, []])
def test_keys_are_a_list_of_keys(wrong: Any) -> None:
    for call in (lambda: envelope.encrypt(DATA, wrong), lambda: envelope.decrypt(bytes(100), wrong)):
        with pytest.raises((TypeError, ValueError), match="keys: "):
            call()


def test_one_key_is_no_list(key: kmskit.Key, aes: RawAesKey) -> None:
    for one in (key, aes):
        with pytest.raises(TypeError, match="a list of keys"):
            envelope.encrypt(DATA, one)  # type: ignore[arg-type]


def test_any_iterable_of_keys_will_do(key: kmskit.Key, aes: RawAesKey) -> None:
    message = envelope.encrypt(DATA, (one for one in (key, aes)))
    assert envelope.decrypt(message, iter([aes])) == DATA


def test_eight_recipients_and_not_nine(kms: kmskit.Kms, aes: RawAesKey) -> None:
    keys = [kms.create_key() for _ in range(8)]
    message = envelope.encrypt(DATA, keys)
    assert all(envelope.decrypt(message, [key]) == DATA for key in keys)
    with pytest.raises(LimitExceededError, match="at most 8 recipients, not 9"):
        envelope.encrypt(DATA, [*keys, aes])


@pytest.mark.parametrize("spec", ["RSA_2048", "EC_P256", "HMAC_256"])
def test_keys_that_wrap_no_data_keys_are_named(kms: kmskit.Kms, spec: str) -> None:
    with pytest.raises(kmskit.UnsupportedError, match=spec):
        envelope.encrypt(DATA, [kms.create_key(spec=spec)])


@pytest.mark.parametrize("spec", ["AES_128", "AES_256", "SM4"])
def test_every_symmetric_key_is_a_recipient(kms: kmskit.Kms, spec: str) -> None:
    key = kms.create_key(spec=spec)
    message = envelope.encrypt(DATA, [key], context=CONTEXT, signed=True)
    key.rotate()
    assert envelope.decrypt(message, [key]) == DATA


def test_the_same_key_through_another_kms_opens(tmp_path: Path) -> None:
    uri = f"software://{tmp_path}/keys.db"
    with kmskit.connect(uri) as kms:
        key = kms.create_key("orders")
        message = envelope.encrypt(DATA, [key])
    with kmskit.connect(uri) as kms:
        assert envelope.decrypt(message, [kms.key("orders")]) == DATA
    assert envelope.decrypt(message, [pickle.loads(pickle.dumps(key))]) == DATA


# What fails


def test_a_recipient_that_is_down_does_not_stop_the_others(key: kmskit.Key, aes: RawAesKey) -> None:
    remote, backend = outage.connect()
    far = remote.create_key()
    message = envelope.encrypt(DATA, [far, key, aes])
    backend.outage = kmskit.ServiceUnavailableError("no route to host")
    assert envelope.decrypt(message, [far, key]) == DATA
    assert envelope.decrypt(message, [far, aes]) == DATA


@pytest.mark.parametrize(
    "reason",
    [
        kmskit.ServiceUnavailableError("no route to host"),
        kmskit.ThrottledError("slow down"),
        kmskit.AccessDeniedError("policy says no"),
        kmskit.AuthenticationError("token expired"),
        kmskit.KeyStateError("the key is DISABLED"),
        kmskit.KeyNotFoundError("no such key"),
    ],
    ids=lambda reason: type(reason).__name__,
)
def test_what_keeps_a_recipient_away_is_the_error_and_not_tampering(
    key: kmskit.Key, aes: RawAesKey, reason: KmsError
) -> None:
    remote, backend = outage.connect()
    far = remote.create_key()
    message = envelope.encrypt(DATA, [key, far, aes])
    known: Any = {"code": "Code.7", "request_id": "request-7", "hint": "do it", "recommend": "https://example.com"}
    backend.outage = type(reason)(str(reason), **known, retryable=True)
    imitator = RawAesKey("partner", "shared", bytes(32))
    with pytest.raises(type(reason)) as caught:
        envelope.decrypt(message, [far, imitator])
    error = caught.value
    assert not isinstance(error, InvalidCiphertextError)
    assert f"⟨kmskit remote:{far.id}⟩: {reason}" in str(error)
    assert "partner shared: the wrapped data key does not open" in str(error)
    assert (error.backend, error.operation) == ("remote", "data_key")
    assert {name: getattr(error, name) for name in known} == known
    assert error.retryable
    leaks.assert_clean(error, DATA, bytes(range(32)))


def test_a_disabled_key_is_named_and_others_are_tried(kms: kmskit.Kms, aes: RawAesKey) -> None:
    key = kms.create_key()
    message = envelope.encrypt(DATA, [key, aes])
    key.disable()
    assert envelope.decrypt(message, [key, aes]) == DATA
    with pytest.raises(kmskit.KeyStateError, match="DISABLED") as caught:
        envelope.decrypt(message, [key])
    assert caught.value.hint == "key.enable() allows it again"
    with pytest.raises(kmskit.KeyStateError, match="DISABLED"):
        envelope.encrypt(DATA, [aes, key])
    key.enable()
    assert envelope.decrypt(message, [key]) == DATA


def test_a_key_that_is_away_when_writing_is_the_error(key: kmskit.Key) -> None:
    remote, backend = outage.connect()
    far = remote.create_key()
    backend.outage = kmskit.ServiceUnavailableError("no route to host")
    for order in ([far, key], [key, far]):
        with pytest.raises(kmskit.ServiceUnavailableError, match="no route"):
            envelope.encrypt(DATA, order)


def test_all_that_was_tried_is_named(private: rsa.RSAPrivateKey) -> None:
    mine = [RawAesKey("partner", name, bytes(32)) for name in ("one", "two")]
    message = envelope.encrypt(DATA, [*mine, RawRsaKey("safe", "2026", private)])
    others = [RawAesKey("partner", name, bytes(16)) for name in ("one", "two")]
    with pytest.raises(InvalidCiphertextError, match=r"\(partner one: .*; partner two: .*\)") as caught:
        envelope.decrypt(message, others)
    assert "safe" not in str(caught.value)  # No key for it was given.


def test_an_unwrapped_key_of_another_length_is_no_data_key(private: rsa.RSAPrivateKey, safe: RawRsaKey) -> None:
    digest = hashes.SHA256()
    short = private.public_key().encrypt(bytes(16), padding.OAEP(padding.MGF1(digest), digest, None))
    with pytest.raises(InvalidCiphertextError, match="not 32 bytes"):
        unwrap([Recipient("safe", b"2026", short)], {}, wrappers([safe]))


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_hostile_names_are_displayed_harmlessly(text: str) -> None:
    raw = RawAesKey(text, text, bytes(32))
    message = envelope.encrypt(DATA, [raw], context={text: text})
    with pytest.raises(InvalidCiphertextError) as caught:
        envelope.decrypt(message, [RawAesKey(text, text, bytes(16))])
    hostile.assert_safe_text(str(caught.value))
    hostile.assert_safe(caught.value)
    hostile.assert_safe(envelope.inspect(message))
    hostile.assert_safe_text(repr(raw))


def test_titles_are_text() -> None:
    aes_info = b"key" + (128).to_bytes(4) + (12).to_bytes(4) + bytes(12)
    assert title(Recipient("partner", aes_info, b"")) == "partner key"
    assert title(Recipient("kmskit", b"software:1", b"")) == "kmskit software:1"
    assert title(Recipient("aws-kms", b"\xff\x00", b"")) == "aws-kms \\xff\x00"
    assert title(Recipient("", b"", b"")) == " "
