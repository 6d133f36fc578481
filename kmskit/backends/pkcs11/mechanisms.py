"""Specs and algorithms in a token's terms: how keys are made, which mechanism a use is, and what a token offers.

What a token offers is what its mechanism list says, less what is known not to work in spite of it (`_QUIRKS`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import c_ulong, c_void_p
from dataclasses import dataclass
from functools import cache
from hashlib import new as new_hash
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import MGF, KeyType, Mechanism

from kmskit.algorithms import ALGORITHMS, SPECS, Algorithm, Spec
from kmskit.backend import Support
from kmskit.backends.pkcs11.cryptoki import Session
from kmskit.backends.pkcs11.publichalf import curve_parameters, ec_point
from kmskit.ciphertext import MAX_PLAINTEXT
from kmskit.types import KeySpec, KeyUsage, Operation

__all__ = ["Handles", "Offer", "generate", "import_material", "mac", "oaep", "sign"]

_ENCRYPT, _SIGN, _MAC = KeyUsage.ENCRYPT_DECRYPT, KeyUsage.SIGN_VERIFY, KeyUsage.GENERATE_VERIFY_MAC
_CAPABILITIES = {
    _ENCRYPT: MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
    _SIGN: MechanismFlag.SIGN | MechanismFlag.VERIFY,
    _MAC: MechanismFlag.SIGN | MechanismFlag.VERIFY,
}
_GENERATION = {
    "AES": Mechanism.AES_KEY_GEN,
    "RSA": Mechanism.RSA_PKCS_KEY_PAIR_GEN,
    "EC": Mechanism.EC_KEY_PAIR_GEN,
    "EDWARDS": Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
    "HMAC": Mechanism.GENERIC_SECRET_KEY_GEN,
}
# Dates are left out on purpose: some tokens refuse a key outside of them, and some cannot store them.
_GUARDED = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True}

# DigestInfo of SHA-256 in DER, without the digest (RFC 8017, 9.2, note 1).
_DIGEST_INFO = {"SHA256": bytes.fromhex("3031300d060960864801650304020105000420")}
_HASHES = {"SHA1": Mechanism.SHA_1, "SHA256": Mechanism.SHA256}
_MASKS = {"SHA1": MGF.SHA1, "SHA256": MGF.SHA256}


class _PssParams(ctypes.Structure):
    _fields_ = (("hash", c_ulong), ("mask", c_ulong), ("salt_length", c_ulong))


class _OaepParams(ctypes.Structure):
    _fields_ = (
        ("hash", c_ulong),
        ("mask", c_ulong),
        ("source", c_ulong),
        ("data", c_void_p),
        ("length", c_ulong),
    )


# Making keys


Handles = tuple[int, int | None]
"""Of a secret or private key, and of its public half."""


def generate(session: Session, spec: Spec, usage: KeyUsage, cka_id: bytes, label: str) -> Handles:
    """Make a key in the token: sensitive, not extractable, for one usage."""
    named: dict[str, Any] = {"id": cka_id, "label": label, "store": True, "capabilities": _CAPABILITIES[usage]}
    if not spec.asymmetric:
        kind = KeyType.AES if spec.family == "AES" else KeyType.GENERIC_SECRET
        return session.p11.generate_key(kind, spec.bits, **named, template=_GUARDED).handle, None
    if spec.family == "RSA":
        public, private = session.p11.generate_keypair(KeyType.RSA, spec.bits, **named, private_template=_GUARDED)
    else:
        kind = KeyType.EC if spec.family == "EC" else KeyType.EC_EDWARDS
        curve = session.p11.create_domain_parameters(kind, {Attribute.EC_PARAMS: curve_parameters(spec)}, local=True)
        public, private = curve.generate_keypair(mechanism=_GENERATION[spec.family], **named, private_template=_GUARDED)
    return private.handle, public.handle


def import_material(
    session: Session, spec: Spec, usage: KeyUsage, cka_id: bytes, label: str, material: bytes
) -> Handles:
    """Put a key into the token. Of a pair the public half comes first: a key is there once its private half is."""
    common = {Attribute.ID: cka_id, Attribute.LABEL: label, Attribute.TOKEN: True}
    uses = usage is _ENCRYPT
    begin, end = (Attribute.ENCRYPT, Attribute.DECRYPT) if uses else (Attribute.VERIFY, Attribute.SIGN)
    if not spec.asymmetric:
        kind = KeyType.AES if spec.family == "AES" else KeyType.GENERIC_SECRET
        secret = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: kind, Attribute.VALUE: material}
        return session.p11.create_object({**secret, **common, **_GUARDED, begin: True, end: True}).handle, None
    public, private = _numbers(spec, material)
    half = session.p11.create_object(
        {Attribute.CLASS: ObjectClass.PUBLIC_KEY, **public, **common, Attribute.PRIVATE: False, begin: True}
    )
    try:
        whole = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, **private, **common, **_GUARDED, end: True}
        return session.p11.create_object(whole).handle, half.handle
    except BaseException:
        half.destroy()
        raise


def _numbers(spec: Spec, material: bytes) -> tuple[dict[Attribute, Any], dict[Attribute, Any]]:
    """What makes up the public and the private half of a key in PKCS#8."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_der_private_key,
    )

    key: Any = load_der_private_key(material, password=None)
    if spec.family == "RSA":
        numbers = key.private_numbers()
        public = {
            Attribute.KEY_TYPE: KeyType.RSA,
            Attribute.MODULUS: _big(numbers.public_numbers.n),
            Attribute.PUBLIC_EXPONENT: _big(numbers.public_numbers.e),
        }
        parts = {
            Attribute.PRIVATE_EXPONENT: numbers.d,
            Attribute.PRIME_1: numbers.p,
            Attribute.PRIME_2: numbers.q,
            Attribute.EXPONENT_1: numbers.dmp1,
            Attribute.EXPONENT_2: numbers.dmq1,
            Attribute.COEFFICIENT: numbers.iqmp,
        }
        return public, public | {name: _big(number) for name, number in parts.items()}
    parameters: dict[Attribute, Any] = {Attribute.EC_PARAMS: curve_parameters(spec)}
    if spec.family == "EC":
        parameters[Attribute.KEY_TYPE] = KeyType.EC
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        value = key.private_numbers().private_value.to_bytes((spec.bits + 7) // 8)
    else:
        parameters[Attribute.KEY_TYPE] = KeyType.EC_EDWARDS
        point = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        value = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return {**parameters, Attribute.EC_POINT: ec_point(point)}, {**parameters, Attribute.VALUE: value}


def _big(number: int) -> bytes:
    """A biginteger of PKCS#11: unsigned, big-endian, no longer than needed."""
    return number.to_bytes((number.bit_length() + 7) // 8)


# Using keys


def sign(session: Session, key: int, spec: Spec, algorithm: Algorithm, data: bytes, *, hashed: bool) -> bytes:
    """A signature in its standard form. Messages are hashed here, so that only a digest travels to the token."""
    if algorithm.digest is not None and not hashed:
        data = new_hash(algorithm.digest, data).digest()
    number, parameter, prefix = _signing(algorithm)
    signature = session.sign(key, number, parameter, prefix + data)
    if spec.family != "EC":
        return signature
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))


@cache
def _signing(algorithm: Algorithm) -> tuple[int, bytes | None, bytes]:
    """The mechanism, its parameter, and what stands before the digest."""
    number, digest = int(getattr(Mechanism, algorithm.pkcs11)), algorithm.digest or ""
    if algorithm.padding == "PSS":
        return number, bytes(_PssParams(_HASHES[digest], _MASKS[digest], algorithm.digest_size)), b""
    return number, None, _DIGEST_INFO[digest] if algorithm.padding == "PKCS1v15" else b""


@cache
def oaep(algorithm: Algorithm) -> tuple[int, bytes]:
    """The mechanism of an RSA decryption, and its parameter."""
    digest = algorithm.digest or ""
    source = 1  # CKZ_DATA_SPECIFIED: a label in the parameter, which is empty.
    return int(Mechanism.RSA_PKCS_OAEP), bytes(_OaepParams(_HASHES[digest], _MASKS[digest], source, None, 0))


def mac(session: Session, key: int, algorithm: Algorithm, message: bytes) -> bytes:
    return session.sign(key, int(getattr(Mechanism, algorithm.pkcs11)), None, message)


# What a token offers


@dataclass(frozen=True, slots=True)
class _Quirk:
    """What a product does not do although its mechanism list says so.

    Attributes:
        manufacturer: how the token's manufacturer begins.
        algorithms: algorithm -> why not.
        specs: spec -> why not.
        imports: family -> why not.
    """

    manufacturer: str
    algorithms: Mapping[str, str]
    specs: Mapping[str, str]
    imports: Mapping[str, str]


_ONLY = {
    _ENCRYPT: "only AES and RSA keys encrypt",
    _SIGN: "only RSA, EC and ED25519 keys sign",
    _MAC: "only HMAC keys make MACs",
}
_QUIRKS = (
    _Quirk(
        "SoftHSM",
        {"RSAES_OAEP_SHA_256": "SoftHSM has OAEP with SHA-1 only: name algorithm='RSAES_OAEP_SHA_1'"},
        {},
        {},
    ),
    _Quirk(
        "Mozilla",
        {},
        {"EC_P256K": "NSS has no secp256k1; SoftHSM and the software backend have"},
        {},
    ),
)


class Offer:
    """What one token offers."""

    def __init__(self, token: Any) -> None:
        self._slot = token.slot
        self._mechanisms = {int(mechanism) for mechanism in token.slot.get_mechanisms()}
        self._sizes: dict[int, tuple[int, int]] = {}
        no_quirk = _Quirk("", {}, {}, {})
        self._quirk = next((q for q in _QUIRKS if token.manufacturer_id.startswith(q.manufacturer)), no_quirk)

    def supports(self, name: KeySpec, operation: Operation) -> Support:
        spec = SPECS[name]
        reason = self._why_not(spec, operation)
        if reason:
            return Support(False, reason)
        if operation in ("encrypt", "decrypt", "reencrypt"):
            if spec.symmetric:
                return Support(True, max_bytes=MAX_PLAINTEXT)
            first = ALGORITHMS[self.algorithms(spec, _ENCRYPT)[0]]
            return Support(True, max_bytes=spec.max_plaintext(first))
        return Support(True)

    def _why_not(self, spec: Spec, operation: Operation) -> str:
        """Why the token does not offer an operation; empty if it does."""
        if spec.family == "SM4":
            return "PKCS#11 has no SM4; the software backend and Alibaba Cloud KMS have it"
        if reason := self._quirk.specs.get(spec.name):
            return reason
        usages = {"sign": _SIGN, "verify": _SIGN, "mac": _MAC}
        if operation in ("data_key", "rotate") and not spec.symmetric:
            wants = "are rotated; make a new key and move the alias" if operation == "rotate" else "wrap data keys"
            return f"only AES keys {wants}"
        if operation in ("create", "import"):
            usage = next((usage for usage in spec.algorithms if self.algorithms(spec, usage)), spec.default_usage)
        else:
            usage = usages.get(operation, _ENCRYPT)
        if usage not in spec.algorithms:
            return _ONLY[usage]
        if not self.algorithms(spec, usage):
            return self._missing(spec, usage)
        if operation == "import":
            return self._quirk.imports.get(spec.family, "")
        if not self._has(_GENERATION[spec.family], spec.bits if spec.family == "RSA" else None):
            return f"this token makes no {spec.name} keys ({_GENERATION[spec.family].name}); the software backend does"
        return ""

    def _missing(self, spec: Spec, usage: KeyUsage) -> str:
        names = spec.algorithms[usage]
        for name in names:
            if reason := self._quirk.algorithms.get(name):
                return reason
        lacking = ", ".join(dict.fromkeys(ALGORITHMS[name].pkcs11 for name in names))
        return f"this token has no {lacking}; the software backend has it"

    def algorithms(self, spec: Spec, usage: KeyUsage) -> list[str]:
        """The algorithms of a spec and usage that work on this token, the default first if it is among them."""
        return [name for name in spec.algorithms.get(usage, ()) if not self.why_no_algorithm(spec, ALGORITHMS[name])]

    def why_no_algorithm(self, spec: Spec, algorithm: Algorithm) -> str:
        """Why the token does not offer an algorithm; empty if it does."""
        if reason := self._quirk.algorithms.get(algorithm.name):
            return reason
        if not self._has(getattr(Mechanism, algorithm.pkcs11), spec.bits if spec.family == "RSA" else None):
            return f"this token has no {algorithm.pkcs11}; the software backend has it"
        return ""

    def _has(self, mechanism: Mechanism, bits: int | None) -> bool:
        if int(mechanism) not in self._mechanisms:
            return False
        if bits is None:
            return True
        if int(mechanism) not in self._sizes:
            try:
                info = self._slot.get_mechanism_info(mechanism)
                self._sizes[int(mechanism)] = (info.min_key_length, info.max_key_length or bits)
            except PKCS11Error:
                self._sizes[int(mechanism)] = (0, 1 << 30)
        least, most = self._sizes[int(mechanism)]
        return least <= bits <= most
