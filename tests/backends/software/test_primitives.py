"""What the primitives refuse beyond what OpenSSL refuses, and when they warn."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest

import kmskit
from kmskit.backends.software import primitives

MESSAGE = b"release v1.2.0"


def starting_with_zero(make: Callable[[], bytes]) -> bytes:
    """One of many randomised values whose first byte is zero; 256 tries on average."""
    return next(value for value in islice(iter(make, None), 20_000) if value[0] == 0)


def test_an_rsa_signature_without_its_leading_zero_is_refused() -> None:
    with kmskit.connect("software:?memory=1") as kms:
        key = kms.create_key(spec="RSA_2048")
        signature = starting_with_zero(lambda: bytes(key.sign(MESSAGE)))
        key.verify(MESSAGE, signature)
        for changed in (signature[1:], b"\0" + signature):
            with pytest.raises(kmskit.InvalidSignatureError):
                key.verify(MESSAGE, changed)


def test_an_rsa_ciphertext_without_its_leading_zero_is_refused() -> None:
    with kmskit.connect("software:?memory=1") as kms:
        key = kms.create_key(spec="RSA_2048", usage="ENCRYPT_DECRYPT")
        ciphertext = starting_with_zero(lambda: key.encrypt(MESSAGE))
        assert key.decrypt(ciphertext) == MESSAGE
        for changed in (ciphertext[1:], b"\0" + ciphertext):
            with pytest.raises(kmskit.InvalidCiphertextError):
                key.decrypt(changed)


@pytest.mark.parametrize("spec", ["AES_256", "SM4"])
def test_a_version_that_has_encrypted_very_often_warns_once(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(primitives, "WARN_AFTER", 3)
    with kmskit.connect("software:?memory=1") as kms:
        key = kms.create_key(spec=spec)
        for _ in range(3):
            key.encrypt(b"x")
        with pytest.warns(kmskit.KmsWarning, match="rotate the key") as warned:
            key.encrypt(b"x")
        assert warned[0].filename == __file__  # The warning points to the line of the caller.
        for _ in range(3):
            key.encrypt(b"x")  # A second warning would be an error here.
        key.rotate()
        for _ in range(3):
            key.encrypt(b"x")  # The new version counts from the start.
        with pytest.warns(kmskit.KmsWarning, match="rotate the key"):
            key.encrypt(b"x")


def test_data_keys_and_batches_count_as_encryptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(primitives, "WARN_AFTER", 3)
    with kmskit.connect("software:?memory=1") as kms:
        key = kms.create_key()
        key.encrypt_many([b"x", b"x"])
        key.generate_data_key()
        with pytest.warns(kmskit.KmsWarning):
            key.generate_data_key()


def test_the_count_of_encryptions_outlives_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(primitives, "WARN_AFTER", 3)
    with kmskit.connect("software:?memory=1") as kms:
        key = kms.create_key()
        for _ in range(3):
            key.encrypt(b"x")
            kms.create_key()  # Any change empties the cache of keys in use.
            key.disable()
            key.enable()
        with pytest.warns(kmskit.KmsWarning):
            key.encrypt(b"x")
