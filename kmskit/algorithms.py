"""The one table of key specs and algorithms, with the name each has in Alibaba Cloud KMS, pyca/cryptography and
PKCS#11.

A new spec is one member of `KeySpec` and one row here. Names that a party does not have are None. Nothing is imported
from those parties: the backends turn the names into objects.

Sources: NIST SP 800-38D (GCM), GB/T 32907 (SM4), RFC 8017 (RSA), FIPS 186-5 (ECDSA, EdDSA), FIPS 198-1 (HMAC), RFC 5480
and RFC 8410 (OIDs), PKCS#11 v3.0, Alibaba Cloud KMS API 2016-01-20.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from kmskit.errors import UnsupportedError
from kmskit.types import KeySpec, KeyUsage

__all__ = ["ALGORITHMS", "SPECS", "Algorithm", "Family", "Spec", "choose", "lookup_spec", "lookup_usage"]

Family: TypeAlias = Literal["AES", "SM4", "RSA", "EC", "EDWARDS", "HMAC"]


@dataclass(frozen=True, slots=True, eq=False)
class Algorithm:
    """One way to use a key. `digest` is the pyca name of the hash, also for OAEP's and PSS's mask generation."""

    name: str
    usage: KeyUsage
    alibaba: str | None
    pkcs11: str
    digest: str | None = None
    digest_size: int = 0
    padding: Literal["OAEP", "PSS", "PKCS1v15"] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Spec:
    """What a key spec is and can do.

    Attributes:
        bits: the size of the secret (AES, SM4, HMAC), modulus (RSA) or field (curves).
        algorithms: usage -> algorithm names, the default first; the first usage is the default usage.
        alibaba: the service's name of the spec.
        pkcs11: the key type's name in python-pkcs11's `KeyType`.
        pyca_curve: the class in `cryptography.hazmat.primitives.asymmetric.ec`.
        oid: the curve's object identifier.
        symmetric: whether it encrypts under a context and can be rotated.
        asymmetric: whether it has a public half.
    """

    name: KeySpec
    family: Family
    bits: int
    algorithms: Mapping[KeyUsage, tuple[str, ...]]
    alibaba: str | None
    pkcs11: str
    pyca_curve: str | None = None
    oid: str | None = None
    symmetric: bool = field(init=False)
    asymmetric: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "symmetric", self.family in ("AES", "SM4"))
        object.__setattr__(self, "asymmetric", self.family in ("RSA", "EC", "EDWARDS"))

    @property
    def default_usage(self) -> KeyUsage:
        return next(iter(self.algorithms))

    def max_plaintext(self, algorithm: Algorithm) -> int | None:
        """The most bytes an RSA-OAEP encryption holds (RFC 8017, 7.1.1); None where the spec sets no limit."""
        return self.bits // 8 - 2 * algorithm.digest_size - 2 if algorithm.padding == "OAEP" else None


_ENCRYPT, _SIGN, _MAC = KeyUsage.ENCRYPT_DECRYPT, KeyUsage.SIGN_VERIFY, KeyUsage.GENERATE_VERIFY_MAC

ALGORITHMS: dict[str, Algorithm] = {
    row.name: row
    for row in (
        Algorithm("AES_GCM", _ENCRYPT, "AES_GCM", "AES_GCM"),
        Algorithm("SM4_GCM", _ENCRYPT, "SM4_GCM", "SM4_GCM"),
        Algorithm("RSAES_OAEP_SHA_256", _ENCRYPT, "RSAES_OAEP_SHA_256", "RSA_PKCS_OAEP", "SHA256", 32, "OAEP"),
        Algorithm("RSAES_OAEP_SHA_1", _ENCRYPT, "RSAES_OAEP_SHA_1", "RSA_PKCS_OAEP", "SHA1", 20, "OAEP"),
        Algorithm("RSA_PSS_SHA_256", _SIGN, "RSA_PSS_SHA_256", "RSA_PKCS_PSS", "SHA256", 32, "PSS"),
        Algorithm("RSA_PKCS1_SHA_256", _SIGN, "RSA_PKCS1_SHA_256", "RSA_PKCS", "SHA256", 32, "PKCS1v15"),
        Algorithm("ECDSA_SHA_256", _SIGN, "ECDSA_SHA_256", "ECDSA", "SHA256", 32),
        Algorithm("ECDSA_SHA_384", _SIGN, None, "ECDSA", "SHA384", 48),
        Algorithm("ECDSA_SHA_512", _SIGN, None, "ECDSA", "SHA512", 64),
        Algorithm("ED25519", _SIGN, None, "EDDSA"),
        Algorithm("HMAC_SHA_256", _MAC, "HMAC_SHA_256", "SHA256_HMAC", "SHA256", 32),
        Algorithm("HMAC_SHA_384", _MAC, "HMAC_SHA_384", "SHA384_HMAC", "SHA384", 48),
        Algorithm("HMAC_SHA_512", _MAC, "HMAC_SHA_512", "SHA512_HMAC", "SHA512", 64),
    )
}

_AES = {_ENCRYPT: ("AES_GCM",)}
_RSA = {
    _SIGN: ("RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256"),
    _ENCRYPT: ("RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"),
}

SPECS: dict[str, Spec] = {
    row.name: row
    for row in (
        Spec(KeySpec.AES_256, "AES", 256, _AES, "Aliyun_AES_256", "AES"),
        Spec(KeySpec.AES_128, "AES", 128, _AES, "Aliyun_AES_128", "AES"),
        Spec(KeySpec.SM4, "SM4", 128, {_ENCRYPT: ("SM4_GCM",)}, "Aliyun_SM4", "SM4"),
        Spec(KeySpec.RSA_2048, "RSA", 2048, _RSA, "RSA_2048", "RSA"),
        Spec(KeySpec.RSA_3072, "RSA", 3072, _RSA, "RSA_3072", "RSA"),
        Spec(KeySpec.RSA_4096, "RSA", 4096, _RSA, "RSA_4096", "RSA"),
        Spec(
            KeySpec.EC_P256, "EC", 256, {_SIGN: ("ECDSA_SHA_256",)}, "EC_P256", "EC", "SECP256R1", "1.2.840.10045.3.1.7"
        ),
        Spec(KeySpec.EC_P384, "EC", 384, {_SIGN: ("ECDSA_SHA_384",)}, None, "EC", "SECP384R1", "1.3.132.0.34"),
        Spec(KeySpec.EC_P521, "EC", 521, {_SIGN: ("ECDSA_SHA_512",)}, None, "EC", "SECP521R1", "1.3.132.0.35"),
        Spec(KeySpec.EC_P256K, "EC", 256, {_SIGN: ("ECDSA_SHA_256",)}, "EC_P256K", "EC", "SECP256K1", "1.3.132.0.10"),
        Spec(KeySpec.ED25519, "EDWARDS", 255, {_SIGN: ("ED25519",)}, None, "EC_EDWARDS", oid="1.3.101.112"),
        Spec(KeySpec.HMAC_256, "HMAC", 256, {_MAC: ("HMAC_SHA_256",)}, "HMAC_256", "SHA256_HMAC"),
        Spec(KeySpec.HMAC_384, "HMAC", 384, {_MAC: ("HMAC_SHA_384",)}, "HMAC_384", "SHA384_HMAC"),
        Spec(KeySpec.HMAC_512, "HMAC", 512, {_MAC: ("HMAC_SHA_512",)}, "HMAC_512", "SHA512_HMAC"),
    )
}


def lookup_spec(spec: str) -> Spec:
    """The row of a spec, by member or name.

    Raises:
        TypeError: not text.
        UnsupportedError: no such spec; the message lists the known ones.
    """
    if not isinstance(spec, str):
        raise TypeError(f"spec: a KeySpec or its name expected, not {type(spec).__name__}")
    row = SPECS.get(spec)
    if row is None:
        raise UnsupportedError(
            f"spec: {spec!r} is not one of {', '.join(SPECS)}", hint="kms.capabilities() shows what each can do"
        )
    return row


def lookup_usage(usage: str | None, spec: Spec) -> KeyUsage:
    """The usage a new key gets: the one asked for, else the spec's default.

    Raises:
        UnsupportedError: no such usage, or not one of this spec.
    """
    if usage is None:
        return spec.default_usage
    for possible in spec.algorithms:
        if possible == usage:
            return possible
    raise UnsupportedError(
        f"usage: {spec.name} has no usage {usage!r}", hint=f"usages of {spec.name}: {', '.join(spec.algorithms)}"
    )


def choose(spec: Spec, usage: KeyUsage, algorithm: str | None) -> Algorithm:
    """The algorithm for a call: the one named, else the default of this spec and usage.

    Raises:
        UnsupportedError: the algorithm is not one of this spec and usage.
    """
    names = spec.algorithms.get(usage, ())
    if algorithm is None and names:
        return ALGORITHMS[names[0]]
    if algorithm in names:
        return ALGORITHMS[algorithm]
    raise UnsupportedError(
        f"algorithm: an {spec.name} key for {usage} has no {algorithm!r}",
        hint=f"it has {', '.join(names)}" if names else f"usages of {spec.name}: {', '.join(spec.algorithms)}",
    )
