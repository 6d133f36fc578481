"""Signatures, digests and MACs, verified by pyca/cryptography and hmac as well, without the backend."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from kmskit import (
    InvalidMacError,
    InvalidSignatureError,
    KeyNotFoundError,
    KeySpec,
    KeyUsage,
    Kms,
    LimitExceededError,
    Signature,
    UnsupportedError,
)
from kmskit.algorithms import ALGORITHMS, SPECS
from kmskit.testing.conformance.base import MACS, SIGNING, Conformance, KeyPool, algorithms, flipped, require

__all__ = ["SignatureConformance"]

MESSAGE = b"release v1.2.0"
MESSAGES = (MESSAGE, b"", bytes(range(256)) * 24)
HASHED = [spec for spec in SIGNING if spec is not KeySpec.ED25519]


class SignatureConformance(Conformance):
    @pytest.mark.parametrize("spec", SIGNING)
    def test_a_signature_verifies_here_and_outside(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.signing(spec)
        public = key.public_key()
        for algorithm in algorithms(key):
            for message in MESSAGES:
                signature = key.sign(message, algorithm=algorithm)
                key.verify(message, signature, algorithm=algorithm)
                key.verify(message, bytes(signature), algorithm=algorithm)
                verify_outside(public, signature, message)

    @pytest.mark.parametrize("spec", SIGNING)
    def test_a_signature_says_what_made_it(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.signing(spec)
        for algorithm in algorithms(key):
            signature = key.sign(MESSAGE, algorithm=algorithm)
            assert type(signature) is Signature
            assert signature.algorithm == (algorithm or SPECS[spec].algorithms[KeyUsage.SIGN_VERIFY][0])
            assert (signature.key_id, signature.key_version) == (key.id, key.primary_version)
            assert type(signature.value) is bytes
            assert bytes(signature) == signature.value

    @pytest.mark.parametrize("spec", SIGNING)
    def test_a_signature_belongs_to_one_message_and_key(self, keys: KeyPool, spec: KeySpec) -> None:
        key, other = keys.signing(spec), keys.signing(spec, number=1)
        for algorithm in algorithms(key):
            signature = key.sign(MESSAGE, algorithm=algorithm)
            for message in (b"", MESSAGE + b"\0", MESSAGE[:-1], b"Release v1.2.0"):
                with pytest.raises(InvalidSignatureError):
                    key.verify(message, signature, algorithm=algorithm)
            with pytest.raises(InvalidSignatureError):
                other.verify(MESSAGE, signature, algorithm=algorithm)

    @pytest.mark.parametrize("spec", SIGNING)
    def test_a_signature_that_was_changed_is_refused(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.signing(spec)
        algorithm = algorithms(key)[0]
        value = bytes(key.sign(MESSAGE, algorithm=algorithm))
        stride = 1 + len(value) // 128
        cuts = [value[:length] for length in range(0, len(value), stride)]
        for changed in (*flipped(value, stride), *cuts, value[1:], value + b"\0", b"\0" + value, bytes(len(value))):
            with pytest.raises(InvalidSignatureError):
                key.verify(MESSAGE, changed, algorithm=algorithm)

    @pytest.mark.parametrize("spec", SIGNING)
    def test_any_binary_type_is_signed(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.signing(spec)
        algorithm = algorithms(key)[0]
        signature = key.sign(bytearray(MESSAGE), algorithm=algorithm)
        key.verify(memoryview(MESSAGE), bytearray(bytes(signature)), algorithm=algorithm)

    @pytest.mark.parametrize("spec", SIGNING)
    def test_what_is_not_binary_is_a_type_error(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.signing(spec)
        signature = key.sign(MESSAGE, algorithm=algorithms(key)[0])
        for wrong in ("text", None, 7):
            any_type: Any = wrong
            with pytest.raises(TypeError, match="message: bytes expected"):
                key.sign(any_type)
            with pytest.raises(TypeError, match="message: bytes expected"):
                key.verify(any_type, signature)
            with pytest.raises(TypeError, match="signature: bytes expected"):
                key.verify(MESSAGE, any_type)

    # Algorithms

    def test_the_verifier_decides_the_algorithm(self, keys: KeyPool) -> None:
        key = keys.signing(KeySpec.RSA_2048)
        names = [name for name in algorithms(key) if name is not None]
        if len(names) < 2:
            pytest.skip(f"this backend has no algorithm but {names[0]}")
        for made, expected in (names[:2], names[1::-1]):
            signature = key.sign(MESSAGE, algorithm=made)
            with pytest.raises(InvalidSignatureError):
                key.verify(MESSAGE, signature, algorithm=expected)
            with pytest.raises(InvalidSignatureError):
                key.verify(MESSAGE, bytes(signature), algorithm=expected)
            with pytest.raises(InvalidSignatureError):
                key.verify(MESSAGE, replace(signature, algorithm=expected))
            key.verify(MESSAGE, signature)  # A Signature names an algorithm of this spec, and none was demanded.

    @pytest.mark.parametrize("spec", SIGNING)
    def test_a_signature_that_names_an_algorithm_of_another_spec_is_refused(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.signing(spec)
        signature = key.sign(MESSAGE, algorithm=algorithms(key)[0])
        foreign = [name for name in ALGORITHMS if name not in SPECS[spec].algorithms[KeyUsage.SIGN_VERIFY]]
        for name in (*foreign, "", "NONE", signature.algorithm.lower()):
            with pytest.raises(InvalidSignatureError):
                key.verify(MESSAGE, replace(signature, algorithm=name))
            with pytest.raises(UnsupportedError, match="algorithm"):
                key.verify(MESSAGE, signature, algorithm=name)
            with pytest.raises(UnsupportedError, match="algorithm"):
                key.sign(MESSAGE, algorithm=name)

    def test_a_key_that_encrypts_does_not_sign(self, keys: KeyPool) -> None:
        for spec in (KeySpec.AES_256, KeySpec.RSA_2048):
            key = keys.encrypting(spec)
            with pytest.raises(UnsupportedError):
                key.sign(MESSAGE)
            with pytest.raises(UnsupportedError):
                key.verify(MESSAGE, b"x")

    # Digests

    @pytest.mark.parametrize("spec", HASHED)
    def test_a_digest_and_its_message_have_the_same_signature(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.signing(spec)
        for algorithm in algorithms(key):
            row = ALGORITHMS[algorithm or SPECS[spec].algorithms[KeyUsage.SIGN_VERIFY][0]]
            digest = hashlib.new(str(row.digest), MESSAGE).digest()
            signature = key.sign_digest(digest, algorithm=algorithm)
            assert signature.algorithm == row.name
            key.verify(MESSAGE, signature)
            key.verify_digest(digest, key.sign(MESSAGE, algorithm=algorithm))
            verify_outside(key.public_key(), signature, MESSAGE)
            verify_outside(key.public_key(), signature, digest, hashed=True)
            with pytest.raises(InvalidSignatureError):
                key.verify_digest(bytes(len(digest)), signature)

    @pytest.mark.parametrize("spec", HASHED)
    def test_a_digest_of_a_wrong_length_is_a_value_error(self, keys: KeyPool, spec: KeySpec) -> None:
        key = keys.signing(spec)
        for algorithm in algorithms(key):
            right = ALGORITHMS[algorithm or SPECS[spec].algorithms[KeyUsage.SIGN_VERIFY][0]].digest_size
            signature = key.sign_digest(bytes(right), algorithm=algorithm)
            for length in {0, 1, 20, 32, 48, 64, right - 1, right + 1, 100} - {right}:
                with pytest.raises(ValueError, match="digest"):
                    key.sign_digest(bytes(length), algorithm=algorithm)
                with pytest.raises(ValueError, match="digest"):
                    key.verify_digest(bytes(length), signature, algorithm=algorithm)
        text: Any = "0" * 32
        with pytest.raises(TypeError, match="digest"):
            key.sign_digest(text)

    def test_ed25519_signs_no_digests(self, keys: KeyPool) -> None:
        key = keys.signing(KeySpec.ED25519)
        with pytest.raises(UnsupportedError, match="digest"):
            key.sign_digest(bytes(32))
        with pytest.raises(UnsupportedError, match="digest"):
            key.verify_digest(bytes(32), key.sign(MESSAGE))

    # Public keys

    @pytest.mark.parametrize("spec", SIGNING)
    def test_the_public_key_is_of_the_spec(self, keys: KeyPool, spec: KeySpec) -> None:
        key, row = keys.signing(spec), SPECS[spec]
        public = key.public_key()
        if row.family == "RSA":
            assert isinstance(public, rsa.RSAPublicKey)
            assert (public.key_size, public.public_numbers().e) == (row.bits, 65537)
        elif row.family == "EC":
            assert isinstance(public, ec.EllipticCurvePublicKey)
            assert public.curve.name.upper() == row.pyca_curve
        else:
            assert isinstance(public, ed25519.Ed25519PublicKey)
        assert key.public_key(key.primary_version) == public
        assert keys.signing(spec, number=1).public_key() != public
        with pytest.raises(KeyNotFoundError):
            key.public_key("ffffffff-none-of-this-key")

    def test_an_rsa_key_opens_what_its_public_key_encrypted_outside(self, keys: KeyPool) -> None:
        key = keys.encrypting(KeySpec.RSA_2048)
        for algorithm in algorithms(key):
            row = ALGORITHMS[algorithm or SPECS[key.spec].algorithms[KeyUsage.ENCRYPT_DECRYPT][0]]
            scheme = padding.OAEP(padding.MGF1(_hash(row.digest)), _hash(row.digest), None)
            assert key.decrypt(key.public_key().encrypt(MESSAGE, scheme), algorithm=algorithm) == MESSAGE

    def test_a_secret_key_has_no_public_half(self, keys: KeyPool) -> None:
        for spec in (KeySpec.AES_256, KeySpec.HMAC_256):
            with pytest.raises(UnsupportedError, match="public"):
                keys(spec).public_key()

    # MACs

    @pytest.mark.parametrize("spec", MACS)
    def test_a_mac_belongs_to_one_message_and_key(self, kms: Kms, keys: KeyPool, spec: KeySpec) -> None:
        require(kms, spec, "mac")
        key, other = keys(spec), keys(spec, number=1)
        for message in MESSAGES:
            tag = key.mac(message)
            assert type(tag) is bytes
            assert len(tag) * 8 == SPECS[spec].bits
            assert key.mac(bytearray(message)) == tag
            key.verify_mac(message, tag)
            with pytest.raises(InvalidMacError):
                key.verify_mac(message + b"\0", tag)
            with pytest.raises(InvalidMacError):
                other.verify_mac(message, tag)

    @pytest.mark.parametrize("spec", MACS)
    def test_a_tag_that_was_changed_is_refused(self, kms: Kms, keys: KeyPool, spec: KeySpec) -> None:
        require(kms, spec, "mac")
        key = keys(spec)
        tag = key.mac(MESSAGE)
        for changed in (*flipped(tag), *(tag[:length] for length in range(len(tag))), tag + b"\0", bytes(len(tag))):
            with pytest.raises(InvalidMacError):
                key.verify_mac(MESSAGE, changed)

    @pytest.mark.parametrize("spec", MACS)
    def test_a_mac_is_what_hmac_computes_with_the_same_secret(self, kms: Kms, spec: KeySpec) -> None:
        require(kms, spec, "mac")
        require(kms, spec, "import")
        secret = bytes(range(SPECS[spec].bits // 8))
        key = kms.import_key(None, secret, spec)
        assert key.mac(MESSAGE) == hmac.digest(secret, MESSAGE, f"sha{SPECS[spec].bits}")

    def test_a_mac_takes_the_declared_size_and_binary_only(self, kms: Kms, keys: KeyPool) -> None:
        limit = require(kms, KeySpec.HMAC_256, "mac").max_bytes
        key = keys(KeySpec.HMAC_256)
        if limit is not None:
            key.verify_mac(bytes(limit), key.mac(bytes(limit)))
            with pytest.raises(LimitExceededError):
                key.mac(bytes(limit + 1))
        text: Any = "text"
        for refused in (lambda: key.mac(text), lambda: key.verify_mac(text, b"x"), lambda: key.verify_mac(b"x", text)):
            with pytest.raises(TypeError, match="bytes expected"):
                refused()

    def test_only_mac_keys_make_macs(self, keys: KeyPool) -> None:
        for key in (keys(KeySpec.AES_256), keys.signing(KeySpec.EC_P256)):
            with pytest.raises(UnsupportedError):
                key.mac(MESSAGE)
            with pytest.raises(UnsupportedError):
                key.verify_mac(MESSAGE, bytes(32))
        with pytest.raises(UnsupportedError):
            keys(KeySpec.HMAC_256).sign(MESSAGE)


def verify_outside(public: Any, signature: Signature, message: bytes, *, hashed: bool = False) -> None:
    """Verify with nothing but pyca/cryptography, and see it refuse another message."""
    row = ALGORITHMS[signature.algorithm]
    scheme: tuple[Any, ...] = ()
    if row.digest is not None:
        digest: Any = Prehashed(_hash(row.digest)) if hashed else _hash(row.digest)
        pss = padding.PSS(padding.MGF1(_hash(row.digest)), row.digest_size)
        scheme = {
            "PSS": (pss, digest),
            "PKCS1v15": (padding.PKCS1v15(), digest),
            None: (ec.ECDSA(digest),),
        }[row.padding]
    public.verify(bytes(signature), message, *scheme)
    with pytest.raises(InvalidSignature):
        public.verify(bytes(signature), bytes(len(message)) if hashed else message + b"!", *scheme)


def _hash(name: str | None) -> hashes.HashAlgorithm:
    return getattr(hashes, str(name))()  # type: ignore[no-any-return]
