"""Key material from outside."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from kmskit.algorithms import SPECS
from kmskit.material import canonical
from kmskit.testing import leaks

RSA = rsa.generate_private_key(65537, 2048)
PRIVATE: dict[str, Any] = {
    "RSA_2048": RSA,
    "EC_P256": ec.generate_private_key(ec.SECP256R1()),
    "EC_P384": ec.generate_private_key(ec.SECP384R1()),
    "EC_P521": ec.generate_private_key(ec.SECP521R1()),
    "EC_P256K": ec.generate_private_key(ec.SECP256K1()),
    "ED25519": ed25519.Ed25519PrivateKey.generate(),
}
SECRETS = [name for name, row in SPECS.items() if not row.asymmetric]


def written(key: Any, encoding: Encoding, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(encoding, form, NoEncryption())  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_its_bytes(name: str) -> None:
    size = SPECS[name].bits // 8
    for kind in (bytes, bytearray, memoryview):
        assert canonical(kind(bytes(range(size))), SPECS[name]) == bytes(range(size))
    for wrong in (0, 1, size - 1, size + 1, size * 2):
        with pytest.raises(ValueError, match=f"{size} bytes, not {wrong}"):
            canonical(bytes(wrong), SPECS[name])
    for text in ("0" * size, None, 7):
        with pytest.raises(TypeError, match="material"):
            canonical(text, SPECS[name])


@pytest.mark.parametrize("name", PRIVATE)
def test_a_private_key_comes_as_object_pem_text_or_der(name: str) -> None:
    key = PRIVATE[name]
    pem = written(key, Encoding.PEM)
    forms = [key, pem, pem.decode(), bytearray(pem), b"# a comment\n" + pem, written(key, Encoding.DER)]
    if name != "ED25519":  # The older forms, which have no Edwards curves.
        traditional = PrivateFormat.TraditionalOpenSSL
        forms += [written(key, Encoding.PEM, traditional), written(key, Encoding.DER, traditional)]
    assert {canonical(form, SPECS[name]) for form in forms} == {written(key, Encoding.DER)}
    assert load_der_private_key(canonical(key, SPECS[name]), None).public_key() == key.public_key()


@pytest.mark.parametrize("name", PRIVATE)
@pytest.mark.parametrize("other", PRIVATE)
def test_a_private_key_of_another_spec_is_refused(name: str, other: str) -> None:
    if name == other:
        return
    for form in (PRIVATE[other], written(PRIVATE[other], Encoding.PEM)):
        with pytest.raises(ValueError, match=f"private key of {name} expected, not {other}"):
            canonical(form, SPECS[name])


def test_kinds_without_a_spec_are_named() -> None:
    for key, found in (
        (ec.generate_private_key(ec.BrainpoolP256R1()), "BRAINPOOLP256R1"),
        (ec.generate_private_key(ec.SECP224R1()), "SECP224R1"),
        (x25519.X25519PrivateKey.generate(), "X25519PrivateKey"),
        (ed448.Ed448PrivateKey.generate(), "Ed448PrivateKey"),
        (dsa.generate_private_key(1024), "DSAPrivateKey"),
    ):
        with pytest.raises(ValueError, match=found):
            canonical(key, SPECS["EC_P256"])


def test_rsa_keys_of_other_sizes_are_refused() -> None:
    for name in ("RSA_3072", "RSA_4096"):
        with pytest.raises(ValueError, match=f"{name} expected, not RSA_2048"):
            canonical(RSA, SPECS[name])


def test_an_encrypted_key_is_refused_with_the_cure() -> None:
    encryption = BestAvailableEncryption(b"correct horse")
    for encoding in (Encoding.PEM, Encoding.DER):
        data = RSA.private_bytes(encoding, PrivateFormat.PKCS8, encryption)
        with pytest.raises(ValueError, match="is encrypted; decrypt it first"):
            canonical(data, SPECS["RSA_2048"])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no key",
        "no key",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----",
        RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        written(RSA, Encoding.DER)[:-1],
        bytes(32),
    ],
)
def test_what_is_no_private_key_is_a_value_error(data: Any) -> None:
    for name in ("RSA_2048", "EC_P256", "ED25519"):
        with pytest.raises(ValueError, match="material"):
            canonical(data, SPECS[name])


@pytest.mark.parametrize("wrong", [None, 7, object(), RSA.public_key(), [b"x"]])
def test_what_is_no_material_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match="material"):
        canonical(wrong, SPECS["RSA_2048"])


def test_no_error_holds_the_material() -> None:
    secret = b"0123456789-a-secret-of-some-length"
    pem = written(RSA, Encoding.PEM)
    for data, name in (
        (secret, "AES_256"),
        (secret, "RSA_2048"),
        (secret.decode(), "EC_P256"),
        (pem, "EC_P256"),
        (pem[:-9], "RSA_2048"),
    ):
        with pytest.raises(ValueError, match="material") as refused:
            canonical(data, SPECS[name])
        leaks.assert_clean(refused.value, secret, pem.splitlines()[3])
