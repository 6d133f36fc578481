"""The key store: keys, versions, aliases and tags as rows, and key material that is wrapped under the store key.

Material is stored as iv 12 | ciphertext | tag 16, AES-256-GCM under the store key. Its associated data are the
canonical bytes (as of a context) of key id, version, spec, usage, origin and exportable: a row whose facts were
changed, or whose material was moved to another row, does not open. Aliases, tags, states and dates are not
authenticated; SECURITY.md says what someone who can write the file can do with them.
"""

from __future__ import annotations

import os
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kmskit import refusals
from kmskit.backend import NewKey
from kmskit.backends.database import Database
from kmskit.backends.software.protection import Protection
from kmskit.backends.software.rows import FORM, SELECT, condition, key_info, moment
from kmskit.ciphertext import version_name
from kmskit.context import canonical
from kmskit.errors import ConfigurationError, KmsWarning
from kmskit.types import KeyFilter, KeyInfo, KeyState, Origin

__all__ = ["Store"]

_PAGE = 500


class Store:
    """A key store in a file, or in memory."""

    def __init__(self, path: Path | None, protection: Protection, clock: Callable[[], float | datetime]) -> None:
        self._clock = clock
        self._database = Database(path, FORM)
        try:
            store_key = self._open_or_create(protection)
        except BaseException:
            self._database.close()
            raise
        self._wrapper = AESGCM(store_key)
        self.lock = self._database.lock
        self.changed_elsewhere = self._database.changed_elsewhere
        self.close = self._database.close

    def _open_or_create(self, protection: Protection) -> bytes:
        """The store key."""
        new: list[bytes] = []

        def fill(connection: sqlite3.Connection) -> None:
            store_key, record = protection.create()
            new.append(store_key)
            connection.execute("INSERT INTO store VALUES ('protection', ?), ('last_time', '0')", (record,))

        made = self._database.establish(fill)
        store_key = new[0] if made else protection.unlock(self._setting("protection"))
        self._database.use_wal()  # Not before it is known that the file is ours and can be opened.
        return store_key

    def now(self) -> float:
        """Seconds since 1970, by the store's clock."""
        moment = self._clock()
        return moment.timestamp() if isinstance(moment, datetime) else float(moment)

    def last_time(self) -> float:
        """The latest time at which a change was recorded."""
        with suppress(ValueError):
            return float(self._setting("last_time"))
        raise self._database.damaged()

    def _setting(self, name: str) -> str:
        for (value,) in self._database.read("SELECT value FROM store WHERE name = ?", name):
            return str(value)
        raise self._database.damaged()

    # Reading

    def find(self, id_or_alias: str) -> KeyInfo:
        """KeyNotFoundError if there is none."""
        sql = f"{SELECT} WHERE id = ?1 OR id = (SELECT key FROM aliases WHERE alias = ?1)"
        with suppress(UnicodeEncodeError):  # No key is named by text that cannot be stored.
            for row in self._database.read(sql, id_or_alias):
                return key_info(row)
        raise refusals.key_not_found(id_or_alias)

    def matching(self, wanted: KeyFilter) -> Iterator[KeyInfo]:
        """Matching keys in the order they were made. A page at a time, so keys may come and go meanwhile."""
        where, parameters = condition(wanted)
        last = 0
        while True:
            rows = self._database.read(f"{SELECT} {where} ORDER BY number LIMIT {_PAGE}", last, *parameters)
            yield from map(key_info, rows)
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]

    def key_of_version(self, version: int) -> str | None:
        rows = self._database.read("SELECT key FROM versions WHERE id = ?", version)
        return rows[0][0] if rows else None

    def next_rotation(self) -> float:
        """When the next key is due for rotation; infinity if none ever is."""
        sql = "SELECT min(next_rotation) FROM keys WHERE next_rotation IS NOT NULL AND state = 'ENABLED'"
        ((due,),) = self._database.read(sql)
        return float("inf") if due is None else due

    def due_for_rotation(self) -> list[KeyInfo]:
        rows = self._database.read(f"{SELECT} WHERE next_rotation <= ? AND state = 'ENABLED'", self.now())
        return [key_info(row) for row in rows]

    def materials(self, info: KeyInfo) -> dict[int, bytes]:
        """Version -> unwrapped material, oldest first; ConfigurationError if a row was damaged or forged."""
        rows = self._database.read("SELECT id, material FROM versions WHERE key = ? ORDER BY position", info.id)
        with suppress(InvalidTag, ValueError, TypeError):  # TypeError: damage can make a number of a blob.
            materials = {
                version: self._wrapper.decrypt(wrapped[:12], wrapped[12:], _bound(info, version))
                for version, wrapped in rows
            }
            if int(info.primary_version, 16) in materials:
                return materials
        raise ConfigurationError(
            "the stored material of this key is damaged, or its row was changed by someone else",
            hint="restore the store from a backup; other keys are not affected",
        )

    # Writing: one transaction each, which answers with the key as it is afterwards.

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """A transaction that also records the time, so that `purge` can tell a clock that was set back."""
        with self._database.write() as connection:
            yield connection
            now = self.now()
            connection.execute(
                "UPDATE store SET value = ? WHERE name = 'last_time' AND CAST(value AS REAL) < ?", (repr(now), now)
            )

    def _update(self, key_id: str, columns: str, *parameters: object) -> None:
        self._database.read(f"UPDATE keys SET {columns} WHERE id = ?", *parameters, key_id)

    def insert(self, new: NewKey, material: bytes, origin: Origin) -> KeyInfo:
        """AlreadyExistsError if the alias is taken."""
        key_id, created = str(uuid4()), self.now()
        with self._change() as connection:
            version = _new_version(connection)
            info = KeyInfo(
                id=key_id,
                spec=new.spec,
                usage=new.usage,
                state=KeyState.ENABLED,
                versions=(version_name(version),),
                primary_version=version_name(version),
                created=moment(created),
                aliases=() if new.alias is None else (new.alias,),
                description=new.description,
                tags=new.tags,
                origin=origin,
                exportable=new.exportable,
            )
            connection.execute(
                "INSERT INTO keys (id, spec, usage, state, origin, exportable, description, created, primary_version)"
                " VALUES (?, ?, ?, 'ENABLED', ?, ?, ?, ?, ?)",
                (key_id, new.spec, new.usage, origin, new.exportable, new.description, created, version),
            )
            self._insert_version(connection, info, version, material)
            if new.alias is not None:
                _insert_alias(connection, key_id, new.alias)
            _insert_tags(connection, key_id, new.tags)
        return info

    def _insert_version(self, connection: sqlite3.Connection, info: KeyInfo, version: int, material: bytes) -> None:
        iv = os.urandom(12)
        connection.execute(
            "INSERT INTO versions SELECT ?1, ?2, count(*), ?3, ?4 FROM versions WHERE key = ?2",
            (version, info.id, self.now(), iv + self._wrapper.encrypt(iv, material, _bound(info, version))),
        )

    def rotate(self, key_id: str, material: bytes, *, only_if_due: bool = False) -> KeyInfo:
        """Make `material` the primary version, and count the rotation period from now."""
        with self._change() as connection:
            info = self.find(key_id)
            due = info.next_rotation is not None and info.next_rotation.timestamp() <= self.now()
            if due or not only_if_due:  # Another process may have rotated a due key meanwhile.
                refusals.require_state(info.state, KeyState.ENABLED)
                version = _new_version(connection)
                self._insert_version(connection, info, version, material)
                self._update(key_id, "primary_version = ?, next_rotation = ? + rotation_seconds", version, self.now())
            return self.find(key_id)

    def set_rotation(self, key_id: str, period: timedelta | None) -> KeyInfo:
        with self._change():
            self.find(key_id)
            seconds = None if period is None else period.total_seconds()
            due = None if seconds is None else self.now() + seconds
            self._update(key_id, "rotation_seconds = ?, next_rotation = ?", seconds, due)
            return self.find(key_id)

    def set_state(self, key_id: str, state: Literal[KeyState.ENABLED, KeyState.DISABLED]) -> KeyInfo:
        """Enable or disable; KeyStateError while a deletion is scheduled."""
        with self._change():
            refusals.require_state(self.find(key_id).state, KeyState.ENABLED, KeyState.DISABLED)
            self._update(key_id, "state = ?", state)
            return self.find(key_id)

    def schedule_deletion(self, key_id: str, days: int) -> KeyInfo:
        with self._change():
            refusals.require_state(self.find(key_id).state, KeyState.ENABLED, KeyState.DISABLED)
            due = self.now() + timedelta(days=days).total_seconds()
            self._update(key_id, "state_before = state, state = 'PENDING_DELETION', deletion_date = ?", due)
            return self.find(key_id)

    def cancel_deletion(self, key_id: str) -> KeyInfo:
        """Back to the state before. That works until the key is purged, also when it is due: nothing is lost by it."""
        with self._change():
            refusals.require_state(self.find(key_id).state, KeyState.PENDING_DELETION)
            self._update(key_id, "state = state_before, state_before = NULL, deletion_date = NULL")
            return self.find(key_id)

    def add_alias(self, key_id: str, alias: str) -> KeyInfo:
        """AlreadyExistsError if another key has it; nothing to do if this one has."""
        with self._change() as connection:
            if alias not in self.find(key_id).aliases:
                _insert_alias(connection, key_id, alias)
            return self.find(key_id)

    def remove_alias(self, key_id: str, alias: str) -> KeyInfo:
        """KeyNotFoundError if the key has no such alias."""
        with self._change() as connection:
            if alias not in self.find(key_id).aliases:
                raise refusals.no_such_alias(alias)
            connection.execute("DELETE FROM aliases WHERE alias = ?", (alias,))
            return self.find(key_id)

    def update(self, key_id: str, description: str | None, tags: Mapping[str, str] | None) -> KeyInfo:
        with self._change() as connection:
            self.find(key_id)
            if description is not None:
                self._update(key_id, "description = ?", description)
            if tags is not None:
                connection.execute("DELETE FROM tags WHERE key = ?", (key_id,))
                _insert_tags(connection, key_id, tags)
            return self.find(key_id)

    def check_alias_is_free(self, alias: str) -> None:
        """AlreadyExistsError. A first look, before an expensive key is generated; the insertion decides."""
        if self._database.read("SELECT 1 FROM aliases WHERE alias = ?", alias):
            raise refusals.alias_taken(alias)

    def purge(self) -> list[str]:
        """Delete the keys that are due, and empty the write-ahead log, where their rows would still be."""
        with self._change() as connection:
            now = self.now()
            if now < self.last_time():
                raise ConfigurationError(
                    "the clock runs behind the last time this key store recorded; nothing was destroyed",
                    hint="set the clock right, then purge",
                )
            due = "state = 'PENDING_DELETION' AND deletion_date <= ?"
            ids = [
                key_id for (key_id,) in connection.execute(f"SELECT id FROM keys WHERE {due} ORDER BY number", (now,))
            ]
            connection.execute(f"DELETE FROM keys WHERE {due}", (now,))
        # Also with nothing due, since the last purge may have found someone reading.
        ((busy, _, _),) = self._database.read("PRAGMA wal_checkpoint(TRUNCATE)")
        if busy:
            warnings.warn(
                "another process is reading the key store, so its log still holds what was purged: purge again",
                KmsWarning,
                stacklevel=6,
            )
        return ids


def _insert_alias(connection: sqlite3.Connection, key_id: str, alias: str) -> None:
    if connection.execute("SELECT 1 FROM aliases WHERE alias = ?", (alias,)).fetchone() is not None:
        raise refusals.alias_taken(alias)
    connection.execute("INSERT INTO aliases (alias, key) VALUES (?, ?)", (alias, key_id))


def _insert_tags(connection: sqlite3.Connection, key_id: str, tags: Mapping[str, str]) -> None:
    connection.executemany("INSERT INTO tags VALUES (?, ?, ?)", [(key_id, name, value) for name, value in tags.items()])


def _new_version(connection: sqlite3.Connection) -> int:
    """A random version id that this store does not have. Random, so that ids of two stores rarely meet."""
    while True:
        version = int.from_bytes(os.urandom(4))
        if connection.execute("SELECT 1 FROM versions WHERE id = ?", (version,)).fetchone() is None:
            return version


def _bound(info: KeyInfo, version: int) -> bytes:
    return canonical(
        {
            "key": info.id,
            "version": version_name(version),
            "spec": info.spec,
            "usage": info.usage,
            "origin": info.origin,
            "exportable": str(int(info.exportable)),
        }
    )
