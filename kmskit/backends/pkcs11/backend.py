"""The pkcs11 backend: a login to a token, a cache of the keys in use, and the notes beside the token."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn, Self, TypeVar

import platformdirs
from pkcs11.exceptions import PKCS11Error

from kmskit import refusals
from kmskit.algorithms import SPECS, Algorithm, Spec, choose
from kmskit.backend import Backend, Context, NewKey, Support
from kmskit.backends.pkcs11 import faults, inventory, mechanisms, ready
from kmskit.backends.pkcs11.cryptoki import CryptokiError, Session, VerdictError
from kmskit.backends.pkcs11.inventory import TokenKey
from kmskit.backends.pkcs11.keys import TokenKeys
from kmskit.backends.pkcs11.location import Location, of_key
from kmskit.backends.pkcs11.notes import Note, Notes
from kmskit.backends.pkcs11.pin import PinOption
from kmskit.backends.pkcs11.ready import ReadyKey
from kmskit.backends.pkcs11.sessions import Sessions
from kmskit.backends.publickey import PublicKey
from kmskit.ciphertext import MAX_PLAINTEXT, OVERHEAD, parse, version_name
from kmskit.context import canonical
from kmskit.errors import ConfigurationError, KmsError, UnsupportedError
from kmskit.names import is_key_id
from kmskit.types import (
    Buffer,
    KeyFilter,
    KeyInfo,
    KeySpec,
    KeyState,
    KeyUsage,
    Operation,
    Origin,
    Protection,
    Signature,
)
from kmskit.uri import Uri
from kmskit.uri import parse as parse_uri

__all__ = ["Pkcs11Backend"]

_FRESH_SECONDS = 1.0
_READY_KEYS = 4096
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
        self._notes = notes
        self._offer = mechanisms.Offer(sessions.token)
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
            notes = Notes(_notes_file(location, sessions.identity), clock or time.time)
            return cls(uri, sessions, notes, _FRESH_SECONDS if clock is None else 0.0)
        except PKCS11Error as error:
            problem = faults.translate(error)
            sessions.close()
        except BaseException:
            sessions.close()
            raise
        raise problem

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
        with self._notes.lock:
            if not self._closed:
                self._closed = True
                self._forget()
                self._notes.close()
                self._sessions.close()

    # What is there

    def supports(self, spec: KeySpec, operation: Operation, /) -> Support:
        return self._offer.supports(spec, operation)

    def describe(self, id_or_alias: str, /) -> KeyInfo:
        self.calls += 1
        self._renew()
        with self._notes.lock:
            key = self._resolve(id_or_alias)
            return self._info(key, self._notes.get(key.id))

    def keys(self, wanted: KeyFilter, /) -> Iterator[KeyInfo]:
        self.calls += 1
        self._renew()
        notes = self._notes.all()
        with self._notes.lock:
            keys = self._keys.scan()
        for key in keys.values():
            info = self._info(key, notes.get(key.id))
            if wanted.matches(info):
                yield info

    def key_of_version(self, version: str, /) -> str | None:
        self.calls += 1
        with self._notes.lock:
            return self._keys.of_version(int(version, 16)) if _VERSION.fullmatch(version) else None

    def _resolve(self, name: str) -> TokenKey:
        """The key with an id or alias: as it is noted here, else as its label says."""
        holder = self._notes.holder(name)
        for key_id in filter(None, (holder, name.lower() if is_key_id(name) else None)):
            if key := self._keys.find(key_id):
                return key
        if name and not any("\ud800" <= character <= "\udfff" for character in name):
            for key in self._keys.labelled(name).values():
                if self._notes.get(key.id) is None:
                    return key
        raise refusals.key_not_found(name)

    def _info(self, key: TokenKey, note: Note | None) -> KeyInfo:
        note = note or self._first_note(key)
        state = KeyState.ENABLED
        if not key.enabled:
            state = KeyState.DISABLED if note.deletion_date is None else KeyState.PENDING_DELETION
        pending = state is KeyState.PENDING_DELETION
        return KeyInfo(
            id=key.id,
            spec=key.spec.name,
            usage=key.usage,
            state=state,
            versions=tuple(version_name(material.version) for material in key.materials),
            primary_version=version_name(key.newest.version),
            created=inventory.created(key.id),
            aliases=note.aliases,
            description=note.description,
            tags=MappingProxyType(dict(note.tags)),
            protection=Protection.HSM,
            origin=Origin.GENERATED if key.generated else Origin.IMPORTED,
            rotation_period=None if note.rotation_seconds is None else timedelta(seconds=note.rotation_seconds),
            next_rotation=_moment(note.next_rotation),
            deletion_date=_moment(note.deletion_date) if pending else None,
        )

    def _first_note(self, key: TokenKey) -> Note:
        """What is known of a key that was never noted here: its label is its alias, unless another key has that."""
        free = key.label and self._notes.holder(key.label) in (None, key.id)
        return Note(aliases=(key.label,) if free else ())

    # Lifecycle

    def create(self, new: NewKey, /) -> KeyInfo:
        return self._make(new, mechanisms.generate)

    def import_key(self, new: NewKey, material: bytes, /) -> KeyInfo:
        return self._make(new, mechanisms.import_material, material)

    def _make(self, new: NewKey, maker: Callable[..., mechanisms.Handles], *material: bytes) -> KeyInfo:
        self.calls += 1
        spec = SPECS[new.spec]
        if new.protection is Protection.SOFTWARE:
            raise UnsupportedError("a token's keys are protected by the token", hint="the software backend has others")
        if new.exportable:
            raise UnsupportedError(
                "a token's keys are never exportable", hint="the software backend makes exportable keys"
            )
        if not self._offer.algorithms(spec, new.usage):
            (first, *_) = spec.algorithms[new.usage]
            self._require(spec, choose(spec, new.usage, first))
        if new.alias is not None:
            with self._notes.change():  # A first look, before an expensive key is made; and the notes can be written.
                self._check_alias(new.alias)
        key_id = inventory.new_key_id(self._notes.now())
        key = self._keys.make(key_id, spec, new.usage, new.alias or "", maker, *material)
        note = Note(aliases=() if new.alias is None else (new.alias,), description=new.description, tags=dict(new.tags))
        try:
            with self._notes.change():
                if new.alias is not None:
                    self._check_alias(new.alias, key_id)
                self._notes.put(key_id, note)
        except BaseException:
            self._keys.destroy(key)
            raise
        return self._info(key, note)

    def _check_alias(self, alias: str, own_id: str = "~") -> None:
        """AlreadyExistsError if another key has the alias: as noted here, or on the token.

        Two machines may make keys of one alias at the same time; each looks again afterwards, and the older key stays.
        """
        holder = self._notes.holder(alias)
        if holder not in (None, own_id):
            if self._keys.find(str(holder)):
                raise refusals.alias_taken(alias)
            self._notes.drop(str(holder))  # It was destroyed elsewhere.
        for key_id in self._keys.labelled(alias):
            if key_id < own_id and self._notes.get(key_id) is None:
                raise refusals.alias_taken(alias)

    def rotate(self, key_id: str, /) -> KeyInfo:
        return self._change(key_id, self._rotated)

    def _rotated(self, key: TokenKey, note: Note) -> Note:
        refusals.require_state(self._info(key, note).state, KeyState.ENABLED)
        self._keys.add_version(key, int.from_bytes(os.urandom(4)))
        if note.rotation_seconds is None:
            return note
        return replace(note, next_rotation=self._notes.now() + note.rotation_seconds)

    def set_rotation(self, key_id: str, period: timedelta | None, /) -> KeyInfo:
        def changed(key: TokenKey, note: Note) -> Note:
            seconds = None if period is None else period.total_seconds()
            due = None if seconds is None else self._notes.now() + seconds
            return replace(note, rotation_seconds=seconds, next_rotation=due)

        return self._change(key_id, changed)

    def enable(self, key_id: str, /) -> KeyInfo:
        return self._change(key_id, lambda key, note: self._switched(key, note, True))

    def disable(self, key_id: str, /) -> KeyInfo:
        return self._change(key_id, lambda key, note: self._switched(key, note, False))

    def _switched(self, key: TokenKey, note: Note, on: bool) -> Note:
        refusals.require_state(self._info(key, note).state, KeyState.ENABLED, KeyState.DISABLED)
        self._keys.switch(key, on)
        return note

    def schedule_deletion(self, key_id: str, days: int, /) -> KeyInfo:
        def changed(key: TokenKey, note: Note) -> Note:
            refusals.require_state(self._info(key, note).state, KeyState.ENABLED, KeyState.DISABLED)
            due = self._notes.now() + timedelta(days=days).total_seconds()
            self._keys.switch(key, False)
            return replace(note, deletion_date=due, was_enabled=key.enabled)

        return self._change(key_id, changed)

    def cancel_deletion(self, key_id: str, /) -> KeyInfo:
        def changed(key: TokenKey, note: Note) -> Note:
            refusals.require_state(self._info(key, note).state, KeyState.PENDING_DELETION)
            if note.was_enabled:
                self._keys.switch(key, True)
            return replace(note, deletion_date=None)

        return self._change(key_id, changed)

    def add_alias(self, key_id: str, alias: str, /) -> KeyInfo:
        def changed(key: TokenKey, note: Note) -> Note:
            if alias in note.aliases:
                return note
            self._check_alias(alias, key.id)
            return self._named(key, replace(note, aliases=(*note.aliases, alias)))

        return self._change(key_id, changed)

    def remove_alias(self, key_id: str, alias: str, /) -> KeyInfo:
        def changed(key: TokenKey, note: Note) -> Note:
            if alias not in note.aliases:
                raise refusals.no_such_alias(alias)
            return self._named(key, replace(note, aliases=tuple(name for name in note.aliases if name != alias)))

        return self._change(key_id, changed)

    def _named(self, key: TokenKey, note: Note) -> Note:
        """Make the first alias the label of the key's objects."""
        label = note.aliases[0] if note.aliases else ""
        if label != key.label:
            self._keys.rename(key, label)
        return note

    def update(self, key_id: str, description: str | None, tags: Mapping[str, str] | None, /) -> KeyInfo:
        def changed(key: TokenKey, note: Note) -> Note:
            if description is not None:
                note = replace(note, description=description)
            return note if tags is None else replace(note, tags=dict(tags))

        return self._change(key_id, changed)

    def _change(self, key_id: str, work: Callable[[TokenKey, Note], Note]) -> KeyInfo:
        """One change of a key, on the token and in its note, which no other process of this machine gets between."""
        self.calls += 1
        with self._notes.change():
            key = self._keys.find(key_id) or self._gone(key_id)
            note = self._notes.get(key_id) or self._first_note(key)
            if key.enabled and note.deletion_date is not None:
                note = replace(note, deletion_date=None)  # Someone has enabled it on the token.
            try:
                note = work(key, note)
            finally:
                self._forget()
            self._notes.put(key_id, note)
            return self._info(self._keys.find(key_id) or self._gone(key_id), note)

    def purge(self) -> list[str]:
        """Destroy what is due and still disabled on the token; and public halves that a killed process left."""
        self.calls += 1
        purged = []
        with self._notes.change():
            if self._notes.now() < self._notes.last_time():
                raise ConfigurationError(
                    "the clock runs behind the last time that was noted for this token; nothing was destroyed",
                    hint="set the clock right, then purge",
                )
            self._keys.forget()
            for key_id in self._notes.due_deletions():
                key, note = self._keys.find(key_id), self._notes.get(key_id)
                if key is None or note is None:
                    self._notes.drop(key_id)
                elif any(material.enabled for material in key.materials):
                    self._notes.put(key_id, replace(note, deletion_date=None))  # Someone has enabled it on the token.
                else:
                    self._keys.destroy(key)
                    self._notes.drop(key_id)
                    purged.append(key_id)
            self._keys.sweep(self._notes.now())
        self._forget()
        return purged

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
        self._keys.forget()
        self._ready.pop(key.id, None)
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
        with self._notes.lock:
            key = self._keys.find(key_id) or self._gone(key_id)
            info = self._info(key, self._notes.get(key_id))
            if info.state is not KeyState.ENABLED:
                raise refusals.unusable(info.state)
            uses = self._uses[key.newest.version]
            made = ReadyKey(key_id, key.spec, self._keys.epoch, self._keys.public(key), monotonic(), uses)
            made.take(key)
            if len(self._ready) >= _READY_KEYS:
                del self._ready[next(iter(self._ready))]
            self._ready[key_id] = made
        return made

    def _gone(self, key_id: str) -> NoReturn:
        raise refusals.key_not_found(key_id)

    def _checked(self, key: ReadyKey) -> ReadyKey:
        """The key, whose state the token was asked for within the last second."""
        if monotonic() - key.checked <= self._fresh_seconds:
            return key
        self._ready.pop(key.id, None)
        return self._load(key.id)

    def _public(self, key: ReadyKey, algorithm: Algorithm | None = None) -> PublicKey:
        """The public half of a key that may be used, for an algorithm that the token has."""
        if algorithm is not None:
            self._require(key.spec, algorithm)
        public = self._checked(key).public
        if public is None:
            raise UnsupportedError(f"a {key.spec.name} key has no public half")
        return public

    def _require(self, spec: Spec, algorithm: Algorithm) -> None:
        """UnsupportedError if the token does not have an algorithm."""
        if reason := self._offer.why_no_algorithm(spec, algorithm):
            raise UnsupportedError(f"{algorithm.name}: {reason}", hint="kms.capabilities() shows what is there")

    def _use(self, key: ReadyKey, work: Callable[..., bytes], *arguments: Any) -> bytes:
        """What `work` returns for a session, the key and the arguments; done once more after what can be mended."""
        problem: CryptokiError
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
            key = self._load_anew(key)
        raise faults.translate(problem)

    def _load_anew(self, key: ReadyKey) -> ReadyKey:
        """Read the key again; KeyStateError or KeyNotFoundError if that is what the token refused it for."""
        self._ready.pop(key.id, None)
        return self._load(key.id)

    def _recover(self, session: Session, key: ReadyKey, problem: CryptokiError) -> None:
        """Judge a decryption that failed; else see that sessions and login are well before it is tried again."""
        well = self._sessions.answers(session)
        self._sessions.discard(session)
        if isinstance(problem, VerdictError) and well:
            with self._notes.lock:
                if self._keys.find(key.id):
                    raise refusals.unopened()
        if not well:
            self._sessions.renew(session.epoch)

    # Freshness

    def _renew(self) -> None:
        """See what other processes have noted, and carry out the rotations that are due."""
        with self._notes.lock:
            if self._notes.changed_elsewhere():
                self._forget()
                self._keys.forget()
            if self._notes.now() >= self._next_rotation:
                for key_id in self._notes.due_rotations():
                    with suppress(KmsError):  # A token that cannot do it now is no reason to refuse another use.
                        self._rotate_if_due(key_id)
                self._next_rotation = self._notes.next_rotation()
            self._fresh_until = monotonic() + self._fresh_seconds

    def _rotate_if_due(self, key_id: str) -> None:
        with self._notes.change():
            key, note = self._keys.find(key_id), self._notes.get(key_id)
            if key is None:
                self._notes.drop(key_id)
            elif note and note.next_rotation is not None and note.next_rotation <= self._notes.now():
                if key.enabled:
                    self._notes.put(key_id, self._rotated(key, note))
                else:
                    self._notes.wait_for_change(key_id)
        self._forget()

    def _forget(self) -> None:
        """Make keys ready anew, after a change by anyone."""
        self._ready.clear()
        self._next_rotation = 0.0


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _notes_file(location: Location, identity: bytes) -> Path:
    """Beside a configuration of the user's own; else in the user's data folder. One file a token."""
    name = hashlib.sha256(identity + (location.reserved or "").encode()).hexdigest()[:32] + ".db"
    if location.configuration is not None:
        return Path(location.configuration).parent / f"notes-{name}"
    return platformdirs.user_data_path("kmskit") / "tokens" / name
