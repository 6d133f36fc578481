"""What every part of the suite stands on: the fixtures that a backend gives, and keys that tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeAlias
from uuid import uuid4

import pytest

from kmskit import KeySpec, KeyUsage, Kms, Support, UnsupportedError
from kmskit.algorithms import SPECS
from kmskit.key import Key

__all__ = [
    "ENCRYPTING",
    "MACS",
    "SIGNING",
    "SYMMETRIC",
    "Advance",
    "Conformance",
    "KeyPool",
    "algorithms",
    "create",
    "flipped",
    "listed",
    "new_alias",
    "require",
]

Advance: TypeAlias = Callable[[float], None] | None

SYMMETRIC = [row.name for row in SPECS.values() if row.symmetric]
ENCRYPTING = [row.name for row in SPECS.values() if KeyUsage.ENCRYPT_DECRYPT in row.algorithms]
SIGNING = [row.name for row in SPECS.values() if KeyUsage.SIGN_VERIFY in row.algorithms]
MACS = [row.name for row in SPECS.values() if KeyUsage.GENERATE_VERIFY_MAC in row.algorithms]


class Conformance:
    """The fixtures of the suite. A subclass overrides `kms`, and the others where its backend differs.

    Attributes:
        reopenable: whether a key can be pickled and used in another process. If not, pickling must be refused.
        page: how many keys the backend fetches at a time. The paging test makes one more than that.
    """

    reopenable: ClassVar[bool] = True
    page: ClassVar[int] = 20

    @pytest.fixture(scope="class")
    @classmethod
    def kms(cls) -> Iterator[Kms]:
        """A Kms whose keys nobody else needs: the tests make many, change them and schedule their deletion."""
        raise NotImplementedError("override the fixture `kms`")

    @pytest.fixture(scope="class")
    @classmethod
    def advance(cls) -> Advance:
        """A function that sets the backend's clock forward by so many days; None if a test cannot do that."""
        return None

    @pytest.fixture(scope="class")
    @classmethod
    def keys(cls, kms: Kms) -> KeyPool:
        """Keys that the tests of a class share."""
        return KeyPool(kms)


class KeyPool:
    """Keys made on first use and then shared, because making an RSA key is slow. No test changes their state."""

    def __init__(self, kms: Kms) -> None:
        self._kms = kms
        self._keys: dict[tuple[str, KeyUsage, int], Key] = {}

    def __call__(self, spec: KeySpec, usage: KeyUsage | None = None, number: int = 0) -> Key:
        """The key with this number of a spec and usage. Skips the test if the backend does not make such keys."""
        usage = usage or SPECS[spec].default_usage
        if (spec, usage, number) not in self._keys:
            require(self._kms, spec, "create")
            self._keys[spec, usage, number] = self._kms.create_key(spec=spec, usage=usage)
        return self._keys[spec, usage, number]

    def encrypting(self, spec: KeySpec, number: int = 0) -> Key:
        """A key that encrypts; skips the test if the backend offers none of this spec."""
        require(self._kms, spec, "encrypt")
        return self(spec, KeyUsage.ENCRYPT_DECRYPT, number)

    def signing(self, spec: KeySpec, number: int = 0) -> Key:
        """A key that signs; skips the test if the backend offers none of this spec."""
        require(self._kms, spec, "sign")
        return self(spec, KeyUsage.SIGN_VERIFY, number)


def require(kms: Kms, spec: KeySpec, operation: str) -> Support:
    """What the backend declares of an operation; skips the test where it declares that it does not offer it."""
    support = kms.supports(spec, operation)
    if not support:
        pytest.skip(f"{kms.backend}, {spec} {operation}: {support.reason}")
    return support


def create(kms: Kms, alias: str | None = None, **given: Any) -> Key:
    """A key for a test to which every spec is right: AES-256, or the first that the backend makes.

    Some tokens have no authenticated encryption, and keys that are named, listed and deleted like any other.
    """
    spec = next(spec for spec in KeySpec if kms.supports(spec, "create"))
    return kms.create_key(alias, spec, **given)


def algorithms(key: Key) -> list[str | None]:
    """The algorithms of the key's spec and usage that its backend has, None standing for the default.

    A backend may lack one of several (SoftHSM has OAEP with SHA-1 only). It then says so with UnsupportedError.
    """
    found: list[str | None] = []
    for name in (None, *SPECS[key.spec].algorithms[key.usage]):
        try:
            key.encrypt(b"", algorithm=name) if key.usage is KeyUsage.ENCRYPT_DECRYPT else key.sign(b"", algorithm=name)
        except UnsupportedError:
            continue
        found.append(name)
    assert found, f"{key.spec} is declared as supported, and none of its algorithms is"
    return found


def flipped(data: bytes, stride: int = 1) -> Iterator[bytes]:
    """`data` with one bit changed: in every byte, or in every `stride`th where each costs much."""
    for index in range(0, len(data), stride):
        changed = bytearray(data)
        changed[index] ^= 1 << index % 7  # Not the highest bit, since a ciphertext may be ASCII text.
        yield bytes(changed)


def listed(kms: Kms, **wanted: Any) -> list[str]:
    """The ids of the keys that a listing finds."""
    return [key.id for key in kms.keys(**wanted)]


def new_alias() -> str:
    """An alias that no key has, of characters that every backend takes."""
    return f"conformance-{uuid4().hex[:12]}"
