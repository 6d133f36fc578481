"""The store key, which wraps all key material, and what protects it: a passphrase, a key file, or nothing (in memory).

What the database holds is one JSON text. Its `parameters` are authenticated together with the wrapped key:

    {"parameters": {"method": "passphrase", "salt": …, "memory_kib": …, "iterations": …, "lanes": …}, "wrapped": …}
    {"parameters": {"method": "key-file"}, "wrapped": …}

`wrapped` is base64 of: iv 12 | store key 32 | tag 16, AES-256-GCM. The passphrase goes through Argon2id (RFC 9106,
second
recommended option: 64 MiB, 3 passes, 4 lanes). A key file is `kmskit key file 1`, a line end, and base64 of 32 bytes.
"""

from __future__ import annotations

import binascii
import json
import os
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kmskit.errors import AuthenticationError, ConfigurationError

__all__ = ["KeyFile", "NoProtection", "Passphrase", "Protection"]

_KEY_SIZE = 32
_FILE_HEAD = b"kmskit key file 1\n"
_CAPS = {"memory_kib": 1 << 20, "iterations": 16, "lanes": 16}
"""What a database may ask of Argon2id at most (1 GiB): its parameters are read before anything is authenticated."""


class Protection(Protocol):
    """How the store key of a database is kept."""

    def create(self) -> tuple[bytes, str]:
        """A new store key, and the record of it for the database."""

    def unlock(self, record: str) -> bytes:
        """The store key of a record; AuthenticationError, ConfigurationError."""


class NoProtection:
    """For a store in memory, whose store key lives and dies with it."""

    def create(self) -> tuple[bytes, str]:
        return os.urandom(_KEY_SIZE), "{}"

    def unlock(self, record: str) -> bytes:
        raise ConfigurationError("a store in memory cannot be opened again")


class Passphrase:
    """Protection by a passphrase, given as text or as a function that asks for it."""

    def __init__(self, passphrase: str | Callable[[], str]) -> None:
        self._passphrase = passphrase

    def create(self) -> tuple[bytes, str]:
        parameters = {
            "method": "passphrase",
            "salt": b64encode(os.urandom(16)).decode(),
            "memory_kib": 64 * 1024,
            "iterations": 3,
            "lanes": 4,
        }
        return _wrap_new(self._derive(parameters), parameters)

    def unlock(self, record: str) -> bytes:
        parameters, wrapped = _read(record)
        if parameters["method"] != "passphrase":
            raise ConfigurationError(
                "this store is protected by a key file, not by a passphrase", hint="connect without passphrase="
            )
        return _unwrap(self._derive(parameters), parameters, wrapped, "the passphrase does not open this store")

    def _derive(self, parameters: dict[str, Any]) -> bytes:
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

        text = self._passphrase() if callable(self._passphrase) else self._passphrase
        if not isinstance(text, str):
            raise TypeError(f"passphrase: text expected, not {type(text).__name__}")
        try:
            secret = unicodedata.normalize("NFC", text).encode()
        except UnicodeEncodeError:
            secret = b""
        if (
            not secret
        ):  # Here and not above, because a UnicodeEncodeError would carry the passphrase along in the chain.
            raise ValueError("passphrase: it is empty, or has a lone surrogate, which is no character")
        kdf = Argon2id(
            salt=b64decode(parameters["salt"]),
            length=_KEY_SIZE,
            iterations=parameters["iterations"],
            lanes=parameters["lanes"],
            memory_cost=parameters["memory_kib"],
        )
        return kdf.derive(secret)


class KeyFile:
    """Protection by a file that only its owner can read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self) -> tuple[bytes, str]:
        # A key file without a database is left by a crash between the two; it protects nothing yet, so it is used.
        if not self._path.exists():
            self._write()
        return _wrap_new(self._load(), {"method": "key-file"})

    def unlock(self, record: str) -> bytes:
        parameters, wrapped = _read(record)
        if parameters["method"] != "key-file":
            raise ConfigurationError(
                "this store is protected by a passphrase",
                code="PASSPHRASE_REQUIRED",  # By which the command line knows that it may ask for one.
                hint="connect(uri, passphrase=...), or set KMSKIT_PASSPHRASE",
            )
        return _unwrap(self._load(), parameters, wrapped, "the key file does not open this store: it is another one's")

    def _write(self) -> None:
        """Make the file whole or not at all: written aside, then linked, which fails if another process was faster."""
        aside = self._path.with_name(f"{self._path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_FILE_HEAD + b64encode(os.urandom(_KEY_SIZE)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(aside, self._path)
        finally:
            aside.unlink()

    def _load(self) -> bytes:
        try:
            mode = self._path.stat().st_mode
            data = self._path.read_bytes()[:256]
        except FileNotFoundError:
            raise ConfigurationError(
                "the key file of this store is gone; without it the keys cannot be opened",
                hint="restore it from a backup, or name it with ?key-file=; a new one would not help, so none is made",
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"the key file cannot be read: {error.strerror}", hint="check the permissions of the key file"
            ) from error
        if os.name == "posix" and mode & 0o077:
            raise ConfigurationError("others can read the key file of this store", hint="chmod 600 the key file")
        head, secret = data[: len(_FILE_HEAD)], data[len(_FILE_HEAD) :].strip()
        try:
            key = b64decode(secret, validate=True)
        except binascii.Error:
            key = b""
        if head != _FILE_HEAD or len(key) != _KEY_SIZE:
            raise ConfigurationError(
                "this is not a key file of kmskit, or it is damaged", hint="restore it from a backup"
            )
        return key


def _wrap_new(wrapping_key: bytes, parameters: dict[str, Any]) -> tuple[bytes, str]:
    store_key, iv = os.urandom(_KEY_SIZE), os.urandom(12)
    wrapped = iv + AESGCM(wrapping_key).encrypt(iv, store_key, _bound(parameters))
    return store_key, json.dumps({"parameters": parameters, "wrapped": b64encode(wrapped).decode()})


def _unwrap(wrapping_key: bytes, parameters: dict[str, Any], wrapped: bytes, refusal: str) -> bytes:
    try:
        return AESGCM(wrapping_key).decrypt(wrapped[:12], wrapped[12:], _bound(parameters))
    except InvalidTag:
        raise AuthenticationError(refusal, hint="nothing was changed; try again with the right one") from None


def _bound(parameters: dict[str, Any]) -> bytes:
    return b"kmskit store key 1 " + json.dumps(parameters, sort_keys=True).encode()


def _read(record: str) -> tuple[dict[str, Any], bytes]:
    """The checked parameters and the wrapped store key; ConfigurationError if they are damaged or out of bounds."""
    try:
        parsed = json.loads(record)
        parameters, wrapped = parsed["parameters"], b64decode(parsed["wrapped"], validate=True)
        sound = parameters["method"] == "key-file" or (
            parameters["method"] == "passphrase"
            and len(b64decode(parameters["salt"], validate=True)) == 16
            and all(type(parameters[name]) is int and 1 <= parameters[name] <= cap for name, cap in _CAPS.items())
            and parameters["memory_kib"] >= 8 * parameters["lanes"]
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound or len(wrapped) != 12 + _KEY_SIZE + 16:
        raise ConfigurationError(
            "the store's record of its own key is damaged; nothing was changed", hint="restore the store from a backup"
        )
    return parameters, wrapped
