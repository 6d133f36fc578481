"""What a token has no place for: aliases beyond the first, descriptions, tags, rotation periods and deletion dates.

The token is the truth about keys, versions and whether they are disabled. These notes lie beside it in an SQLite file
of this machine; without them a key is found by its id or label and works. Another machine has notes of its own, so
nothing is destroyed by a note alone: `purge` looks at the token.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from threading import RLock

from kmskit import refusals
from kmskit.backends.database import Database, Form, translated

__all__ = ["Note", "Notes"]

_FORM = Form(
    "file of notes about the token's keys",
    0x6B6D736E,  # "kmsn"
    1,
    """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE notes (
    key TEXT PRIMARY KEY,
    content TEXT NOT NULL,
    next_rotation REAL,
    deletion_date REAL
) STRICT, WITHOUT ROWID;
CREATE TABLE aliases (alias TEXT PRIMARY KEY, key TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_by_key ON aliases (key);
""",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What is noted of one key. Times are seconds since 1970.

    Attributes:
        was_enabled: the state to which a scheduled deletion that is cancelled goes back.
        imported: whether the key came from outside; None where it was not made through these notes.
    """

    aliases: tuple[str, ...] = ()
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    rotation_seconds: float | None = None
    next_rotation: float | None = None
    deletion_date: float | None = None
    was_enabled: bool = True
    imported: bool | None = None


class Notes:
    """The notes of one token. Their file is made by the first change.

    Attributes:
        lock: held during a change. Whoever has a session of the token does not wait for it.
    """

    def __init__(self, path: Path, clock: Callable[[], float | datetime]) -> None:
        self._path = path
        self._clock = clock
        self.lock = RLock()
        self._lasting = False
        self._database = self._open(None)
        self._look()

    def _open(self, path: Path | None) -> Database:
        database = Database(path, _FORM, self.lock)
        try:
            database.establish(lambda new: new.execute("INSERT INTO settings VALUES ('last_time', '0')"))
            database.use_wal()
        except BaseException:
            database.close()
            raise
        return database

    def _look(self, *, make: bool = False) -> None:
        """Take the file instead of memory, once it is there; make it for a change."""
        if self._lasting:
            return
        with self.lock:
            if make:
                with translated(_FORM.name):
                    self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if make or os.path.exists(self._path):  # False as well where this user may not look.
                empty, self._database = self._database, self._open(self._path)
                self._lasting = True
                empty.close()

    def close(self) -> None:
        self._database.close()

    def now(self) -> float:
        """Seconds since 1970, by the clock of this backend."""
        moment = self._clock()
        return moment.timestamp() if isinstance(moment, datetime) else float(moment)

    def changed_elsewhere(self) -> bool:
        """Whether another connection has changed the notes since the last call."""
        self._look()
        return self._database.changed_elsewhere()

    # Reading

    def get(self, key_id: str) -> Note | None:
        self._look()
        for (content,) in self._database.read("SELECT content FROM notes WHERE key = ?", key_id):
            return self._parsed(content)
        return None

    def all(self) -> dict[str, Note]:
        self._look()
        rows = self._database.read("SELECT key, content FROM notes")
        return {key_id: self._parsed(content) for key_id, content in rows}

    def holder(self, alias: str) -> str | None:
        """The id of the key that has an alias."""
        self._look()
        with suppress(UnicodeEncodeError):  # No key is named by text that cannot be stored.
            for (key_id,) in self._database.read("SELECT key FROM aliases WHERE alias = ?", alias):
                return str(key_id)
        return None

    def due_rotations(self) -> list[str]:
        rows = self._database.read("SELECT key FROM notes WHERE next_rotation <= ?", self.now())
        return [key_id for (key_id,) in rows]

    def next_rotation(self) -> float:
        """When the next key is due for rotation; infinity if none ever is."""
        ((due,),) = self._database.read("SELECT min(next_rotation) FROM notes")
        return float("inf") if due is None else due

    def due_deletions(self) -> list[str]:
        self._look()
        rows = self._database.read("SELECT key FROM notes WHERE deletion_date <= ? ORDER BY key", self.now())
        return [key_id for (key_id,) in rows]

    def last_time(self) -> float:
        """The latest time at which a change was noted."""
        ((value,),) = self._database.read("SELECT value FROM settings WHERE name = 'last_time'") or [("",)]
        with suppress(ValueError):
            return float(value)
        raise self._database.damaged()

    def _parsed(self, content: str) -> Note:
        with suppress(ValueError, TypeError, KeyError):
            values = json.loads(content)
            values["aliases"] = tuple(values["aliases"])
            return Note(**values)
        raise self._database.damaged()

    # Writing

    @contextmanager
    def change(self) -> Iterator[None]:
        """A transaction around the changes in the block. It keeps other processes of this machine out of theirs."""
        self._look(make=True)
        with self.lock, self._database.write() as connection:
            yield
            now = self.now()
            connection.execute(
                "UPDATE settings SET value = ? WHERE name = 'last_time' AND CAST(value AS REAL) < ?", (repr(now), now)
            )

    def put(self, key_id: str, note: Note) -> None:
        """Replace a key's note. AlreadyExistsError if another key has one of the aliases."""
        for alias in note.aliases:
            if self.holder(alias) not in (None, key_id):
                raise refusals.alias_taken(alias)
        self._database.read("DELETE FROM aliases WHERE key = ?", key_id)
        for alias in note.aliases:
            self._database.read("INSERT INTO aliases (alias, key) VALUES (?, ?)", alias, key_id)
        content = json.dumps({**asdict(note), "tags": dict(note.tags)}, ensure_ascii=False)
        self._database.read(
            "INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?)", key_id, content, note.next_rotation, note.deletion_date
        )

    def wait_for_change(self, key_id: str) -> None:
        """Look for a due rotation of this key again only after its next change: it is disabled."""
        self._database.read("UPDATE notes SET next_rotation = NULL WHERE key = ?", key_id)

    def drop(self, key_id: str) -> None:
        """Forget a key that is no longer on the token."""
        self._database.read("DELETE FROM aliases WHERE key = ?", key_id)
        self._database.read("DELETE FROM notes WHERE key = ?", key_id)
