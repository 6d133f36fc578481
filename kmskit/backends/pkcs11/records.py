"""Keys as users see them: what the token shows of each, together with what is noted of it here.

The token decides. A note says more about a key that is there, and one about a key that is gone says nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import NoReturn

from kmskit import refusals
from kmskit.algorithms import SPECS
from kmskit.backend import NewKey
from kmskit.backends.pkcs11 import inventory
from kmskit.backends.pkcs11.inventory import TokenKey
from kmskit.backends.pkcs11.keys import Maker, TokenKeys
from kmskit.backends.pkcs11.notes import Note, Notes
from kmskit.ciphertext import version_name
from kmskit.errors import ConfigurationError
from kmskit.names import is_key_id
from kmskit.types import KeyFilter, KeyInfo, KeyState, Origin, Protection

__all__ = ["Records"]


class Records:
    """The keys of a token, and the changes that can be made to them.

    A change is made under the lock, and in a transaction of the notes, so that no other process of this machine gets in
    between; it answers with the key as it is afterwards.

    Attributes:
        lock: held while what is known of keys is read or changed. Whoever has a session does not wait for it.
    """

    def __init__(self, keys: TokenKeys, notes: Notes) -> None:
        self._keys = keys
        self._notes = notes
        self.lock = notes.lock
        self.now = notes.now
        self.next_rotation = notes.next_rotation

    def close(self) -> None:
        self._notes.close()

    def changed_elsewhere(self) -> bool:
        """Whether another process of this machine has changed something since the last call."""
        return self._notes.changed_elsewhere()  # A key's flags are read again at its next use in any case.

    def forget(self) -> None:
        """Read all keys anew at their next use."""
        with self.lock:
            self._keys.forget()

    # Reading

    def find(self, id_or_alias: str) -> KeyInfo:
        """The key with an id or alias: as it is noted here, else as its label says. KeyNotFoundError."""
        with self.lock:
            for key_id in filter(None, (self._notes.holder(id_or_alias), _id(id_or_alias))):
                if key := self._keys.find(key_id):
                    return self._info(key, self._notes.get(key.id))
            if id_or_alias and not any("\ud800" <= character <= "\udfff" for character in id_or_alias):
                for key_id in self._keys.labelled(id_or_alias):
                    if self._notes.get(key_id) is None and (key := self._keys.find(key_id)):
                        return self._info(key, None)
            return _gone(id_or_alias)

    def usable(self, key_id: str) -> TokenKey:
        """A key as the token shows it; KeyStateError if it is not enabled, KeyNotFoundError if it is not there."""
        key = self._keys.find(key_id) or _gone(key_id)
        if not key.enabled:
            raise refusals.unusable(self._info(key, self._notes.get(key_id)).state)
        return key

    def matching(self, wanted: KeyFilter) -> Iterator[KeyInfo]:
        """Matching keys in the order they were made."""
        with self.lock:
            keys, notes = self._keys.scan(), self._notes.all()
        for key in keys.values():
            info = self._info(key, notes.get(key.id))
            if wanted.matches(info):
                yield info

    def key_of_version(self, version: int) -> str | None:
        with self.lock:
            return self._keys.of_version(version)

    def _info(self, key: TokenKey, note: Note | None) -> KeyInfo:
        note = note or self._first_note(key)
        state = _state(key, note)
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
            origin=Origin.IMPORTED
            if note.imported or (note.imported is None and not key.generated)
            else Origin.GENERATED,
            rotation_period=None if note.rotation_seconds is None else timedelta(seconds=note.rotation_seconds),
            next_rotation=_moment(note.next_rotation),
            deletion_date=_moment(note.deletion_date) if state is KeyState.PENDING_DELETION else None,
        )

    def _first_note(self, key: TokenKey) -> Note:
        """What is known of a key that was never noted here: its label is its alias, unless another key has that."""
        free = key.label and self._notes.holder(key.label) in (None, key.id)
        return Note(aliases=(key.label,) if free else ())

    # Changing

    def insert(self, new: NewKey, maker: Maker, *material: bytes) -> KeyInfo:
        """A new key, by one of the functions of `mechanisms`; AlreadyExistsError if the alias is taken."""
        aliases = () if new.alias is None else (new.alias,)
        with self._notes.change():  # A first look, before an expensive key is made; and the notes can be written.
            for alias in aliases:
                self._check_alias(alias)
        key_id = inventory.new_key_id(self.now())
        key = self._keys.make(key_id, SPECS[new.spec], new.usage, new.alias or "", maker, *material)
        note = Note(aliases=aliases, description=new.description, tags=dict(new.tags), imported=bool(material))
        try:
            with self._notes.change():
                for alias in aliases:
                    self._check_alias(alias, key_id, only_older=True)
                self._notes.put(key_id, note)
        except BaseException:
            self._keys.destroy(key)
            raise
        return self._info(key, note)

    def _check_alias(self, alias: str, own_id: str = "", *, only_older: bool = False) -> None:
        """AlreadyExistsError if another key has an alias, as noted here or on the token.

        Args:
            own_id: the key that is to have it.
            only_older: of two keys that two machines make at the same time, each looks again afterwards, and the older
                one stays.
        """
        holder = self._notes.holder(alias)
        if holder not in (None, own_id):
            if self._keys.find(str(holder)):
                raise refusals.alias_taken(alias)
            self._notes.drop(str(holder))  # It was destroyed elsewhere.
        for key_id in self._keys.labelled(alias):
            other = key_id < own_id if only_older else key_id != own_id
            # A process that was killed may have left a label on what is no key.
            if other and self._notes.get(key_id) is None and self._keys.find(key_id):
                raise refusals.alias_taken(alias)

    def rotate(self, key_id: str) -> KeyInfo:
        return self._change(key_id, self._rotated)

    def rotate_due(self) -> None:
        """Carry out the rotations that are due."""
        for key_id in self._notes.due_rotations():
            with self._notes.change():
                key, note = self._keys.find(key_id), self._notes.get(key_id)
                if key is None:
                    self._notes.drop(key_id)
                elif note and note.next_rotation is not None and note.next_rotation <= self.now():
                    # Another process may have rotated it meanwhile, and a key that is disabled waits.
                    if key.enabled:
                        self._notes.put(key_id, self._rotated(key, note))
                    else:
                        self._notes.wait_for_change(key_id)

    def _rotated(self, key: TokenKey, note: Note) -> Note:
        refusals.require_state(_state(key, note), KeyState.ENABLED)
        self._keys.add_version(key, int.from_bytes(os.urandom(4)))
        if note.rotation_seconds is None:
            return note
        return replace(note, next_rotation=self._notes.now() + note.rotation_seconds)

    def set_rotation(self, key_id: str, period: timedelta | None) -> KeyInfo:
        def changed(key: TokenKey, note: Note) -> Note:
            seconds = None if period is None else period.total_seconds()
            due = None if seconds is None else self._notes.now() + seconds
            return replace(note, rotation_seconds=seconds, next_rotation=due)

        return self._change(key_id, changed)

    def set_state(self, key_id: str, state: KeyState) -> KeyInfo:
        """Enable or disable; KeyStateError while a deletion is scheduled."""

        def changed(key: TokenKey, note: Note) -> Note:
            refusals.require_state(_state(key, note), KeyState.ENABLED, KeyState.DISABLED)
            self._keys.switch(key, state is KeyState.ENABLED)
            return note

        return self._change(key_id, changed)

    def schedule_deletion(self, key_id: str, days: int) -> KeyInfo:
        def changed(key: TokenKey, note: Note) -> Note:
            refusals.require_state(_state(key, note), KeyState.ENABLED, KeyState.DISABLED)
            due, was_enabled = self._notes.now() + timedelta(days=days).total_seconds(), key.enabled
            self._keys.switch(key, False)
            return replace(note, deletion_date=due, was_enabled=was_enabled)

        return self._change(key_id, changed)

    def cancel_deletion(self, key_id: str) -> KeyInfo:
        def changed(key: TokenKey, note: Note) -> Note:
            refusals.require_state(_state(key, note), KeyState.PENDING_DELETION)
            if note.was_enabled:
                self._keys.switch(key, True)
            return replace(note, deletion_date=None)

        return self._change(key_id, changed)

    def add_alias(self, key_id: str, alias: str) -> KeyInfo:
        def changed(key: TokenKey, note: Note) -> Note:
            if alias in note.aliases:
                return note
            self._check_alias(alias, key.id)
            return self._named(key, replace(note, aliases=(*note.aliases, alias)))

        return self._change(key_id, changed)

    def remove_alias(self, key_id: str, alias: str) -> KeyInfo:
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

    def update(self, key_id: str, description: str | None, tags: Mapping[str, str] | None) -> KeyInfo:
        def changed(key: TokenKey, note: Note) -> Note:
            if description is not None:
                note = replace(note, description=description)
            return note if tags is None else replace(note, tags=dict(tags))

        return self._change(key_id, changed)

    def _change(self, key_id: str, work: Callable[[TokenKey, Note], Note]) -> KeyInfo:
        with self._notes.change():
            key = self._keys.find(key_id) or _gone(key_id)
            note = self._notes.get(key_id) or self._first_note(key)
            if key.enabled and note.deletion_date is not None:
                note = replace(note, deletion_date=None)  # Someone has enabled it on the token.
            note = work(key, note)
            self._notes.put(key_id, note)
            return self._info(self._keys.find(key_id) or _gone(key_id), note)

    def purge(self) -> list[str]:
        """Destroy what is due and still disabled on the token; and what a killed process left unfinished."""
        purged = []
        with self._notes.change():
            if self.now() < self._notes.last_time():
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
            self._keys.sweep(self.now())
        return purged


def _id(name: str) -> str | None:
    return name.lower() if is_key_id(name) else None


def _gone(id_or_alias: str) -> NoReturn:
    raise refusals.key_not_found(id_or_alias)


def _state(key: TokenKey, note: Note) -> KeyState:
    if key.enabled:
        return KeyState.ENABLED
    return KeyState.DISABLED if note.deletion_date is None else KeyState.PENDING_DELETION


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
