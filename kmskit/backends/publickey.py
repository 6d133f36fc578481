"""The public half of an asymmetric key, used in this process: encrypting and verifying need no secret."""

from __future__ import annotations

from functools import cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

from kmskit import refusals
from kmskit.algorithms import ALGORITHMS, Algorithm, Spec
from kmskit.backend import Context
from kmskit.types import Buffer

__all__ = ["DEFAULT_ENCRYPTION", "PublicKey", "pyca_hash", "pyca_padding", "pyca_scheme"]

DEFAULT_ENCRYPTION = ALGORITHMS["RSAES_OAEP_SHA_256"]


class PublicKey:
    """An RSA, EC or Ed25519 public key.

    Attributes:
        public_key: the pyca/cryptography object.
    """

    def __init__(self, spec: Spec, public_key: Any) -> None:
        self._spec = spec
        self.public_key: Any = public_key
        self._modulus: int = public_key.public_numbers().n if spec.family == "RSA" else 0

    def has_size(self, value: Buffer) -> bool:
        """Whether an RSA ciphertext or signature is as long as the modulus, and a smaller number than it.

        RFC 8017 (7.1.2, 8.1.2 and 5.2) demands both. OpenSSL also takes a shorter one, whose leading zeros someone has
        cut off; and what a PKCS#11 module says of a number that is too large is not always that the data is wrong.
        """
        if self._spec.family != "RSA":
            return True
        return len(value) == self._spec.bits // 8 and int.from_bytes(value) < self._modulus

    def encrypt(self, plaintext: Buffer, context: Context, algorithm: Algorithm | None) -> bytes:
        """The context is None or empty: RSA-OAEP has no place for one, and `Key` has refused others."""
        row = algorithm or DEFAULT_ENCRYPTION
        limit = self._spec.max_plaintext(row) or 0
        if len(plaintext) > limit:
            raise refusals.too_large(len(plaintext), f"{self._spec.name} with {row.name}", limit)
        ciphertext: bytes = self.public_key.encrypt(bytes(plaintext), pyca_padding(row))
        return ciphertext

    def verify(self, message: Buffer, signature: bytes, algorithm: Algorithm, *, hashed: bool = False) -> None:
        try:
            if self.has_size(signature):
                self.public_key.verify(signature, message, *pyca_scheme(algorithm, hashed))
                return
        except InvalidSignature:
            pass
        raise refusals.wrong_signature()


def pyca_hash(algorithm: Algorithm) -> hashes.HashAlgorithm:
    digest: hashes.HashAlgorithm = getattr(hashes, algorithm.digest or "")()
    return digest


@cache
def pyca_padding(algorithm: Algorithm) -> Any:
    if algorithm.padding == "OAEP":
        return padding.OAEP(mgf=padding.MGF1(pyca_hash(algorithm)), algorithm=pyca_hash(algorithm), label=None)
    if algorithm.padding == "PSS":
        return padding.PSS(mgf=padding.MGF1(pyca_hash(algorithm)), salt_length=algorithm.digest_size)
    return padding.PKCS1v15()


@cache
def pyca_scheme(algorithm: Algorithm, hashed: bool) -> tuple[Any, ...]:
    """The arguments that follow the message in pyca's sign and verify."""
    if algorithm.digest is None:
        return ()
    digest: Any = utils.Prehashed(pyca_hash(algorithm)) if hashed else pyca_hash(algorithm)
    return (ec.ECDSA(digest),) if algorithm.padding is None else (pyca_padding(algorithm), digest)
