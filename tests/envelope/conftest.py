"""Keys that the envelope's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

import kmskit
from kmskit.envelope import RawAesKey, RawRsaKey


@pytest.fixture(scope="module")
def kms() -> Iterator[kmskit.Kms]:
    with kmskit.connect("software:?memory=1") as kms:
        yield kms


@pytest.fixture(scope="module")
def key(kms: kmskit.Kms) -> kmskit.Key:
    return kms.create_key()


@pytest.fixture(scope="module")
def other(kms: kmskit.Kms) -> kmskit.Key:
    """A key that no message is for."""
    return kms.create_key()


@pytest.fixture(scope="session")
def aes() -> RawAesKey:
    return RawAesKey("partner", "shared", bytes(range(32)))


@pytest.fixture(scope="session")
def private() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="session")
def safe(private: rsa.RSAPrivateKey) -> RawRsaKey:
    return RawRsaKey("safe", "2026", private)
