"""What others make of what a token made: pyca/cryptography, the software backend, `openssl`."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import kmskit
from kmskit import Kms
from kmskit.ciphertext import parse
from kmskit.context import canonical
from tests.backends.software.test_against_openssl import SIGNATURES, openssl

MESSAGE = b"v1.2.0\n"
CONTEXT = {"tenant": "acme", "table": "orders"}


@pytest.mark.parametrize("bits", [128, 256])
def test_a_ciphertext_has_the_bytes_of_the_software_backends(kms: Kms, bits: int) -> None:
    """The same secret in both: each opens what the other made, but for the number of the version in front."""
    secret = os.urandom(bits // 8)
    on_token = kms.import_key(None, secret, f"AES_{bits}")
    with kmskit.connect("software:?memory=1") as software:
        in_memory = software.import_key(None, secret, f"AES_{bits}")
        for plaintext in (b"", b"x", MESSAGE * 100):
            there = on_token.encrypt(plaintext, context=CONTEXT)
            here = in_memory.encrypt(plaintext, context=CONTEXT)
            assert len(there) == len(here)
            assert in_memory.decrypt(here[:5] + there[5:], context=CONTEXT) == plaintext
            assert on_token.decrypt(there[:5] + here[5:], context=CONTEXT) == plaintext
            parts = parse(there)
            assert AESGCM(secret).decrypt(parts.iv, parts.body, canonical(CONTEXT)) == plaintext


@pytest.mark.parametrize(("spec", "algorithm", "options"), SIGNATURES)
def test_openssl_verifies_what_a_token_signed(
    kms: Kms, tmp_path: Path, spec: str, algorithm: str, options: list[str]
) -> None:
    key = kms.create_key(spec=spec)
    public = tmp_path / "public.pem"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    digest = hashlib.new(options[0].removeprefix("-"), MESSAGE).digest()
    for signature in (key.sign(MESSAGE, algorithm=algorithm), key.sign_digest(digest, algorithm=algorithm)):
        file = tmp_path / "signature"
        file.write_bytes(bytes(signature))
        assert b"OK" in openssl("dgst", *options, "-verify", public, "-signature", file, stdin=MESSAGE)


def test_openssl_encrypts_what_a_token_opens(kms: Kms, tmp_path: Path) -> None:
    key = kms.create_key(spec="RSA_2048", usage="ENCRYPT_DECRYPT")
    public = tmp_path / "public.pem"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    oaep = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha1"]
    sealed = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", public, *oaep, stdin=MESSAGE)
    assert key.decrypt(sealed, algorithm="RSAES_OAEP_SHA_1") == MESSAGE


def test_an_rsa_key_with_another_exponent_can_be_brought_in(kms: Kms) -> None:
    private = rsa.generate_private_key(3, 2048)  # 3 is small, and allowed: RFC 8017, 3.1.
    key = kms.import_key(None, private, "RSA_2048")
    assert key.public_key() == private.public_key()
    key.verify(MESSAGE, key.sign(MESSAGE))


def test_an_envelope_opens_with_either_of_a_token_and_a_key_in_a_safe(kms: Kms) -> None:
    key = kms.create_key()
    safe: Any = kmskit.envelope.RawAesKey("safe", "2026", os.urandom(32))
    message = kmskit.envelope.encrypt(MESSAGE * 1000, [key, safe], context=CONTEXT)
    for recipient in (key, safe):
        assert kmskit.envelope.decrypt(message, [recipient]) == MESSAGE * 1000


def test_a_key_is_sensitive_and_not_extractable_whatever_made_it(kms: Kms) -> None:
    from pkcs11.constants import Attribute, ObjectClass

    kms.create_key()
    kms.import_key(None, os.urandom(32), "AES_256")
    kms.create_key(spec="HMAC_512")
    for spec in ("RSA_2048", "EC_P256", "ED25519"):
        kms.create_key(spec=spec)
    kms.import_key(None, rsa.generate_private_key(65537, 2048), "RSA_2048")
    backend: Any = kms._backend

    def look(session: Any) -> int:
        seen = 0
        for kind in (ObjectClass.SECRET_KEY, ObjectClass.PRIVATE_KEY):
            for found in list(session.p11.get_objects({Attribute.CLASS: kind})):
                seen += 1
                assert (found[Attribute.SENSITIVE], found[Attribute.EXTRACTABLE]) == (True, False)
                assert found[Attribute.PRIVATE] is True
                for other in (Attribute.WRAP, Attribute.UNWRAP, Attribute.DERIVE):
                    values = session.attributes(found.handle, (other,))
                    assert values in ([b"\0"], [None])
                secrets = (Attribute.VALUE, Attribute.PRIVATE_EXPONENT, Attribute.PRIME_1)
                assert session.attributes(found.handle, secrets) == [None, None, None]
        return seen

    assert backend._keys.run(look) == 7


def test_a_token_with_400_keys_is_used_as_one_with_4(kms: Kms) -> None:
    """No timing: what is counted is that a use of a key asks the module for nothing but the use."""
    key = kms.create_key("orders")
    for _ in range(396):
        kms.create_key()
    ciphertext = key.encrypt(b"x")
    backend: Any = kms._backend
    sessions, asked = backend._sessions, []
    cryptoki = sessions.module.cryptoki
    before = cryptoki.find, cryptoki.attributes
    cryptoki.find = cryptoki.attributes = lambda *arguments: asked.append(arguments)
    try:
        for _ in range(100):
            assert key.decrypt(key.encrypt(b"y")) == b"y"
            assert key.decrypt(ciphertext) == b"x"
    finally:
        cryptoki.find, cryptoki.attributes = before
    assert not asked
    assert len(list(kms.keys())) == 397
