"""All records: read from memory, changed in transactions that are on the disk before anyone sees them.

A change is prepared as a whole, written in one SQLite transaction, and only then shown to readers. So a process that is
killed leaves either all of it or nothing, and an answer that was sent never promises what a restart would lose.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import TypeVar, cast

from kmskit.backends.database import Database, Form
from kmskit.emulator.state import records
from kmskit.emulator.state.records import Key, KeyVersion, Record

__all__ = ["Change", "State"]

_FORM = Form(
    "emulator's state",
    0x6B6D7365,  # "kmse"
    1,
    "CREATE TABLE records (kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)) STRICT",
)
_KINDS: dict[str, type[Record]] = {
    value.kind: value
    for value in vars(records).values()
    if isinstance(value, type) and issubclass(value, Record) and value is not Record
}
_Kind = TypeVar("_Kind", bound=Record)


class Change:
    """What one transaction puts and drops."""

    def __init__(self) -> None:
        self.puts: dict[tuple[str, str], Record] = {}
        self.drops: dict[tuple[str, str], None] = {}

    def put(self, record: Record) -> None:
        self.puts[record.kind, record.id] = record
        self.drops.pop((record.kind, record.id), None)

    def drop(self, record: Record) -> None:
        self.drops[record.kind, record.id] = None
        self.puts.pop((record.kind, record.id), None)


class State:
    """Records by kind and id. Reading takes no lock; an action that changes something holds `lock` throughout."""

    def __init__(self, path: Path | None) -> None:
        """None: a state that is gone when the process ends."""
        self.lock = RLock()
        self._database = Database(path, _FORM)
        self._records: defaultdict[str, dict[str, Record]] = defaultdict(dict)
        self._versions: defaultdict[str, tuple[KeyVersion, ...]] = defaultdict(tuple)
        try:
            self._database.establish(lambda connection: None)
            self._database.use_wal()
            for kind, _, body in self._database.read("SELECT kind, id, body FROM records ORDER BY rowid"):
                self._show(_KINDS[kind].from_json(body))
        except (KeyError, TypeError, ValueError):
            self._database.close()
            raise self._database.damaged() from None
        except BaseException:
            self._database.close()
            raise

    def get(self, kind: type[_Kind], record_id: str) -> _Kind | None:
        return cast("_Kind | None", self._records[kind.kind].get(record_id))

    def all(self, kind: type[_Kind]) -> list[_Kind]:
        """In the order in which they were made."""
        return cast("list[_Kind]", list(self._records[kind.kind].values()))

    def versions(self, key: Key) -> tuple[KeyVersion, ...]:
        """A key's versions, oldest first."""
        return self._versions[key.id]

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Collect puts and drops; they hold together at the end of the block, or not at all."""
        with self.lock:
            change = Change()
            yield change
            if change.puts or change.drops:
                with self._database.write() as connection:
                    _write(connection, change)
                for kind, record_id in change.drops:
                    self._hide(kind, record_id)
                for record in change.puts.values():
                    self._show(record)

    def put(self, record: Record) -> None:
        """A change of one record."""
        with self.change() as change:
            change.put(record)

    def _show(self, record: Record) -> None:
        new = record.id not in self._records[record.kind]
        self._records[record.kind][record.id] = record
        if new and isinstance(record, KeyVersion):
            self._versions[record.key] += (record,)

    def _hide(self, kind: str, record_id: str) -> None:
        gone = self._records[kind].pop(record_id, None)
        if isinstance(gone, KeyVersion):
            self._versions[gone.key] = tuple(each for each in self._versions[gone.key] if each.id != gone.id)

    def close(self) -> None:
        self._database.close()


def _write(connection: sqlite3.Connection, change: Change) -> None:
    connection.executemany("DELETE FROM records WHERE kind = ? AND id = ?", list(change.drops))
    connection.executemany(
        "INSERT INTO records VALUES (?1, ?2, ?3) ON CONFLICT (kind, id) DO UPDATE SET body = ?3",
        [(record.kind, record.id, record.to_json()) for record in change.puts.values()],
    )
