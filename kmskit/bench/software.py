"""The software backend beside bare pyca/cryptography, which does the same work below it."""

from __future__ import annotations

import os
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_der_private_key

import kmskit
from kmskit.bench.ratios import Ratio

__all__ = ["ratios"]

_CONTEXT = {"tenant": "acme"}


def ratios(kms: kmskit.Kms) -> list[Ratio]:
    """One row an operation.

    Args:
        kms: of the software backend, whose keys can be exported: the peer uses the same ones.
    """
    return [*_encryption(kms), *_signatures(kms)]


def _encryption(kms: kmskit.Kms) -> list[Ratio]:
    key = kms.create_key(exportable=True)
    (secret,) = key.export_material().values()
    bare, message, nonce = AESGCM(secret), os.urandom(1024), os.urandom(12)
    with_context, without = key.encrypt(message, context=_CONTEXT), key.encrypt(message)
    body = bare.encrypt(nonce, message, None)
    return [
        Ratio(
            "encrypt 1 KiB, AES-256",
            lambda: key.encrypt(message),
            lambda: bare.encrypt(os.urandom(12), message, None),
            floor=0.5,
        ),
        Ratio(
            "encrypt 1 KiB, AES-256, one context pair",
            lambda: key.encrypt(message, context=_CONTEXT),
            lambda: bare.encrypt(os.urandom(12), message, None),
            floor=0.35,
        ),
        Ratio(
            "decrypt 1 KiB, AES-256",
            lambda: key.decrypt(without),
            lambda: bare.decrypt(nonce, body, None),
        ),
        Ratio(
            "decrypt 1 KiB, AES-256, one context pair",
            lambda: key.decrypt(with_context, context=_CONTEXT),
            lambda: bare.decrypt(nonce, body, None),
        ),
    ]


def _signatures(kms: kmskit.Kms) -> list[Ratio]:
    digest, message = hashes.SHA256(), os.urandom(1024)
    ecdsa = ec.ECDSA(digest)
    pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
    p256, p256_bare = _both(kms, "EC_P256")
    rsa, rsa_bare = _both(kms, "RSA_2048")
    return [
        Ratio("sign 1 KiB, ECDSA P-256", lambda: p256.sign(message), lambda: p256_bare.sign(message, ecdsa), floor=0.9),
        Ratio(
            "sign 1 KiB, RSA-2048 PSS",
            lambda: rsa.sign(message),
            lambda: rsa_bare.sign(message, pss, digest),
            floor=0.9,
        ),
    ]


def _both(kms: kmskit.Kms, spec: str) -> tuple[kmskit.Key, Any]:
    """A new key, and the same one as pyca has it."""
    key = kms.create_key(spec=spec, exportable=True)
    (material,) = key.export_material().values()
    return key, load_der_private_key(material, None)
