"""A key of a token ready for use, and what is done with it in a session."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from itertools import count
from os import urandom

from kmskit import refusals
from kmskit.algorithms import Algorithm, Spec
from kmskit.backends.pkcs11 import mechanisms
from kmskit.backends.pkcs11.inventory import TokenKey
from kmskit.backends.pkcs11.session import Session
from kmskit.backends.publickey import PublicKey
from kmskit.ciphertext import IV_SIZE, header, version_name
from kmskit.errors import KmsWarning

__all__ = ["ReadyKey", "decrypt", "decrypt_oaep", "encrypt", "mac", "sign"]

WARN_AFTER = 2**31
"""Encryptions under one version. NIST SP 800-38D, 8.3, allows 2**32 random IVs; a process sees only its own share."""


@dataclass(slots=True)
class ReadyKey:
    """Handles and headers of a key. Handles are good within an epoch.

    Attributes:
        version: the primary version.
        handle: of the primary version.
        header: what its ciphertexts begin with.
        handles: header -> handle, of all versions.
        public: the public half, for what needs no secret.
        checked: the monotonic time at which the token was asked for its state.
        uses: numbers the encryptions under the primary version in this process.
    """

    id: str
    spec: Spec
    epoch: int
    public: PublicKey | None
    checked: float
    uses: count[int]
    version: str = field(init=False)
    handle: int = field(init=False)
    header: bytes = field(init=False)
    handles: dict[bytes, int] = field(init=False)
    warn_after: float = WARN_AFTER

    def take(self, key: TokenKey) -> None:
        """The versions of a key as the token shows it."""
        self.version = version_name(key.newest.version)
        self.handle = key.newest.handle
        self.header = header(key.newest.version)
        self.handles = {header(material.version): material.handle for material in key.materials}


def encrypt(session: Session, key: ReadyKey, plaintext: bytes, aad: bytes) -> bytes:
    if next(key.uses) >= key.warn_after:
        key.warn_after = float("inf")
        warnings.warn("this key version has encrypted 2**31 messages in this process: rotate the key", KmsWarning, 6)
    # The IV is made here and not in the token: PKCS#11 leaves it to the caller, and not every token would make one.
    return session.encrypt_gcm(key.handle, key.header + urandom(IV_SIZE), plaintext, aad)


def decrypt(session: Session, key: ReadyKey, ciphertext: bytes, aad: bytes) -> bytes:
    handle = key.handles.get(ciphertext[:5])
    if handle is None:  # The version was destroyed, which was seen when the key was read anew.
        raise refusals.of_another_version()
    return session.decrypt_gcm(handle, ciphertext[:17], ciphertext[17:], aad)


def decrypt_oaep(session: Session, key: ReadyKey, ciphertext: bytes, algorithm: Algorithm) -> bytes:
    number, parameter = mechanisms.oaep(algorithm)
    return session.decrypt(key.handle, number, parameter, ciphertext)


def sign(session: Session, key: ReadyKey, data: bytes, algorithm: Algorithm, hashed: bool) -> bytes:
    return mechanisms.sign(session, key.handle, key.spec, algorithm, data, hashed=hashed)


def mac(session: Session, key: ReadyKey, message: bytes, algorithm: Algorithm) -> bytes:
    return mechanisms.mac(session, key.handle, algorithm, message)
