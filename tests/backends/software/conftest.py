"""A folder for a key store, and what a test finds in it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import kmskit
from kmskit import Kms
from tests.processes import NOBODY


class Place:
    """Where a key store is, or will be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "keys.db"
        self.key_file = folder / "keys.db.key"
        self.uri = f"software://{self.path}"

    def open(self, **options: Any) -> Kms:
        return kmskit.connect(self.uri, **options)

    def sql(self, statement: str, *parameters: object) -> list[Any]:
        """Do to the closed store what only someone with another program would do."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(statement, parameters).fetchall()

    def contents(self) -> dict[str, bytes]:
        """File name -> bytes, of everything in the folder."""
        return {file.name: file.read_bytes() for file in sorted(self.folder.iterdir()) if file.is_file()}

    def assert_sound(self) -> None:
        """SQLite finds nothing wrong, and no row hangs in the air."""
        assert self.sql("PRAGMA integrity_check") == [("ok",)]
        assert self.sql("PRAGMA foreign_key_check") == []


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty folder, for a key store that is protected by a key file."""
    return Place(tmp_path)


@pytest.fixture
def open_place() -> Iterator[Place]:
    """A folder of the user as whom `tests.processes.as_an_ordinary_user` works, also where pytest runs as root."""
    with TemporaryDirectory() as folder:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        place = Place(Path(folder))
        yield place
        Path(folder).chmod(0o700)
