"""Key material as pyca/cryptography objects, ready for use: one class a family of specs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import count
from os import urandom
from typing import Any, Protocol

# pyca imports this module at the first signature. A fork just then, from another thread, would leave a child that waits
# for the import forever; so it is imported here.
import cryptography.hazmat.backends.openssl.backend  # noqa: F401
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC

from kmskit import refusals
from kmskit.algorithms import ALGORITHMS, Algorithm, Spec
from kmskit.backend import Context
from kmskit.backends.publickey import DEFAULT_ENCRYPTION, PublicKey, pyca_hash, pyca_padding, pyca_scheme
from kmskit.ciphertext import IV_SIZE, MAX_PLAINTEXT, header, parse
from kmskit.context import canonical
from kmskit.errors import KmsWarning
from kmskit.types import Buffer

__all__ = ["AsymmetricKey", "MacKey", "Sm4Gcm", "SymmetricKey", "generate"]

WARN_AFTER = 2**31
"""Encryptions under one version. NIST SP 800-38D, 8.3, allows 2**32 random IVs; a process sees only its own share."""


class _Aead(Protocol):
    def encrypt(self, nonce: bytes, data: Buffer, associated_data: bytes | None) -> bytes: ...
    def decrypt(self, nonce: bytes, data: Buffer, associated_data: bytes | None) -> bytes: ...


class Sm4Gcm:
    """SM4-GCM (RFC 8998) with the interface of pyca's AESGCM, which has no SM4 twin."""

    def __init__(self, key: bytes) -> None:
        self._cipher = algorithms.SM4(key)

    def encrypt(self, nonce: bytes, data: Buffer, associated_data: bytes | None) -> bytes:
        encryptor = Cipher(self._cipher, modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(associated_data or b"")
        return encryptor.update(data) + encryptor.finalize() + encryptor.tag

    def decrypt(self, nonce: bytes, data: Buffer, associated_data: bytes | None) -> bytes:
        decryptor = Cipher(self._cipher, modes.GCM(nonce, bytes(data[-16:]))).decryptor()
        decryptor.authenticate_additional_data(associated_data or b"")
        return decryptor.update(data[:-16]) + decryptor.finalize()


class SymmetricKey:
    """An AES or SM4 key with all its versions. Ciphertexts are as `kmskit.ciphertext` says."""

    def __init__(self, spec: Spec, materials: Mapping[int, bytes], primary: int, uses: count[int]) -> None:
        make = Sm4Gcm if spec.family == "SM4" else AESGCM
        self._versions: dict[bytes, _Aead] = {header(number): make(secret) for number, secret in materials.items()}
        self._header = header(primary)
        self._encrypt = self._versions[self._header].encrypt
        self._uses = uses
        self._warn_after: float = WARN_AFTER

    def encrypt(self, plaintext: Buffer, context: Context, algorithm: Algorithm | None) -> bytes:
        if len(plaintext) > MAX_PLAINTEXT:
            raise refusals.too_large(len(plaintext), "direct encryption", MAX_PLAINTEXT)
        if next(self._uses) >= self._warn_after:
            self._warn()
        # A fresh random IV for every message, because nothing that could be counted is shared by all processes.
        iv = urandom(IV_SIZE)
        aad = None if context is None else canonical(context)
        return self._header + iv + self._encrypt(iv, plaintext, aad)

    def _warn(self) -> None:
        self._warn_after = float("inf")
        warnings.warn("this key version has encrypted 2**31 messages in this process: rotate the key", KmsWarning, 5)

    def decrypt(self, ciphertext: Buffer, context: Context, algorithm: Algorithm | None) -> bytes:
        aad = None if context is None else canonical(context)
        data = ciphertext if type(ciphertext) is bytes else bytes(ciphertext)
        aead = self._versions.get(data[:5])
        if aead is not None:
            try:
                return aead.decrypt(data[5:17], data[17:], aad)
            except (InvalidTag, ValueError):  # ValueError: the bytes end inside of the IV or tag.
                pass
        parse(data)  # Says it, if the bytes are no ciphertext at all.
        if aead is None:
            raise refusals.of_another_version()
        raise refusals.unopened()


class AsymmetricKey(PublicKey):
    """An RSA, EC or Ed25519 key. It has one version, since it is not rotated."""

    def __init__(self, spec: Spec, version: str, material: bytes) -> None:
        self.version = version
        # The store has authenticated the material, so the slow checks of an RSA key's numbers are left out.
        self._private: Any = serialization.load_der_private_key(
            material, password=None, unsafe_skip_rsa_key_validation=True
        )
        super().__init__(spec, self._private.public_key())

    def decrypt(self, ciphertext: Buffer, context: Context, algorithm: Algorithm | None) -> bytes:
        if not self.has_size(ciphertext):
            raise refusals.unopened()
        try:
            padded = pyca_padding(algorithm or DEFAULT_ENCRYPTION)
            plaintext: bytes = self._private.decrypt(bytes(ciphertext), padded)
            return plaintext
        except ValueError:
            pass
        raise refusals.unopened()

    def sign(self, message: Buffer, algorithm: Algorithm, *, hashed: bool = False) -> bytes:
        signature: bytes = self._private.sign(message, *pyca_scheme(algorithm, hashed))
        return signature


class MacKey:
    """An HMAC key."""

    def __init__(self, spec: Spec, version: str, material: bytes) -> None:
        self.version = version
        (names,) = spec.algorithms.values()
        self._keyed = HMAC(material, pyca_hash(ALGORITHMS[names[0]]))

    def mac(self, message: Buffer) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(message)
        return keyed.finalize()

    def verify_mac(self, message: Buffer, tag: Buffer) -> None:
        keyed = self._keyed.copy()
        keyed.update(message)
        try:
            keyed.verify(bytes(tag))
            return
        except InvalidSignature:
            pass
        raise refusals.wrong_mac()


def generate(spec: Spec) -> bytes:
    """Fresh material of a spec, in the form of `kmskit.material`."""
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    if not spec.asymmetric:
        return urandom(spec.bits // 8)
    if spec.family == "RSA":
        private = rsa.generate_private_key(public_exponent=65537, key_size=spec.bits)
    elif spec.family == "EC":
        private = ec.generate_private_key(getattr(ec, spec.pyca_curve or "")())
    else:
        private = ed25519.Ed25519PrivateKey.generate()
    return private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
