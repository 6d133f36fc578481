"""Key material from outside, checked against a spec and brought to one form.

The form is the secret itself for AES, SM4 and HMAC, and PKCS#8 DER (RFC 5958) for private keys.
"""

from __future__ import annotations

from typing import Any

from kmskit.algorithms import Spec

__all__ = ["canonical"]


def canonical(material: Any, spec: Spec) -> bytes:
    """The material of a key of `spec`.

    Args:
        material: the secret's bytes; or for RSA and curves a pyca/cryptography private key, PEM (bytes or text) or DER.

    Raises:
        TypeError: neither of these.
        ValueError: of another kind or size than the spec, or not readable.
    """
    if spec.asymmetric:
        return _private(material, spec)
    if not isinstance(material, bytes | bytearray | memoryview):
        raise TypeError(f"material: the bytes of an {spec.name} key expected, not {type(material).__name__}")
    secret = bytes(material)
    if len(secret) * 8 != spec.bits:
        raise ValueError(f"material: an {spec.name} key has {spec.bits // 8} bytes, not {len(secret)}")
    return secret


def _private(material: Any, spec: Spec) -> bytes:
    from cryptography.hazmat.primitives import serialization

    key = _load(material) if isinstance(material, str | bytes | bytearray | memoryview) else material
    if (found := _spec_name(key)) != spec.name:
        raise ValueError(f"material: a private key of {spec.name} expected, not {found}")
    return key.private_bytes(  # type: ignore[no-any-return]
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load(data: str | bytes | bytearray | memoryview) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    if isinstance(data, str):  # PEM is ASCII; what is not is left empty, as an error of encoding would show the key.
        data = data.encode() if data.isascii() else b""
    raw = bytes(data)
    load = serialization.load_pem_private_key if b"-----BEGIN" in raw else serialization.load_der_private_key
    try:
        return load(raw, password=None)
    except TypeError:  # pyca's answer to an encrypted key without a password.
        reason = "the private key is encrypted; decrypt it first, for example with `openssl pkey`"
    except (ValueError, UnsupportedAlgorithm):
        reason = "no private key in PEM or DER could be read"
    raise ValueError(f"material: {reason}")


def _spec_name(key: Any) -> str:
    """The spec that fits a private key object, or a description of what it is."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    from kmskit.algorithms import SPECS

    if isinstance(key, rsa.RSAPrivateKey):
        return f"RSA_{key.key_size}"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ED25519"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        curve = key.curve.name.upper()
        return next((row.name for row in SPECS.values() if row.pyca_curve == curve), curve)
    if hasattr(key, "private_bytes"):
        return type(key).__name__
    raise TypeError(f"material: a private key, PEM or DER expected, not {type(key).__name__}")
