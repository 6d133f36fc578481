"""Key material ready for use: from a version's record to the pyca object that works with it, kept in a cache."""

from __future__ import annotations

from base64 import b64decode, b64encode
from os import urandom
from threading import Lock

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC

from kmskit.backends.software.primitives import AsymmetricKey, Sm4Gcm, generate
from kmskit.emulator.blob import Aead, open_blob
from kmskit.emulator.errors import invalid
from kmskit.emulator.specs import MAC_ALGORITHMS, SPECS, Spec
from kmskit.emulator.state import Key, KeyVersion

__all__ = ["Keyring", "new_material"]

_CACHED = 4096


def new_material(spec: Spec) -> str:
    """Fresh material as a version's record holds it."""
    secret = generate(spec.row) if spec.asymmetric and spec.row else urandom(spec.bits // 8)
    return b64encode(secret).decode()


class Keyring:
    def __init__(self) -> None:
        self._lock = Lock()
        self._ciphers: dict[str, Aead] = {}
        self._pairs: dict[str, AsymmetricKey] = {}

    def cipher(self, key: Key, version: KeyVersion) -> Aead:
        found = self._ciphers.get(version.id)
        if found is None:
            secret = b64decode(version.material)
            found = Sm4Gcm(secret) if key.spec == "Aliyun_SM4" else AESGCM(secret)
            with self._lock:
                if len(self._ciphers) >= _CACHED:
                    self._ciphers.clear()
                self._ciphers[version.id] = found
        return found

    def open(self, key: Key, version: KeyVersion, rest: bytes, aad: bytes | None) -> str:
        """What a blob holds.

        Raises:
            ServiceError: InvalidParameter, whatever does not fit: nothing is said about why.
        """
        try:
            return open_blob(self.cipher(key, version), rest, aad)
        except (InvalidTag, ValueError):
            pass
        raise invalid("CiphertextBlob")

    def pair(self, key: Key, version: KeyVersion) -> AsymmetricKey:
        found = self._pairs.get(version.id)
        if found is None:
            row = SPECS[key.spec].row
            assert row is not None  # noqa: S101  # Only asymmetric specs come here, and they all have one.
            found = AsymmetricKey(row, version.id, b64decode(version.material))
            with self._lock:
                if len(self._pairs) >= _CACHED:
                    self._pairs.clear()
                self._pairs[version.id] = found
        return found

    def mac(self, version: KeyVersion, algorithm: str, message: bytes) -> bytes:
        keyed = self._keyed(version, algorithm)
        keyed.update(message)
        return keyed.finalize()

    def verify_mac(self, version: KeyVersion, algorithm: str, message: bytes, tag: bytes) -> bool:
        keyed = self._keyed(version, algorithm)
        keyed.update(message)
        try:
            keyed.verify(tag)
        except InvalidSignature:
            return False
        return True

    def _keyed(self, version: KeyVersion, algorithm: str) -> HMAC:
        digest: hashes.HashAlgorithm = getattr(hashes, MAC_ALGORITHMS[algorithm])()
        return HMAC(b64decode(version.material), digest)

    def forget(self, version: KeyVersion) -> None:
        """Its material is gone."""
        self._ciphers.pop(version.id, None)
        self._pairs.pop(version.id, None)
