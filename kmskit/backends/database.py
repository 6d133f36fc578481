"""One SQLite file: opening, transactions, forks, and the translation of SQLite's errors."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from time import monotonic, sleep
from typing import Any

from kmskit.backends import forks
from kmskit.errors import ConfigurationError, KmsError, ServiceUnavailableError

__all__ = ["Database", "Form", "translated"]

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


@dataclass(frozen=True, slots=True)
class Form:
    """What kind of file it is.

    Attributes:
        name: what errors call it, such as `key store`.
        application_id: the mark by which SQLite files tell whose they are.
        version: of the schema.
        schema: the statements that make the tables, each ending in `;` and a line end.
    """

    name: str
    application_id: int
    version: int
    schema: str


class Database:
    """A connection for all threads of a process, one at a time.

    Every change is one transaction that is on the disk when it returns (WAL, synchronous=FULL), deleted rows are
    overwritten (secure_delete), and no connection is carried across a fork.
    """

    fork_order = forks.Order.FILE

    def __init__(self, path: Path | None, form: Form, lock: Any = None) -> None:
        """Open the file; make it, empty and with mode 0600, if it is not there. None: a database in memory.

        Args:
            lock: where the owner has one already, which then also guards the database.
        """
        self._path = path
        self.form = form
        self.lock: Any = lock or RLock()
        if path is not None:
            with translated(form.name), suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        self._connection: sqlite3.Connection | None = self._open()
        self._closed = False
        self._seen_version = 0
        forks.guard(self)

    def _open(self) -> sqlite3.Connection:
        name = ":memory:" if self._path is None else self._path.as_uri() + "?mode=rw"
        with translated(self.form.name):
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

    def establish(self, fill: Callable[[sqlite3.Connection], object]) -> bool:
        """Make the tables in a new file, or see that the file is one that this kmskit knows.

        Args:
            fill: puts the first rows into new tables, in the same transaction.

        Returns:
            whether the tables were made. Of several processes that get here only one makes them.

        Raises:
            ConfigurationError: it is another program's file, or of a newer kmskit; nothing was changed.
        """
        made = self.read("PRAGMA schema_version") == [(0,)] and self._make(fill)
        if not made:
            self._recognise()
        return made

    def _make(self, fill: Callable[[sqlite3.Connection], object]) -> bool:
        with self.write() as connection:
            if connection.execute("PRAGMA schema_version").fetchone() != (0,):
                return False
            for statement in self.form.schema.split(";\n"):
                connection.execute(statement)
            fill(connection)
            connection.execute(f"PRAGMA application_id={self.form.application_id}")
            connection.execute(f"PRAGMA user_version={self.form.version}")
        return True

    def _recognise(self) -> None:
        name = self.form.name
        if self.read("PRAGMA application_id") != [(self.form.application_id,)]:
            raise ConfigurationError(
                f"this is an SQLite file, and not a kmskit {name}; nothing was changed", hint="choose another path"
            )
        ((version,),) = self.read("PRAGMA user_version")
        if version != self.form.version:
            raise ConfigurationError(
                f"the {name} has schema {version}, and this kmskit knows {self.form.version}; nothing was changed",
                hint="it was made by a newer kmskit: upgrade",
            )

    def use_wal(self) -> None:
        """Let readers and one writer work side by side. The setting stays in the file."""
        end = monotonic() + _BUSY_SECONDS
        while self._path is not None:
            try:
                self.read("PRAGMA journal_mode=WAL")
                return
            except ServiceUnavailableError as error:
                # The one statement for which SQLite does not wait for a lock itself.
                if error.code != "SQLITE_BUSY" or monotonic() > end:
                    raise
            sleep(0.01)

    def damaged(self) -> ConfigurationError:
        """The error about a file that holds what no kmskit wrote."""
        return _damaged(self.form.name)

    def _connected(self) -> sqlite3.Connection:
        if self._closed:
            raise ConfigurationError(f"this {self.form.name} is closed", hint="connect again")
        if self._connection is None:  # At the first use after a fork.
            self._connection = self._open()
        return self._connection

    def read(self, sql: str, *parameters: Any) -> list[Any]:
        """All rows of a query."""
        with self.lock, translated(self.form.name):
            return self._connected().execute(sql, parameters).fetchall()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed at the end of the block, taken back by any exception."""
        with self.lock, translated(self.form.name):
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

    # A fork. Parent and child open the file again when they need it: SQLite remembers the file locks of its process in
    # memory, where a child would find locks that it does not have. The child would write, and the parent, believing
    # itself alone, would delete the log with the child's changes. A database in memory is copied with the rest of it.

    def before_fork(self) -> None:
        self.lock.acquire()
        if self._path is not None:
            # It reports a log that could not be emptied, which the next one to close does.
            with suppress(sqlite3.Error):
                self._disconnect()

    def after_fork(self, *, in_child: bool) -> None:
        self.lock.release()


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Raise SQLite's and the file system's errors as kmskit's; `name` is what they call the file."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(error, name) from error
    except UnicodeDecodeError as error:  # SQLite's own message quotes the damage.
        raise _damaged(name) from error
    except OSError as error:
        raise ConfigurationError(
            f"the {name} cannot be made: {error.strerror}", hint="choose a folder that exists and can be written to"
        ) from error


def _translate(error: sqlite3.Error, name: str) -> KmsError:
    number = getattr(error, "sqlite_errorcode", 0) & 0xFF  # The low byte is the primary code, the rest details it.
    code = getattr(error, "sqlite_errorname", None)
    if number in _AWAY:
        return ServiceUnavailableError(
            f"another process has kept the {name} locked for {_BUSY_SECONDS:.0f} seconds",
            code=code,
            hint="try again; if it stays locked, look which process has the file open",
        )
    if number in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return ServiceUnavailableError(
            f"the {name} cannot be written or read; nothing was changed", code=code, hint="is the disk full?"
        )
    if number in _DAMAGED:
        return _damaged(name, code)
    if number in _REFUSED:
        return ConfigurationError(
            f"the {name}'s file or folder does not let this process read and write it",
            code=code,
            hint="check the permissions of the file and of its folder: SQLite keeps two more files beside it",
        )
    return ServiceUnavailableError(f"the {name} failed", code=code, retryable=False)


def _damaged(name: str, code: str | None = None) -> ConfigurationError:
    return ConfigurationError(
        f"the {name} is damaged or not a kmskit {name}; nothing was changed",
        code=code,
        hint="restore it from a backup, and delete the old -wal and -shm files beside it",
    )
