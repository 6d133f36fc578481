"""The public half of a key on a token, as pyca/cryptography has it; and the curves' names as a token has them."""

from __future__ import annotations

from functools import cache
from typing import Any

from asn1crypto.core import ObjectIdentifier, PrintableString
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pkcs11.constants import Attribute

from kmskit.algorithms import SPECS, Spec
from kmskit.backends.pkcs11.session import Session
from kmskit.errors import UnsupportedError
from kmskit.types import KeySpec

__all__ = ["curve_of", "curve_parameters", "ec_point", "read_public"]


_EDWARDS_NAME = PrintableString("edwards25519").dump()
"""The other way to name it (PKCS#11 v3.0, 2.3.10). SoftHSM takes the object identifier and shows the name."""


@cache
def curve_parameters(spec: Spec) -> bytes:
    """CKA_EC_PARAMS: the curve's object identifier in DER."""
    encoded: bytes = ObjectIdentifier(spec.oid).dump()
    return encoded


def curve_of(parameters: bytes) -> Spec | None:
    """The spec whose curve CKA_EC_PARAMS names; None if it is none of kmskit's."""
    if parameters == _EDWARDS_NAME:
        return SPECS[KeySpec.ED25519]
    return next((row for row in SPECS.values() if row.oid and curve_parameters(row) == parameters), None)


def ec_point(point: bytes) -> bytes:
    """CKA_EC_POINT: the point in a DER OCTET STRING (PKCS#11 v3.0, 2.3.3)."""
    length = bytes([len(point)]) if len(point) < 0x80 else bytes([0x81, len(point)])
    return b"\x04" + length + point


def read_public(session: Session, handle: int, spec: Spec) -> Any:
    """A public key object as a pyca/cryptography public key.

    Raises:
        UnsupportedError: the token does not show it, or in a form that is not known.
    """
    try:
        if spec.family == "RSA":
            modulus, exponent = session.attributes(handle, (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT))
            return rsa.RSAPublicNumbers(int.from_bytes(exponent or b""), int.from_bytes(modulus or b"")).public_key()
        (value,) = session.attributes(handle, (Attribute.EC_POINT,))
        point = value or b""
        if spec.family == "EDWARDS":
            return ed25519.Ed25519PublicKey.from_public_bytes(_unwrapped(point, 32))
        curve = getattr(ec, spec.pyca_curve or "")()
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, _unwrapped(point, 1 + 2 * ((spec.bits + 7) // 8)))
    except ValueError:
        pass
    raise UnsupportedError(
        f"the token does not show the public half of an {spec.name} key in a form that is known",
        hint="kms.capabilities() shows what is known to work",
    )


def _unwrapped(value: bytes, size: int) -> bytes:
    """The point without its wrapping: some tokens leave it out, and some take a BIT STRING for Edwards curves."""
    if len(value) == size:
        return value
    if value[:1] == b"\x04" and value == ec_point(value[-size:]):
        return value[-size:]
    if value[:1] == b"\x03" and len(value) == size + 3:
        return value[-size:]
    raise ValueError("no point of this curve")
