"""One SQLite file: opening, transactions, forks, and the translation of SQLite's errors."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from time import monotonic, sleep
from typing import Any
from weakref import WeakSet

from kmskit.errors import ConfigurationError, KmsError, ServiceUnavailableError

__all__ = ["Database"]

APPLICATION_ID = 0x6B6D736B  # "kmsk": the mark by which SQLite files tell whose they are.
_BUSY_SECONDS = 5.0
_AWAY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
# Our statements are right, so a missing table, a broken constraint or text that is not UTF-8 (which has no code) is the
# fault of the file.
_DAMAGED = (
    0,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
)
_REFUSED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)


class Database:
    """A connection for all threads of a process, one at a time.

    Every change is one transaction that is on the disk when it returns (WAL, synchronous=FULL), deleted rows are
    overwritten (secure_delete), and no connection is carried across a fork.
    """

    def __init__(self, path: Path | None) -> None:
        """Open the file; make it, empty and with mode 0600, if it is not there. None: a database in memory."""
        self._path = path
        self.lock = RLock()
        if path is not None:
            with translated(), suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        self._connection: sqlite3.Connection | None = self._open()
        self._closed = False
        self._seen_version = 0
        _databases.add(self)

    def _open(self) -> sqlite3.Connection:
        name = ":memory:" if self._path is None else self._path.as_uri() + "?mode=rw"
        with translated():
            connection = sqlite3.connect(
                name, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                for pragma in ("synchronous=FULL", "secure_delete=ON", "foreign_keys=ON", "trusted_schema=OFF"):
                    connection.execute(f"PRAGMA {pragma}")
            except BaseException:
                connection.close()
                raise
        return connection

    def use_wal(self) -> None:
        """Let readers and one writer work side by side. The setting stays in the file."""
        end = monotonic() + _BUSY_SECONDS
        while self._path is not None:
            try:
                self.read("PRAGMA journal_mode=WAL")
                return
            except (
                ServiceUnavailableError
            ) as error:  # The one statement for which SQLite does not wait for a lock itself.
                if error.code != "SQLITE_BUSY" or monotonic() > end:
                    raise
            sleep(0.01)

    def _connected(self) -> sqlite3.Connection:
        if self._closed:
            raise ConfigurationError("this key store is closed", hint="connect again")
        if self._connection is None:  # At the first use after a fork.
            self._connection = self._open()
        return self._connection

    def read(self, sql: str, *parameters: Any) -> list[Any]:
        """All rows of a query."""
        with self.lock, translated():
            return self._connected().execute(sql, parameters).fetchall()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed at the end of the block, taken back by any exception."""
        with self.lock, translated():
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # A full disk has rolled back by itself already.
                    connection.execute("ROLLBACK")
                raise

    def changed_elsewhere(self) -> bool:
        """Whether another connection, in this process or another, has committed since the last call."""
        ((version,),) = self.read("PRAGMA data_version")
        changed = version != self._seen_version
        self._seen_version = version
        return bool(changed)

    def close(self) -> None:
        with self.lock:
            self._closed = True
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._seen_version = 0

    def before_fork(self) -> None:
        """Take the lock and let go of the file. A database in memory is copied with the rest of it."""
        self.lock.acquire()
        if self._path is not None:
            with suppress(
                sqlite3.Error
            ):  # It reports a log that could not be emptied, which the next one to close does.
                self._disconnect()


@contextmanager
def translated() -> Iterator[None]:
    """Raise SQLite's and the file system's errors as kmskit's."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(error) from error
    except UnicodeDecodeError as error:  # SQLite's own message quotes the damage.
        raise damaged() from error
    except OSError as error:
        raise ConfigurationError(
            f"the key store cannot be made: {error.strerror}", hint="choose a folder that exists and can be written to"
        ) from error


def _translate(error: sqlite3.Error) -> KmsError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # The low byte is the primary code, the rest details it.
    name = getattr(error, "sqlite_errorname", None)
    if code in _AWAY:
        return ServiceUnavailableError(
            f"another process has kept the key store locked for {_BUSY_SECONDS:.0f} seconds",
            code=name,
            hint="try again; if it stays locked, look which process has the file open",
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return ServiceUnavailableError(
            "the key store cannot be written or read; nothing was changed", code=name, hint="is the disk full?"
        )
    if code in _DAMAGED:
        return damaged(name)
    if code in _REFUSED:
        return ConfigurationError(
            "the key store's file or folder does not let this process read and write it",
            code=name,
            hint="check the permissions of the file and of its folder: SQLite keeps two more files beside it",
        )
    return ServiceUnavailableError("the key store failed", code=name, retryable=False)


def damaged(code: str | None = None) -> ConfigurationError:
    """The error about a file that holds what no kmskit wrote."""
    return ConfigurationError(
        "the key store is damaged or not a kmskit key store; nothing was changed",
        code=code,
        hint="restore it from a backup, and delete the old -wal and -shm files beside it",
    )


# Fork. The parent's thread takes every lock first, so that no other thread is inside a database while memory is copied.
# And it closes every connection, which parent and child open again when they need them: SQLite remembers the file locks
# of its process in memory, where a child would find locks that it does not have. The child would write, and the parent,
# believing itself alone, would delete the log with the child's changes.

_databases: WeakSet[Database] = WeakSet()
_held: list[Database] = []


def _before_fork() -> None:
    for database in list(_databases):
        _held.append(database)
        database.before_fork()


def _after_fork() -> None:
    while _held:
        _held.pop().lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
