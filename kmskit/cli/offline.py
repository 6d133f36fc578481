"""Verification with a public key alone, as whoever receives a signature does it."""

from __future__ import annotations

from typing import Any

import click
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from kmskit import InvalidSignatureError, UnsupportedError
from kmskit.algorithms import SPECS, choose
from kmskit.cli.files import digest, read_whole
from kmskit.types import KeyUsage

__all__ = ["PublicKey"]


class PublicKey:
    """A public key from a PEM file.

    Attributes:
        algorithm: the one named, or the default of the key's spec.
    """

    def __init__(self, pem: bytes, algorithm: str | None) -> None:
        """Read the key.

        Raises:
            click.ClickException: there is no public key in the PEM.
            UnsupportedError: no spec of kmskit fits the key, or the algorithm does not fit the spec.
        """
        try:
            self._key: Any = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise click.ClickException("no public key in PEM could be read") from None
        name = _spec_name(self._key)
        if name not in SPECS:
            possible = ", ".join(row.name for row in SPECS.values() if row.asymmetric)
            raise UnsupportedError(f"this is a public key of {name}", hint=f"those of {possible} verify")
        self.algorithm = choose(SPECS[name], KeyUsage.SIGN_VERIFY, algorithm)

    def verify(self, file: str, signature: bytes) -> None:
        """Return None if the signature belongs to the file and this key; InvalidSignatureError."""
        row = self.algorithm
        message = read_whole(file) if row.digest is None else digest(file, row.digest)
        try:
            self._key.verify(signature, message, *self._scheme())
            return
        except InvalidSignature:
            pass
        raise InvalidSignatureError(
            "the signature does not belong to this file and key",
            hint="file, key and algorithm must be those of the signing",
        )

    def _scheme(self) -> tuple[Any, ...]:
        """The arguments that follow the digest in pyca's verify."""
        row = self.algorithm
        if row.digest is None:
            return ()
        hashed: hashes.HashAlgorithm = getattr(hashes, row.digest)()
        if row.padding == "PSS":
            return padding.PSS(padding.MGF1(hashed), row.digest_size), utils.Prehashed(hashed)
        if row.padding == "PKCS1v15":
            return padding.PKCS1v15(), utils.Prehashed(hashed)
        return (ec.ECDSA(utils.Prehashed(hashed)),)


def _spec_name(key: Any) -> str:
    """The spec that fits a public key; if there is none, what the key is."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA_{key.key_size}"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ED25519"
    if isinstance(key, ec.EllipticCurvePublicKey):
        curve = key.curve.name.upper()
        return next((row.name for row in SPECS.values() if row.pyca_curve == curve), curve)
    return type(key).__name__
