"""Specs and algorithms in a token's terms: how keys are made, which mechanism a use is, and what a token offers.

What a token offers is what its mechanism list says, less what is known not to work in spite of it (`_QUIRKS`). A module
is known by the manufacturer that it names (C_GetInfo): what a token names is the maker of the chip.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import c_ulong, c_void_p
from dataclasses import dataclass, field
from functools import cache
from hashlib import new as new_hash
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11.attributes import ALL_CAPABILITIES
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.mechanisms import MGF, KeyType, Mechanism

from kmskit.algorithms import ALGORITHMS, SPECS, Algorithm, Spec
from kmskit.backend import Support
from kmskit.backends.pkcs11.cryptoki import FALSE, Cryptoki
from kmskit.backends.pkcs11.module import Module
from kmskit.backends.pkcs11.publichalf import curve_parameters, ec_point
from kmskit.backends.pkcs11.session import Session
from kmskit.ciphertext import MAX_PLAINTEXT
from kmskit.types import KeySpec, KeyUsage, Operation

__all__ = ["Handles", "Offer", "generate", "import_material", "mac", "oaep", "sign"]

_ENCRYPT, _SIGN, _MAC = KeyUsage.ENCRYPT_DECRYPT, KeyUsage.SIGN_VERIFY, KeyUsage.GENERATE_VERIFY_MAC
_CAPABILITIES = {
    _ENCRYPT: MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
    _SIGN: MechanismFlag.SIGN | MechanismFlag.VERIFY,
    _MAC: MechanismFlag.SIGN | MechanismFlag.VERIFY,
}
_EVERY_USE = _CAPABILITIES[_ENCRYPT] | _CAPABILITIES[_SIGN]
# What of a key pair belongs to the other usage: of the public half, and of the private one.
_OTHER_USE = {_ENCRYPT: (Attribute.VERIFY, Attribute.SIGN), _SIGN: (Attribute.ENCRYPT, Attribute.DECRYPT)}
_GENERATION = {
    "AES": Mechanism.AES_KEY_GEN,
    "RSA": Mechanism.RSA_PKCS_KEY_PAIR_GEN,
    "EC": Mechanism.EC_KEY_PAIR_GEN,
    "EDWARDS": Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
    "HMAC": Mechanism.GENERIC_SECRET_KEY_GEN,
}
# Dates are left out on purpose: some tokens refuse a key outside of them, and some cannot store them.
_GUARDED = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True}

# A module may allow every use that a template does not forbid, wrapping and deriving among them.
_NO_USE_OF_SECRETS = dict.fromkeys(ALL_CAPABILITIES, False)
_NO_USE_OF_PUBLICS = dict.fromkeys((Attribute.ENCRYPT, Attribute.VERIFY, Attribute.WRAP), False)
_NO_USE_OF_PRIVATES = dict.fromkeys((Attribute.DECRYPT, Attribute.SIGN, Attribute.UNWRAP, Attribute.DERIVE), False)

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
    joined = spec.asymmetric and _quirk(session.cryptoki).joined_uses
    uses = _EVERY_USE if joined else _CAPABILITIES[usage]
    named: dict[str, Any] = {"id": cka_id, "label": label, "store": True, "capabilities": uses}
    if not spec.asymmetric:
        kind = KeyType.AES if spec.family == "AES" else KeyType.GENERIC_SECRET
        return session.p11.generate_key(kind, spec.bits, **named, template=_GUARDED).handle, None
    if spec.family == "RSA":
        public, private = session.p11.generate_keypair(KeyType.RSA, spec.bits, **named, private_template=_GUARDED)
    else:
        kind = KeyType.EC if spec.family == "EC" else KeyType.EC_EDWARDS
        curve = session.p11.create_domain_parameters(kind, {Attribute.EC_PARAMS: curve_parameters(spec)}, local=True)
        public, private = curve.generate_keypair(mechanism=_GENERATION[spec.family], **named, private_template=_GUARDED)
    if joined:
        for half, use in zip((public, private), _OTHER_USE[usage], strict=True):
            session.set_attributes(half.handle, {use: FALSE})
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
        return session.p11.create_object(
            {**secret, **common, **_GUARDED, **_NO_USE_OF_SECRETS, begin: True, end: True}
        ).handle, None
    public, private = _numbers(spec, material)
    half = session.p11.create_object(
        {
            Attribute.CLASS: ObjectClass.PUBLIC_KEY,
            **public,
            **common,
            Attribute.PRIVATE: False,
            **_NO_USE_OF_PUBLICS,
            begin: True,
        }
    )
    try:
        whole = {
            Attribute.CLASS: ObjectClass.PRIVATE_KEY,
            **private,
            **common,
            **_GUARDED,
            **_NO_USE_OF_PRIVATES,
            end: True,
        }
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quirk:
    """What a module does not do although its mechanism lists say so.

    Attributes:
        algorithms: algorithm -> why not.
        specs: spec -> why not.
        imports: family -> why its keys cannot be brought in.
        joined_uses: it makes key pairs only for all uses at once. What is not wanted is taken away afterwards.
    """

    algorithms: Mapping[str, str] = field(default_factory=dict)
    specs: Mapping[str, str] = field(default_factory=dict)
    imports: Mapping[str, str] = field(default_factory=dict)
    joined_uses: bool = False


_ONLY = {
    _ENCRYPT: "only AES and RSA keys encrypt",
    _SIGN: "only RSA, EC and ED25519 keys sign",
    _MAC: "only HMAC keys make MACs",
}
_FROM_OUTSIDE = "tpm2-pkcs11 takes no secret from outside; SoftHSM and the software backend do"
_QUIRKS = {
    "SoftHSM": _Quirk(
        algorithms={"RSAES_OAEP_SHA_256": "SoftHSM has OAEP with SHA-1 only: name algorithm='RSAES_OAEP_SHA_1'"}
    ),
    "Mozilla": _Quirk(specs={"EC_P256K": "NSS has no secp256k1; SoftHSM and the software backend have it"}),
    # opencryptoki: CKA_VALUE_LEN of a generic secret that was brought in is 0, and its size is all that tells its spec.
    "IBM": _Quirk(imports={"HMAC": "opencryptoki does not keep the size of a secret from outside; SoftHSM does"}),
    "tpm2-software": _Quirk(
        specs={
            "EC_P256K": "TPMs have no secp256k1; SoftHSM and the software backend have it",
            "EC_P521": "tpm2-pkcs11 cannot read the public keys of this curve that it writes; SoftHSM and NSS can",
        },
        imports=dict.fromkeys(("AES", "RSA", "EC", "HMAC"), _FROM_OUTSIDE),
        joined_uses=True,
    ),
}
"""How the manufacturer of a module begins -> what it does not do."""


def _quirk(cryptoki: Cryptoki) -> _Quirk:
    return next((quirk for maker, quirk in _QUIRKS.items() if cryptoki.manufacturer.startswith(maker)), _Quirk())


class Offer:
    """What one token offers."""

    def __init__(self, module: Module, token: Any) -> None:
        self._module = module
        self._slot: int = token.slot.slot_id
        with module.lock:
            self._mechanisms = {int(mechanism) for mechanism in token.slot.get_mechanisms()}
            self._quirk = _quirk(module.cryptoki)
        self._found: dict[int, _Mechanism] = {}

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
        no_import, no_generation = self._quirk.imports.get(spec.family, ""), self._why_no_generation(spec)
        if operation == "import":
            return no_import
        # A key that is not made in the token can still be used, if it can be brought in.
        return no_generation if no_import or operation in ("create", "rotate") else ""

    def _why_no_generation(self, spec: Spec) -> str:
        wanted = MechanismFlag.GENERATE_KEY_PAIR if spec.asymmetric else MechanismFlag.GENERATE
        if self._has(_GENERATION[spec.family], wanted, spec):
            return ""
        return f"this token makes no {spec.name} keys ({_GENERATION[spec.family].name}); the software backend does"

    def _missing(self, spec: Spec, usage: KeyUsage) -> str:
        names = spec.algorithms[usage]
        for name in names:
            if reason := self._quirk.algorithms.get(name):
                return reason
        lacking = ", ".join(dict.fromkeys(ALGORITHMS[name].pkcs11 for name in names))
        return self._lacks(lacking, spec)

    def algorithms(self, spec: Spec, usage: KeyUsage) -> list[str]:
        """The algorithms of a spec and usage that work on this token, the default first if it is among them."""
        return [name for name in spec.algorithms.get(usage, ()) if not self.why_no_algorithm(spec, ALGORITHMS[name])]

    def why_no_algorithm(self, spec: Spec, algorithm: Algorithm) -> str:
        """Why the token does not offer an algorithm; empty if it does."""
        if reason := self._quirk.algorithms.get(algorithm.name):
            return reason
        wanted = MechanismFlag.SIGN  # Verifying, and encrypting with a public half, are done outside.
        if algorithm.usage is _ENCRYPT:
            wanted = MechanismFlag.DECRYPT if spec.asymmetric else MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
        if not self._has(getattr(Mechanism, algorithm.pkcs11), wanted, spec):
            return self._lacks(algorithm.pkcs11, spec)
        return ""

    def _lacks(self, mechanism: str, spec: Spec) -> str:
        return f"this token has no {mechanism} for {spec.name} keys; the software backend has it"

    def _has(self, mechanism: Mechanism, wanted: MechanismFlag, spec: Spec) -> bool:
        """Whether the token lists a mechanism, for this purpose and size of key."""
        number = int(mechanism)
        if number not in self._mechanisms:
            return False
        if number not in self._found:
            with self._module.lock:
                # One that is listed, and of which nothing is told, is taken to be there for everything.
                self._found[number] = _Mechanism(*(self._module.cryptoki.mechanism(self._slot, number) or (0, 0, -1)))
        found = self._found[number]
        return found.flags & wanted == wanted and found.takes(spec)


@dataclass(frozen=True, slots=True)
class _Mechanism:
    """CK_MECHANISM_INFO: what a mechanism is for, and the sizes of its keys."""

    least: int
    most: int
    flags: int

    def takes(self, spec: Spec) -> bool:
        """Whether a key has a size that the mechanism takes. Modules differ in the unit of AES keys' sizes, and give
        ranges for HMAC keys that they do not keep to."""
        if spec.family not in ("RSA", "EC", "AES") or not self.most:
            return True
        sizes = (spec.bits, spec.bits // 8) if spec.family == "AES" else (spec.bits,)
        return any(self.least <= size <= self.most for size in sizes)
