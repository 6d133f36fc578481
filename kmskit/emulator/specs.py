"""The key specs by the service's names: what each is for, and which kinds of instance have it.

The spec names and the usage of keys for MACs are emulator-defined: the service's were not found in any document. EC_SM2
is not built, since the cryptography package has no SM2.

Source: Alibaba Cloud KMS, "Key types and specifications".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kmskit.algorithms import SPECS as KMSKIT_SPECS
from kmskit.algorithms import Spec as KmskitSpec

__all__ = ["ENCRYPT", "MAC", "MAC_ALGORITHMS", "SIGN", "SPECS", "Model", "Spec"]

Model: TypeAlias = Literal["shared", "software", "hardware"]

ENCRYPT, SIGN, MAC = "ENCRYPT/DECRYPT", "SIGN/VERIFY", "GENERATE/VERIFY"

MAC_ALGORITHMS: dict[str, str] = {
    "HMAC_SM3": "SM3",
    "HMAC_SHA_224": "SHA224",
    "HMAC_SHA_256": "SHA256",
    "HMAC_SHA_384": "SHA384",
    "HMAC_SHA_512": "SHA512",
}
"""Algorithm -> the hash's class in pyca/cryptography."""


@dataclass(frozen=True, slots=True)
class Spec:
    """
    Attributes:
        usages: the default first.
        bits: of a symmetric key.
        algorithms: usage -> the algorithms of calls that name one.
        models: where keys of this spec can be made.
        row: kmskit's own row, by which the software backend's code does the work; None for what only the emulator has.
    """

    name: str
    usages: tuple[str, ...]
    algorithms: Mapping[str, tuple[str, ...]]
    models: tuple[Model, ...]
    bits: int = 0
    row: KmskitSpec | None = None

    @property
    def symmetric(self) -> bool:
        return self.usages == (ENCRYPT,) and not self.algorithms

    @property
    def asymmetric(self) -> bool:
        return self.row is not None and self.row.asymmetric


_EVERYWHERE: tuple[Model, ...] = ("shared", "software", "hardware")
_RSA = {
    SIGN: ("RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256"),
    ENCRYPT: ("RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"),
}


def _secret(name: str, bits: int, *models: Model) -> Spec:
    row = next((row for row in KMSKIT_SPECS.values() if row.alibaba == name), None)
    return Spec(name, (ENCRYPT,), {}, models, bits, row)


def _pair(name: str, algorithms: Mapping[str, tuple[str, ...]]) -> Spec:
    return Spec(name, tuple(algorithms), algorithms, _EVERYWHERE, row=KMSKIT_SPECS[name])


def _mac(name: str, bits: int, *algorithms: str) -> Spec:
    return Spec(name, (MAC,), {MAC: algorithms}, ("shared", "software"), bits, KMSKIT_SPECS[name])


SPECS: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        _secret("Aliyun_AES_256", 256, *_EVERYWHERE),
        _secret("Aliyun_AES_192", 192, "hardware"),
        _secret("Aliyun_AES_128", 128, "hardware"),
        _secret("Aliyun_SM4", 128, "shared", "hardware"),
        _pair("RSA_2048", _RSA),
        _pair("RSA_3072", _RSA),
        _pair("RSA_4096", _RSA),
        _pair("EC_P256", {SIGN: ("ECDSA_SHA_256",)}),
        _pair("EC_P256K", {SIGN: ("ECDSA_SHA_256",)}),
        _mac("HMAC_256", 256, "HMAC_SHA_256", "HMAC_SHA_224", "HMAC_SM3"),
        _mac("HMAC_384", 384, "HMAC_SHA_384"),
        _mac("HMAC_512", 512, "HMAC_SHA_512"),
    )
}
