"""Key material on its way into the service: wrapped under a key that the service made for this one import."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from kmskit.backends.alibaba import wire
from kmskit.errors import ServiceUnavailableError

__all__ = ["WRAPPING", "wrapped"]

WRAPPING = {"WrappingKeySpec": "RSA_2048", "WrappingAlgorithm": "RSAES_OAEP_SHA_256"}
_NEVER = "0"


def wrapped(material: bytes, parameters: Mapping[str, Any]) -> dict[str, str]:
    """What ImportKeyMaterial takes, beside the key's id.

    Args:
        parameters: the answer to GetParametersForImport.
    """
    try:
        public = load_der_public_key(b64decode(parameters["PublicKey"]))
    except (KeyError, TypeError, ValueError):
        public = None
    if not isinstance(public, rsa.RSAPublicKey):
        raise ServiceUnavailableError("the service sent no wrapping key that can be read", hint="try again")
    scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    return {
        "EncryptedKeyMaterial": wire.base64_text(public.encrypt(material, scheme)),
        "ImportToken": str(parameters.get("ImportToken")),
        "KeyMaterialExpireUnix": _NEVER,
    }
