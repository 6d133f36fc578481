"""The software backend: a store, and a cache of its keys ready for use."""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar, Self, TypeVar

import platformdirs

from kmskit import refusals
from kmskit.algorithms import SPECS, Algorithm, Spec, choose
from kmskit.backend import Backend, Context, NewKey, Support
from kmskit.backends.database import translated
from kmskit.backends.software.primitives import AsymmetricKey, MacKey, SymmetricKey, generate
from kmskit.backends.software.protection import KeyFile, NoProtection, Passphrase, Protection
from kmskit.backends.software.rows import FORM
from kmskit.backends.software.store import Store
from kmskit.ciphertext import MAX_PLAINTEXT, version_name
from kmskit.errors import (
    ConfigurationError,
    InvalidCiphertextError,
    ServiceUnavailableError,
    UnsupportedError,
)
from kmskit.types import Buffer, KeyFilter, KeyInfo, KeySpec, KeyState, KeyUsage, Operation, Origin, Signature
from kmskit.uri import Uri

__all__ = ["SoftwareBackend", "store_files"]

_FRESH_SECONDS = 1.0
_CACHED_KEYS = 4096
_KEY_FILE_SUFFIX = ".key"
_VERSION = re.compile(r"[0-9a-f]{8}")
_LoadedKey = SymmetricKey | AsymmetricKey | MacKey
_Result = TypeVar("_Result")


class SoftwareBackend(Backend):
    """Keys in an SQLite file, or in memory.

    Keys in use stay unwrapped in a cache, so encrypting and decrypting touch no file. Once a second the first call asks
    SQLite whether someone else has written; a key disabled by another process is refused from then on.
    """

    name: ClassVar[str] = "software"

    def __init__(self, uri: Uri, store: Store, fresh_seconds: float) -> None:
        self.uri = str(uri)
        self.calls = 0
        self._in_memory = "memory" in uri.query
        self._store = store
        self._fresh_seconds = fresh_seconds
        self._fresh_until = 0.0
        self._next_rotation = 0.0
        self._loaded: dict[str, _LoadedKey] = {}
        self._uses: defaultdict[int, count[int]] = defaultdict(count)

    @classmethod
    def open(
        cls,
        uri: Uri,
        /,
        *,
        passphrase: str | Callable[[], str] | None = None,
        clock: Callable[[], float | datetime] | None = None,
    ) -> Self:
        """Open the key store, or make it if it is not there.

        Args:
            uri: `software:`, `software:///abs/keys.db[?key-file=/abs/file]` or `software:?memory=1`.
            passphrase: protects the store, instead of a key file; text, or a function that asks for it. If left out,
                the environment's KMSKIT_PASSPHRASE, else the key file.
            clock: the time in seconds since 1970, or an aware datetime; `time.time` if left out. A clock of one's own
                is asked at every call.

        Raises:
            ConfigurationError: the URI, the store or the key file cannot be used; nothing was changed.
            AuthenticationError: the passphrase or key file is not this store's.
            ServiceUnavailableError: the store is locked, or the disk is full.
        """
        uri.only(("key-file", "memory"))
        fresh_seconds = _FRESH_SECONDS if clock is None else 0.0
        clock = clock or time.time
        if "memory" in uri.query:
            if uri.path or uri.authority or uri.query != {"memory": "1"} or passphrase is not None:
                raise ConfigurationError(
                    "a store in memory has no path, key file or passphrase", hint="write software:?memory=1"
                )
            return cls(uri, Store(None, NoProtection(), clock), fresh_seconds)
        path, key_file = store_files(uri)
        if not uri.path:
            with translated(FORM.name):
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(
            Uri("software", "", path.as_posix() if path.drive == "" else "/" + path.as_posix(), query=uri.query),
            Store(path, _protection(uri, key_file, passphrase), clock),
            fresh_seconds,
        )

    @classmethod
    def split_key_uri(cls, uri: Uri, /) -> tuple[Uri, str]:
        if "memory" in uri.query:
            raise _private_to_one_kms()
        return super().split_key_uri(uri)

    def check_reopenable(self) -> None:
        if self._in_memory:
            raise _private_to_one_kms()

    def close(self) -> None:
        self._forget()
        self._store.close()

    # What is there

    def supports(self, spec: KeySpec, operation: Operation, /) -> Support:
        row = SPECS[spec]
        if operation in ("create", "import"):
            return Support(True)
        if operation in ("data_key", "rotate"):
            reason = (
                "only AES and SM4 keys offer it; make a new key and move the alias" if operation == "rotate" else ""
            )
            reason = reason or "only AES and SM4 keys wrap data keys"
            return Support(True) if row.symmetric else Support(False, reason)
        if operation in ("encrypt", "decrypt", "reencrypt"):
            if KeyUsage.ENCRYPT_DECRYPT not in row.algorithms:
                return Support(False, f"{spec} keys do not encrypt; AES, SM4 and RSA keys do")
            limit = row.max_plaintext(choose(row, KeyUsage.ENCRYPT_DECRYPT, None))
            return Support(True, max_bytes=limit or MAX_PLAINTEXT)
        if operation == "mac":
            return Support(True) if row.family == "HMAC" else Support(False, "only HMAC keys make MACs")
        return Support(True) if row.asymmetric else Support(False, "only RSA, EC and ED25519 keys sign")

    def describe(self, id_or_alias: str, /) -> KeyInfo:
        self.calls += 1
        self._renew()
        return self._store.find(id_or_alias)

    def keys(self, wanted: KeyFilter, /) -> Iterator[KeyInfo]:
        self.calls += 1
        self._renew()
        return self._store.matching(wanted)

    def key_of_version(self, version: str, /) -> str | None:
        self.calls += 1
        return self._store.key_of_version(int(version, 16)) if _VERSION.fullmatch(version) else None

    # Lifecycle

    def create(self, new: NewKey, /) -> KeyInfo:
        return self._insert(new, None, Origin.GENERATED)

    def import_key(self, new: NewKey, material: bytes, /) -> KeyInfo:
        return self._insert(new, material, Origin.IMPORTED)

    def _insert(self, new: NewKey, material: bytes | None, origin: Origin) -> KeyInfo:
        self.calls += 1
        if new.protection == "HSM":
            raise UnsupportedError(
                "the software backend has no HSM", hint="the pkcs11 backend and Alibaba Cloud's hardware instances have"
            )
        if new.alias is not None:
            self._store.check_alias_is_free(new.alias)
        return self._store.insert(new, generate(SPECS[new.spec]) if material is None else material, origin)

    def rotate(self, key_id: str, /) -> KeyInfo:
        spec = SPECS[self._store.find(key_id).spec]
        return self._change(self._store.rotate, key_id, generate(spec))

    def set_rotation(self, key_id: str, period: timedelta | None, /) -> KeyInfo:
        return self._change(self._store.set_rotation, key_id, period)

    def enable(self, key_id: str, /) -> KeyInfo:
        return self._change(self._store.set_state, key_id, KeyState.ENABLED)

    def disable(self, key_id: str, /) -> KeyInfo:
        return self._change(self._store.set_state, key_id, KeyState.DISABLED)

    def schedule_deletion(self, key_id: str, days: int, /) -> KeyInfo:
        return self._change(self._store.schedule_deletion, key_id, days)

    def cancel_deletion(self, key_id: str, /) -> KeyInfo:
        return self._change(self._store.cancel_deletion, key_id)

    def add_alias(self, key_id: str, alias: str, /) -> KeyInfo:
        return self._change(self._store.add_alias, key_id, alias)

    def remove_alias(self, key_id: str, alias: str, /) -> KeyInfo:
        return self._change(self._store.remove_alias, key_id, alias)

    def update(self, key_id: str, description: str | None, tags: Mapping[str, str] | None, /) -> KeyInfo:
        return self._change(self._store.update, key_id, description, tags)

    def purge(self) -> list[str]:
        return self._change(self._store.purge)

    def export_material(self, key_id: str, /) -> dict[str, bytes]:
        self.calls += 1
        materials = self._materials(self._usable(key_id))
        return {version_name(version): material for version, material in materials.items()}

    def _change(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        self.calls += 1
        with self._store.lock:
            try:
                return work(*arguments)
            finally:
                self._forget()

    # Use

    def encrypt(self, key_id: str, plaintext: Buffer, context: Context, algorithm: Algorithm | None, /) -> bytes:
        self.calls += 1
        if monotonic() >= self._fresh_until:
            self._renew()
        key: Any = self._loaded.get(key_id) or self._load(key_id)
        ciphertext: bytes = key.encrypt(plaintext, context, algorithm)
        return ciphertext

    def decrypt(self, key_id: str, ciphertext: Buffer, context: Context, algorithm: Algorithm | None, /) -> bytes:
        self.calls += 1
        if monotonic() >= self._fresh_until:
            self._renew()
        key: Any = self._loaded.get(key_id) or self._load(key_id)
        try:
            plaintext: bytes = key.decrypt(ciphertext, context, algorithm)
            return plaintext
        except InvalidCiphertextError:
            self._renew()  # Another process may have rotated the key within the last second, and encrypted this.
            if (renewed := self._fresh(key_id)) is key:
                raise
        opened: bytes = renewed.decrypt(ciphertext, context, algorithm)
        return opened

    def sign(self, key_id: str, message: Buffer, algorithm: Algorithm, /) -> Signature:
        self.calls += 1
        key = self._fresh(key_id)
        return Signature(key.sign(message, algorithm), key_id, key.version, algorithm.name)

    def sign_digest(self, key_id: str, digest: Buffer, algorithm: Algorithm, /) -> Signature:
        key = self._key(key_id)
        return Signature(key.sign(digest, algorithm, hashed=True), key_id, key.version, algorithm.name)

    def verify(self, key_id: str, message: Buffer, signature: bytes, algorithm: Algorithm, /) -> None:
        self._key(key_id).verify(message, signature, algorithm)

    def verify_digest(self, key_id: str, digest: Buffer, signature: bytes, algorithm: Algorithm, /) -> None:
        self._key(key_id).verify(digest, signature, algorithm, hashed=True)

    def mac(self, key_id: str, message: Buffer, algorithm: Algorithm, /) -> bytes:
        tag: bytes = self._key(key_id).mac(message)
        return tag

    def verify_mac(self, key_id: str, message: Buffer, tag: Buffer, algorithm: Algorithm, /) -> None:
        self._key(key_id).verify_mac(message, tag)

    def public_key(self, key_id: str, version: str | None, /) -> Any:
        key = self._key(key_id)
        if version not in (None, key.version):
            raise refusals.no_such_version(version)
        return key.public_key

    def generate_data_key(self, key_id: str, length: int, context: Context, /) -> tuple[bytearray, bytes]:
        plaintext = bytearray(os.urandom(length))
        return plaintext, self.encrypt(key_id, plaintext, context, None)

    def check_usable(self, key_id: str, /) -> None:
        self._fresh(key_id)

    # The cache

    def _fresh(self, key_id: str) -> Any:
        """A key ready for use."""
        if monotonic() >= self._fresh_until:
            self._renew()
        return self._loaded.get(key_id) or self._load(key_id)

    def _key(self, key_id: str) -> Any:
        """A key ready for use, counted as one call."""
        self.calls += 1
        return self._fresh(key_id)

    def _usable(self, key_id: str) -> KeyInfo:
        info = self._store.find(key_id)
        if info.state is not KeyState.ENABLED:
            raise refusals.unusable(info.state)
        return info

    def _materials(self, info: KeyInfo) -> dict[int, bytes]:
        try:
            return self._store.materials(info)
        except ConfigurationError:
            self._store.find(info.id)  # KeyNotFoundError, if another process has purged the key just now.
            raise

    def _load(self, key_id: str) -> _LoadedKey:
        """Put a key into the cache. Under the lock, so that no key read before a change is put in after it."""
        with self._store.lock:
            info = self._usable(key_id)
            key = self._ready(SPECS[info.spec], info, self._materials(info))
            if len(self._loaded) >= _CACHED_KEYS:
                del self._loaded[next(iter(self._loaded))]
            self._loaded[key_id] = key
        return key

    def _ready(self, spec: Spec, info: KeyInfo, materials: dict[int, bytes]) -> _LoadedKey:
        primary = int(info.primary_version, 16)
        if spec.symmetric:
            return SymmetricKey(spec, materials, primary, self._uses[primary])
        kind = MacKey if spec.family == "HMAC" else AsymmetricKey
        return kind(spec, info.primary_version, materials[primary])

    def _renew(self) -> None:
        """See what others have changed, and carry out the rotations that are due."""
        with self._store.lock:
            if self._store.changed_elsewhere():
                self._forget()
            if self._store.now() >= self._next_rotation:
                self._rotate_due()
            self._fresh_until = monotonic() + self._fresh_seconds

    def _rotate_due(self) -> None:
        for info in self._store.due_for_rotation():
            # A store that cannot be written now is no reason to refuse an encryption; the next second tries again.
            with suppress(ServiceUnavailableError):
                self._store.rotate(info.id, generate(SPECS[info.spec]), only_if_due=True)
            self._forget()
        self._next_rotation = self._store.next_rotation()

    def _forget(self) -> None:
        """Empty the cache, after a change by anyone."""
        self._loaded.clear()
        self._next_rotation = 0.0


def _private_to_one_kms() -> ConfigurationError:
    return ConfigurationError(
        "a key store in memory is private to one Kms: it cannot be pickled or opened again",
        hint="use software:///abs/keys.db to share keys between processes",
    )


def store_files(uri: Uri) -> tuple[Path, Path]:
    """Where the key store of a URI lies, and the key file that protects it unless a passphrase does.

    Nothing is looked at and nothing is made. A store in memory has neither.

    Args:
        uri: `software:` or `software:///abs/keys.db[?key-file=/abs/file]`.

    Raises:
        ConfigurationError: one of the paths is not absolute, or the query has another attribute.
    """
    uri.only(("key-file",))
    given = uri.path[1:] if os.name == "nt" else uri.path
    path = Path(given) if given else platformdirs.user_data_path("kmskit") / "keys.db"
    if uri.authority or not path.is_absolute() or not path.name or "\0" in uri.path:
        raise ConfigurationError(
            "a software: URI names an absolute path", hint="write software:///abs/keys.db, with three slashes"
        )
    key_file = Path(uri.query.get("key-file", path.with_name(path.name + _KEY_FILE_SUFFIX)))
    if not key_file.is_absolute():
        raise ConfigurationError("key-file= names an absolute path", hint="write ?key-file=/abs/file")
    return path, key_file


def _protection(uri: Uri, key_file: Path, passphrase: str | Callable[[], str] | None) -> Protection:
    if "key-file" in uri.query:
        if passphrase is not None:
            raise ConfigurationError("a store has a passphrase or a key file, not both", hint="leave one of them out")
        return KeyFile(key_file)
    if passphrase is None:
        passphrase = os.environ.get("KMSKIT_PASSPHRASE") or None
    return KeyFile(key_file) if passphrase is None else Passphrase(passphrase)
