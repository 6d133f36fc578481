"""The nouns of kmskit: specs, usages, states, what a backend tells of a key, signatures and data keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType, TracebackType
from typing import Literal, Self, TypeAlias

from kmskit import markup

__all__ = [
    "OPERATIONS",
    "Buffer",
    "DataKey",
    "KeyFilter",
    "KeyInfo",
    "KeySpec",
    "KeyState",
    "KeyUsage",
    "Operation",
    "Origin",
    "Protection",
    "Signature",
]

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Binary input. Text is refused everywhere: encode it first."""

Operation: TypeAlias = Literal[
    "create", "import", "encrypt", "decrypt", "reencrypt", "sign", "verify", "mac", "data_key", "rotate"
]
OPERATIONS: tuple[Operation, ...] = (
    "create",
    "import",
    "encrypt",
    "decrypt",
    "reencrypt",
    "sign",
    "verify",
    "mac",
    "data_key",
    "rotate",
)


class KeySpec(StrEnum):
    """What kind of key it is. The rows of `kmskit.algorithms` say what each can do."""

    AES_256 = "AES_256"
    AES_128 = "AES_128"
    SM4 = "SM4"
    RSA_2048 = "RSA_2048"
    RSA_3072 = "RSA_3072"
    RSA_4096 = "RSA_4096"
    EC_P256 = "EC_P256"
    EC_P384 = "EC_P384"
    EC_P521 = "EC_P521"
    EC_P256K = "EC_P256K"
    ED25519 = "ED25519"
    HMAC_256 = "HMAC_256"
    HMAC_384 = "HMAC_384"
    HMAC_512 = "HMAC_512"


class KeyUsage(StrEnum):
    """What a key may be used for. Fixed when the key is made: one key, one purpose (NIST SP 800-57 part 1, 5.2)."""

    ENCRYPT_DECRYPT = "ENCRYPT_DECRYPT"
    SIGN_VERIFY = "SIGN_VERIFY"
    GENERATE_VERIFY_MAC = "GENERATE_VERIFY_MAC"


class KeyState(StrEnum):
    ENABLED = "ENABLED"
    DISABLED = "DISABLED"
    PENDING_DELETION = "PENDING_DELETION"
    PENDING_IMPORT = "PENDING_IMPORT"


class Protection(StrEnum):
    """Who guards the key material: a process, or a hardware module that never lets it out."""

    SOFTWARE = "SOFTWARE"
    HSM = "HSM"


class Origin(StrEnum):
    """Where the key material was made: by the backend, or outside and imported."""

    GENERATED = "GENERATED"
    IMPORTED = "IMPORTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """All that a backend tells of a key: a snapshot, without any secret."""

    id: str
    spec: KeySpec
    usage: KeyUsage
    state: KeyState
    versions: tuple[str, ...]
    primary_version: str
    created: datetime
    aliases: tuple[str, ...] = ()
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    protection: Protection = Protection.SOFTWARE
    origin: Origin = Origin.GENERATED
    exportable: bool = False
    rotation_period: timedelta | None = None
    next_rotation: datetime | None = None
    deletion_date: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFilter:
    """Which keys to list: all conditions hold. `tags` maps a name to the wanted value, or to None for any value."""

    spec: KeySpec | None = None
    usage: KeyUsage | None = None
    state: KeyState | None = None
    protection: Protection | None = None
    tags: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({}))
    alias: str | None = None

    def matches(self, info: KeyInfo) -> bool:
        """For backends that cannot filter by themselves."""
        return (
            self.spec in (None, info.spec)
            and self.usage in (None, info.usage)
            and self.state in (None, info.state)
            and self.protection in (None, info.protection)
            and (self.alias is None or self.alias in info.aliases)
            and all(name in info.tags and value in (None, info.tags[name]) for name, value in self.tags.items())
        )


@dataclass(frozen=True)
class Signature:
    """A signature and what made it. `bytes(signature)` are the plain standard bytes that `openssl` reads.

    Attributes:
        value: ECDSA in DER (RFC 3279), RSA as an integer of the modulus' length (RFC 8017), Ed25519 as in RFC 8032.
        key_id: the key that signed.
        key_version: its version.
        algorithm: the algorithm's name, such as `ECDSA_SHA_256`.
    """

    value: bytes
    key_id: str
    key_version: str
    algorithm: str

    def __init__(self, value: bytes, key_id: str, key_version: str, algorithm: str) -> None:
        fields = self.__dict__
        fields["value"], fields["key_id"] = value, key_id
        fields["key_version"], fields["algorithm"] = key_version, algorithm

    def __bytes__(self) -> bytes:
        return self.value

    def __repr__(self) -> str:
        value = markup.volatile_text(f"{len(self.value)} bytes, {self.value[:6].hex()}…")
        return f"<Signature {markup.printable(self.algorithm)} {value}>"

    def _repr_html_(self) -> str:
        rows = {
            "algorithm": self.algorithm,
            "key": markup.volatile_html(self.key_id),
            "version": markup.volatile_html(self.key_version),
            "value": markup.code(markup.volatile_html(f"{len(self.value)} bytes: {self.value[:16].hex()}…")),
        }
        return markup.card("Signature", rows)


class DataKey:
    """A data key: in the clear for use now, and wrapped for storing beside the data.

    Used in a `with` statement its plaintext is overwritten at the end. That is best effort: Python and the libraries
    below may have made copies.

    Attributes:
        plaintext: the key, a bytearray.
        ciphertext: the wrapped key; `key.decrypt_data_key` opens it again.
    """

    __slots__ = ("ciphertext", "plaintext")

    def __init__(self, plaintext: bytearray, ciphertext: bytes) -> None:
        self.plaintext = plaintext
        self.ciphertext = ciphertext

    def wipe(self) -> None:
        """Overwrite the plaintext with zeros."""
        self.plaintext[:] = bytes(len(self.plaintext))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.wipe()

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a DataKey is not pickled, because it holds a key in the clear; pickle its ciphertext")

    def __repr__(self) -> str:
        return f"<DataKey plaintext=<{len(self.plaintext)} bytes> ciphertext=<{len(self.ciphertext)} bytes>>"

    def _repr_html_(self) -> str:
        rows = {
            "plaintext": f"{len(self.plaintext)} bytes, not shown",
            "ciphertext": f"{len(self.ciphertext)} bytes, store it beside the data",
        }
        return markup.card("DataKey", rows)
