"""What the service offers, by the kind of KMS instance.

Source: the service's page on key types and specifications. A software instance makes AES-256, RSA and EC keys and, from
image 4.1.0 on, HMAC keys; it rotates symmetric keys and takes no material from outside. A hardware instance has more
symmetric specs, takes symmetric material, and rotates nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from kmskit.algorithms import SPECS, Spec, choose
from kmskit.backend import Support
from kmskit.types import KeySpec, KeyUsage, Operation

__all__ = ["MAX_MESSAGE", "MAX_PLAINTEXT", "InstanceKind", "kind_of", "supports"]

InstanceKind: TypeAlias = Literal["shared", "software", "hardware"]
"""`shared`: keys outside of any instance, as accounts from before the instances have them."""

MAX_PLAINTEXT = 6144
"""Bytes that Encrypt takes."""
MAX_MESSAGE = 8192
"""Bytes of a MAC's message. No limit is documented; it travels in the URL, as the plaintext of an Encrypt does."""

_COMMON = {
    KeySpec.AES_256,
    KeySpec.RSA_2048,
    KeySpec.RSA_3072,
    KeySpec.RSA_4096,
    KeySpec.EC_P256,
    KeySpec.EC_P256K,
}
_SOFTWARE = _COMMON | {KeySpec.HMAC_256, KeySpec.HMAC_384, KeySpec.HMAC_512}
_HARDWARE = _COMMON | {KeySpec.AES_128, KeySpec.SM4}
_SPECS: dict[InstanceKind, set[KeySpec]] = {
    "shared": _SOFTWARE | {KeySpec.SM4},
    "software": _SOFTWARE,
    "hardware": _HARDWARE,
}
_IMPORTABLE = {KeySpec.AES_256, KeySpec.SM4}
_NOWHERE = "the service has no such keys; the software backend has"


def supports(kind: InstanceKind | None, spec: KeySpec, operation: Operation) -> Support:
    """Whether keys of a spec offer an operation.

    Args:
        kind: of the instance; None where this user may not ask for it: then what any kind has.
    """
    row = SPECS[spec]
    if reason := _why_not_made(kind, spec):
        return Support(False, reason)
    if operation == "create":
        return Support(True)
    if operation == "import":
        return _imports(kind, spec)
    if operation == "data_key":
        return Support(True) if row.symmetric else Support(False, "only AES and SM4 keys wrap data keys")
    if operation == "rotate":
        return _rotates(kind, row)
    if operation in ("encrypt", "decrypt", "reencrypt"):
        if KeyUsage.ENCRYPT_DECRYPT not in row.algorithms:
            return Support(False, f"{spec} keys do not encrypt; AES, SM4 and RSA keys do")
        limit = row.max_plaintext(choose(row, KeyUsage.ENCRYPT_DECRYPT, None))
        return Support(True, max_bytes=limit or MAX_PLAINTEXT)
    if operation == "mac":
        if row.family != "HMAC":
            return Support(False, "only HMAC keys make MACs")
        return Support(True, max_bytes=MAX_MESSAGE)
    return Support(True) if row.asymmetric else Support(False, "only RSA and EC keys sign")


def kind_of(instance: Mapping[str, Any]) -> InstanceKind | None:
    """The kind of an instance as GetKmsInstance tells it; None if it does not, or another kind.

    The service's documents give `ProductVersion` as a number in one place and as a word in another.
    """
    for name in ("ProductType", "ProductVersion"):
        value = str(instance.get(name) or "").lower()
        if value == "3" or "software" in value:
            return "software"
        if value == "5" or "hardware" in value or "hsm" in value:
            return "hardware"
    return None


def _why_not_made(kind: InstanceKind | None, spec: KeySpec) -> str:
    having = [name for name, specs in _SPECS.items() if spec in specs]
    if not having:
        return _NOWHERE
    if kind is None or kind in having:
        return ""
    here = "the account's shared service" if kind == "shared" else f"a {kind} instance"
    return f"{here} has no {spec} keys; a {having[-1]} instance and the software backend have"


def _imports(kind: InstanceKind | None, spec: KeySpec) -> Support:
    if kind == "software":
        return Support(False, "a software instance takes no material from outside; a hardware instance and pkcs11 do")
    if spec not in _IMPORTABLE:
        return Support(
            False, "the service imports AES_256 and SM4 keys only; the software and pkcs11 backends import all"
        )
    return Support(True)


def _rotates(kind: InstanceKind | None, row: Spec) -> Support:
    if not row.symmetric:
        return Support(False, "only AES and SM4 keys offer it; make a new key and move the alias")
    if kind == "hardware":
        return Support(False, "a hardware instance rotates no keys; a software instance and the software backend do")
    return Support(True)
