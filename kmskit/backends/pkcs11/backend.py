"""The pkcs11 backend: a login to a token, a cache of the keys in use, and the notes beside the token."""

from __future__ import annotations

import hmac
import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from time import monotonic
from typing import Any, ClassVar, Self, TypeVar

from kmskit import refusals
from kmskit.algorithms import SPECS, Algorithm, Spec, choose
from kmskit.backend import Backend, Context, NewKey, Support
from kmskit.backends.pkcs11 import faults, inventory, mechanisms, ready
from kmskit.backends.pkcs11.cryptoki import CryptokiError
from kmskit.backends.pkcs11.keys import Maker, TokenKeys
from kmskit.backends.pkcs11.location import Location, of_key
from kmskit.backends.pkcs11.notes import Notes
from kmskit.backends.pkcs11.pin import PinOption
from kmskit.backends.pkcs11.ready import ReadyKey
from kmskit.backends.pkcs11.records import Records
from kmskit.backends.pkcs11.session import Session, VerdictError
from kmskit.backends.pkcs11.sessions import Sessions
from kmskit.backends.pkcs11.tokens import notes_file
from kmskit.backends.publickey import PublicKey
from kmskit.ciphertext import MAX_PLAINTEXT, OVERHEAD, parse
from kmskit.context import canonical
from kmskit.errors import ConfigurationError, KmsError, UnsupportedError
from kmskit.types import (
    Buffer,
    KeyFilter,
    KeyInfo,
    KeySpec,
    KeyState,
    KeyUsage,
    Operation,
    Protection,
    Signature,
)
from kmskit.uri import Uri
from kmskit.uri import parse as parse_uri

__all__ = ["Pkcs11Backend"]

_FRESH_SECONDS = 1.0
_READY_KEYS = 4096
_SESSION_GONE = 0x0B3  # CKR_SESSION_HANDLE_INVALID
_VERSION = re.compile(r"[0-9a-f]{8}")
_Result = TypeVar("_Result")


class Pkcs11Backend(Backend):
    """Keys on a token.

    The token itself refuses what a key may not do, so a key that another process has disabled or rotated is noticed at
    its next use. What is done here without the token, verifying and encrypting with a public half, asks once a second.
    """

    name: ClassVar[str] = "pkcs11"

    def __init__(self, uri: Uri, sessions: Sessions, notes: Notes, fresh_seconds: float) -> None:
        self.uri = str(uri)
        self._sessions = sessions
        self._keys = TokenKeys(sessions)
        self._records = Records(self._keys, notes)
        self._offer = mechanisms.Offer(sessions.module, sessions.token)
        self._offered: set[tuple[KeySpec, str]] = set()
        self._fresh_seconds = fresh_seconds
        self._fresh_until = 0.0
        self._next_rotation = 0.0
        self._ready: dict[str, ReadyKey] = {}
        self._uses: defaultdict[int, count[int]] = defaultdict(count)
        self._closed = False

    @classmethod
    def open(
        cls,
        uri: Uri,
        /,
        *,
        pin: PinOption = None,
        clock: Callable[[], float | datetime] | None = None,
        _may_ask: bool = True,
    ) -> Self:
        """Log in to a token.

        Args:
            uri: `pkcs11:token=NAME?module-path=FILE`, as in RFC 7512.
            pin: the PIN, or a function that gives it. If left out, the file that `pin-source=` names, else the
                environment's KMSKIT_PKCS11_PIN, else someone is asked.
            clock: the time in seconds since 1970, or an aware datetime; `time.time` if left out.

        Raises:
            ConfigurationError: no such module or token, or no PIN.
            AuthenticationError: the token refused the PIN. It is not tried again.
        """
        location = Location.parse(uri)
        sessions = Sessions.open(location, pin, may_ask=_may_ask)
        try:
            notes = Notes(notes_file(location, sessions.identity), clock or time.time)
            with faults.translated():
                return cls(uri, sessions, notes, _FRESH_SECONDS if clock is None else 0.0)
        except BaseException:
            sessions.close()
            raise

    @classmethod
    def reopen(cls, uri: Uri, /) -> Self:
        return cls.open(uri, _may_ask=False)

    @classmethod
    def split_key_uri(cls, uri: Uri, /) -> tuple[Uri, str]:
        return of_key(uri)

    def key_uri(self, key_id: str, /) -> str:
        uri = parse_uri(self.uri)
        identity = inventory.pack_id(key_id, 0, 0).decode(errors="surrogateescape")
        return str(replace(uri, attributes={**uri.attributes, "id": identity}))

    def close(self) -> None:
        with self._records.lock:
            if not self._closed:
                self._closed = True
                self._fresh_until = 0.0
                self._forget()
                self._records.close()
                self._sessions.close()

    # What is there

    def supports(self, spec: KeySpec, operation: Operation, /) -> Support:
        return self._offer.supports(spec, operation)

    def describe(self, id_or_alias: str, /) -> KeyInfo:
        self.calls += 1
        self._renew()
        return self._records.find(id_or_alias)

    def keys(self, wanted: KeyFilter, /) -> Iterator[KeyInfo]:
        self.calls += 1
        self._renew()
        return self._records.matching(wanted)

    def key_of_version(self, version: str, /) -> str | None:
        self.calls += 1
        return self._records.key_of_version(int(version, 16)) if _VERSION.fullmatch(version) else None

    # Lifecycle

    def create(self, new: NewKey, /) -> KeyInfo:
        return self._insert(new, mechanisms.generate)

    def import_key(self, new: NewKey, material: bytes, /) -> KeyInfo:
        return self._insert(new, mechanisms.import_material, material)

    def _insert(self, new: NewKey, maker: Maker, *material: bytes) -> KeyInfo:
        self.calls += 1
        if new.protection is Protection.SOFTWARE:
            raise UnsupportedError("a token's keys are protected by the token", hint="the software backend has others")
        if new.exportable:
            raise UnsupportedError(
                "a token's keys are never exportable", hint="the software backend makes exportable keys"
            )
        spec = SPECS[new.spec]
        if not self._offer.algorithms(spec, new.usage):
            self._require(spec, choose(spec, new.usage, None))
        return self._records.insert(new, maker, *material)

    def rotate(self, key_id: str, /) -> KeyInfo:
        return self._change(self._records.rotate, key_id)

    def set_rotation(self, key_id: str, period: timedelta | None, /) -> KeyInfo:
        return self._change(self._records.set_rotation, key_id, period)

    def enable(self, key_id: str, /) -> KeyInfo:
        return self._change(self._records.set_state, key_id, KeyState.ENABLED)

    def disable(self, key_id: str, /) -> KeyInfo:
        return self._change(self._records.set_state, key_id, KeyState.DISABLED)

    def schedule_deletion(self, key_id: str, days: int, /) -> KeyInfo:
        return self._change(self._records.schedule_deletion, key_id, days)

    def cancel_deletion(self, key_id: str, /) -> KeyInfo:
        return self._change(self._records.cancel_deletion, key_id)

    def add_alias(self, key_id: str, alias: str, /) -> KeyInfo:
        return self._change(self._records.add_alias, key_id, alias)

    def remove_alias(self, key_id: str, alias: str, /) -> KeyInfo:
        return self._change(self._records.remove_alias, key_id, alias)

    def update(self, key_id: str, description: str | None, tags: Mapping[str, str] | None, /) -> KeyInfo:
        return self._change(self._records.update, key_id, description, tags)

    def purge(self) -> list[str]:
        return self._change(self._records.purge)

    def _change(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        self.calls += 1
        with self._records.lock:
            try:
                return work(*arguments)
            finally:
                self._forget()

    # Use

    def encrypt(self, key_id: str, plaintext: Buffer, context: Context, algorithm: Algorithm | None, /) -> bytes:
        self.calls += 1
        if monotonic() >= self._fresh_until:
            self._renew()
        key = self._ready.get(key_id) or self._load(key_id)
        if key.public is not None:
            row = algorithm or choose(key.spec, KeyUsage.ENCRYPT_DECRYPT, None)
            return self._public(key, row).encrypt(plaintext, context, row)
        if len(plaintext) > MAX_PLAINTEXT:
            raise refusals.too_large(len(plaintext), "direct encryption", MAX_PLAINTEXT)
        data = plaintext if type(plaintext) is bytes else bytes(plaintext)
        return self._use(key, ready.encrypt, data, canonical(context))

    def decrypt(self, key_id: str, ciphertext: Buffer, context: Context, algorithm: Algorithm | None, /) -> bytes:
        self.calls += 1
        if monotonic() >= self._fresh_until:
            self._renew()
        key = self._ready.get(key_id) or self._load(key_id)
        data = ciphertext if type(ciphertext) is bytes else bytes(ciphertext)
        if key.public is not None:
            row = algorithm or choose(key.spec, KeyUsage.ENCRYPT_DECRYPT, None)
            self._require(key.spec, row)
            if not key.public.has_size(data):
                raise refusals.unopened()
            return self._use(key, ready.decrypt_oaep, data, row)
        aad = canonical(context)
        if data[:5] not in key.handles:
            parse(data)  # Says it, if the bytes are no ciphertext at all.
            key = self._with_version(key, data[:5])
        elif len(data) < OVERHEAD:
            parse(data)
        return self._use(key, ready.decrypt, data, aad)

    def _with_version(self, key: ReadyKey, head: bytes) -> ReadyKey:
        """The key read anew, since another process may have made the version that a ciphertext names."""
        self._records.forget()
        key = self._load(key.id)
        if head not in key.handles:
            raise refusals.of_another_version()
        return key

    def sign(self, key_id: str, message: Buffer, algorithm: Algorithm, /) -> Signature:
        return self._sign(key_id, message, algorithm, hashed=False)

    def sign_digest(self, key_id: str, digest: Buffer, algorithm: Algorithm, /) -> Signature:
        return self._sign(key_id, digest, algorithm, hashed=True)

    def _sign(self, key_id: str, data: Buffer, algorithm: Algorithm, *, hashed: bool) -> Signature:
        key = self._key(key_id)
        self._require(key.spec, algorithm)
        value = self._use(key, ready.sign, bytes(data), algorithm, hashed)
        return Signature(value, key_id, key.version, algorithm.name)

    def verify(self, key_id: str, message: Buffer, signature: bytes, algorithm: Algorithm, /) -> None:
        self._public(self._key(key_id), algorithm).verify(message, signature, algorithm)

    def verify_digest(self, key_id: str, digest: Buffer, signature: bytes, algorithm: Algorithm, /) -> None:
        self._public(self._key(key_id), algorithm).verify(digest, signature, algorithm, hashed=True)

    def mac(self, key_id: str, message: Buffer, algorithm: Algorithm, /) -> bytes:
        key = self._key(key_id)
        return self._use(key, ready.mac, bytes(message), algorithm)

    def verify_mac(self, key_id: str, message: Buffer, tag: Buffer, algorithm: Algorithm, /) -> None:
        if not hmac.compare_digest(self.mac(key_id, message, algorithm), bytes(tag)):
            raise refusals.wrong_mac()

    def public_key(self, key_id: str, version: str | None, /) -> Any:
        key = self._key(key_id)
        if version not in (None, key.version):
            raise refusals.no_such_version(str(version))
        return self._public(key).public_key

    def generate_data_key(self, key_id: str, length: int, context: Context, /) -> tuple[bytearray, bytes]:
        plaintext = bytearray(os.urandom(length))
        return plaintext, self.encrypt(key_id, plaintext, context, None)

    def check_usable(self, key_id: str, /) -> None:
        self._checked(self._ready.get(key_id) or self._load(key_id))

    def _key(self, key_id: str) -> ReadyKey:
        """A key ready for use, counted as one call."""
        self.calls += 1
        if monotonic() >= self._fresh_until:
            self._renew()
        return self._ready.get(key_id) or self._load(key_id)

    def _load(self, key_id: str) -> ReadyKey:
        """Make a key ready. Under the lock, so that what was read before a change is not kept after it."""
        with self._records.lock:
            self._check_open()
            key = self._records.usable(key_id)
            public = self._keys.public(key)
            made = ReadyKey(key_id, key.spec, key.epoch, public, monotonic(), self._uses[key.newest.version])
            made.take(key)
            if len(self._ready) >= _READY_KEYS:
                del self._ready[next(iter(self._ready))]
            self._ready[key_id] = made
        return made

    def _checked(self, key: ReadyKey) -> ReadyKey:
        """The key, whose state the token was asked for within the last second."""
        if monotonic() - key.checked <= self._fresh_seconds:
            return key
        return self._load(key.id)

    def _public(self, key: ReadyKey, algorithm: Algorithm | None = None) -> PublicKey:
        """The public half of a key that may be used, for an algorithm that the token has."""
        if algorithm is not None:
            self._require(key.spec, algorithm)
        public = self._checked(key).public
        if public is None:
            raise UnsupportedError(f"an {key.spec.name} key has no public half")
        return public

    def _require(self, spec: Spec, algorithm: Algorithm) -> None:
        """UnsupportedError if the token does not have an algorithm."""
        if (spec.name, algorithm.name) in self._offered:
            return
        if reason := self._offer.why_no_algorithm(spec, algorithm):
            offered = ", ".join(self._offer.algorithms(spec, algorithm.usage))
            hint = f"{spec.name} keys have {offered} here" if offered else "kms.capabilities() shows what is there"
            raise UnsupportedError(f"{algorithm.name}: {reason}", hint=hint)
        self._offered.add((spec.name, algorithm.name))

    def _use(self, key: ReadyKey, work: Callable[..., bytes], *arguments: Any) -> bytes:
        """What `work` returns for a session, the key and the arguments; done once more after what can be mended."""
        problem: CryptokiError | None = None
        for _ in range(3):  # The first may find a new epoch, the second a fault that goes away.
            session = self._sessions.acquire()
            if session.epoch != key.epoch:
                self._sessions.release(session)
            else:
                try:
                    result = work(session, key, *arguments)
                except CryptokiError as error:
                    problem = error
                except BaseException:
                    self._sessions.discard(session)
                    raise
                else:
                    self._sessions.release(session)
                    return result
                self._recover(session, key, problem)
            # KeyStateError or KeyNotFoundError, if that is why the token refused.
            key = self._load(key.id)
        raise faults.translate(problem or CryptokiError(_SESSION_GONE))

    def _recover(self, session: Session, key: ReadyKey, problem: CryptokiError) -> None:
        """Judge a decryption that failed; else see that sessions and login are well before it is tried again."""
        well = self._sessions.answers(session)
        self._sessions.discard(session)
        if isinstance(problem, VerdictError) and well:
            self._records.find(key.id)  # KeyNotFoundError, if the key itself is gone.
            raise refusals.unopened()
        if not well:
            self._sessions.renew(session.epoch)

    # Freshness

    def _renew(self) -> None:
        """See what other processes have noted, and carry out the rotations that are due."""
        with self._records.lock:
            self._check_open()
            if self._records.changed_elsewhere():
                self._forget()
            if self._records.now() >= self._next_rotation:
                with suppress(KmsError):  # A token that cannot do it now is no reason to refuse another use.
                    self._records.rotate_due()
                self._forget()
                self._next_rotation = self._records.next_rotation()
            self._fresh_until = monotonic() + self._fresh_seconds

    def _check_open(self) -> None:
        """The sessions may still be open, for another Kms."""
        if self._closed:
            raise ConfigurationError("this connection to the token is closed", hint="connect again")

    def _forget(self) -> None:
        """Make keys ready anew, after a change by anyone."""
        self._ready.clear()
        self._next_rotation = 0.0
