"""A folder that cannot be written, a full disk, a lock: a clear error, nothing lost, nothing half done."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

import kmskit
from kmskit.backends import database
from kmskit.testing.conformance.base import listed
from tests.backends.software.conftest import Place
from tests.clock import Clock
from tests.processes import Child, as_an_ordinary_user, in_child

# Without rights. Everything here runs as an ordinary user, whom permissions bind.


def refusal(attempt: Callable[[], object]) -> tuple[str, str]:
    """Text and hint of the ConfigurationError that the attempt ends in."""
    with pytest.raises(kmskit.ConfigurationError) as refused:
        attempt()
    return str(refused.value), refused.value.hint or ""


def filled(place: Place) -> bytes:
    with place.open() as kms:
        return kms.create_key("orders").encrypt(b"x")


def test_a_folder_that_cannot_be_written_gets_no_store(open_place: Place) -> None:
    def attempt() -> tuple[str, str]:
        open_place.folder.chmod(0o500)
        return refusal(open_place.open)

    message, hint = as_an_ordinary_user(attempt)
    assert "cannot be made: Permission denied" in message
    assert "can be written to" in hint
    assert list(open_place.folder.iterdir()) == []


def test_a_folder_that_does_not_exist_is_named_as_the_cause(place: Place) -> None:
    message, hint = refusal(Place(place.folder / "nowhere").open)
    assert "No such file or directory" in message
    assert "folder that exists" in hint
    assert place.contents() == {}


def test_a_key_file_that_cannot_be_made_leaves_no_store(place: Place) -> None:
    uri = f"{place.uri}?key-file={place.folder}/nowhere/my.key"
    for _ in range(2):
        with pytest.raises(kmskit.ConfigurationError, match="No such file or directory"):
            kmskit.connect(uri)
    (place.folder / "nowhere").mkdir()
    with kmskit.connect(uri) as kms:
        assert kms.create_key().encrypt(b"x")


def test_a_store_in_a_folder_that_cannot_be_written_is_refused_and_unchanged(open_place: Place) -> None:
    """SQLite needs two more files beside the store, even for reading."""

    def attempt() -> tuple[tuple[str, str], bool]:
        filled(open_place)
        before = open_place.contents()
        open_place.folder.chmod(0o500)
        return refusal(open_place.open), open_place.contents() == before

    (message, hint), unchanged = as_an_ordinary_user(attempt)
    assert "does not let this process read and write" in message
    assert "permissions" in hint
    assert unchanged


def test_a_store_that_cannot_be_written_still_decrypts_and_refuses_changes(open_place: Place) -> None:
    def attempt() -> tuple[bytes, list[tuple[str, str]], bool]:
        ciphertext = filled(open_place)
        before = open_place.path.read_bytes()
        open_place.path.chmod(0o400)
        with open_place.open() as kms:
            key = kms.key("orders")
            refusals = [refusal(change) for change in (kms.create_key, key.rotate, key.disable, kms.purge)]
            opened = key.decrypt(ciphertext)
        return opened, refusals, open_place.path.read_bytes() == before

    opened, refusals, unchanged = as_an_ordinary_user(attempt)
    assert opened == b"x"
    assert unchanged
    for message, hint in refusals:
        assert "does not let this process read and write" in message
        assert "permissions" in hint


def test_a_store_that_cannot_be_read_is_refused(open_place: Place) -> None:
    def attempt() -> tuple[str, str]:
        filled(open_place)
        open_place.path.chmod(0)
        return refusal(open_place.open)

    message, hint = as_an_ordinary_user(attempt)
    assert "does not let this process read and write" in message
    assert "permissions" in hint


# On a full disk. A limit on the size of files fails a write in the middle, as a full disk does.


@contextmanager
def room_for(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_the_change_and_nothing_else(place: Place) -> None:
    ciphertext = filled(place)

    def fill() -> tuple[int, kmskit.KmsError, bytes, bytes]:
        """Make keys until there is no room, then use one, then make room and go on, all in one process."""
        with place.open() as kms:
            kms.create_key()
            with room_for((place.folder / "keys.db-wal").stat().st_size + 200_000):
                error: kmskit.KmsError | None = None
                for number in range(1000):
                    try:
                        kms.create_key(f"key {number}", tags={"number": str(number)})
                    except kmskit.KmsError as refused:
                        error = refused
                        break
                assert error is not None
                with pytest.raises(kmskit.KeyNotFoundError):
                    kms.key(f"key {number}")
                opened = kms.key("orders").decrypt(ciphertext)
            late = kms.create_key("late").encrypt(b"late")
            return number, error, opened, late

    number, error, opened, late = in_child(fill)
    assert isinstance(error, kmskit.ServiceUnavailableError)
    assert error.retryable
    assert "disk full" in (error.hint or "")
    assert "nothing was changed" in str(error)
    assert number > 0
    assert opened == b"x"
    place.assert_sound()
    with place.open() as kms:
        assert len(listed(kms)) == number + 3
        for index in range(number):
            assert dict(kms.key(f"key {index}").tags) == {"number": str(index)}
            assert kms.key(f"key {index}").encrypt(b"x")
        assert kms.key("orders").decrypt(ciphertext) == b"x"
        assert kms.key("late").decrypt(late) == b"late"


@pytest.mark.parametrize("size", [0, 10, 1000, 5000, 20_000])
def test_a_store_that_found_no_room_is_made_once_there_is_some(place: Place, size: int) -> None:
    def attempt() -> kmskit.KmsError:
        with room_for(size), pytest.raises(kmskit.KmsError) as refused:
            place.open()
        return refused.value

    error = in_child(attempt)
    assert isinstance(error, kmskit.ServiceUnavailableError | kmskit.ConfigurationError)
    assert error.hint
    with place.open() as kms:
        assert kms.create_key("orders").encrypt(b"x")
    place.assert_sound()
    assert {stat.S_IMODE(file.stat().st_mode) for file in place.folder.iterdir()} == {0o600}


# Locked by another process


@contextmanager
def locked_by_another_process(path: Path) -> Iterator[None]:
    """While the block runs, another process is in the middle of a change."""
    ready, go = os.pipe(), os.pipe()

    def hold() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            connection.execute("ROLLBACK")

    child = Child(hold)
    os.read(ready[0], 1)
    try:
        yield
    finally:
        os.write(go[1], b"x")
        child.result()
        for descriptor in (*ready, *go):
            os.close(descriptor)


def test_a_store_that_stays_locked_can_be_used_and_refuses_changes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.2)
    ciphertext = filled(place)
    with place.open() as kms, locked_by_another_process(place.path):
        key = kms.key("orders")
        for change in (kms.create_key, key.rotate, key.disable, kms.purge, lambda: key.update(description="x")):
            with pytest.raises(kmskit.ServiceUnavailableError, match="another process") as refused:
                change()
            assert refused.value.retryable
            assert refused.value.code == "SQLITE_BUSY"
            assert refused.value.hint
        assert key.decrypt(ciphertext) == b"x"
        with place.open() as late:
            assert late.key("orders").decrypt(ciphertext) == b"x"
    with place.open() as kms:
        kms.key("orders").rotate()
        assert len(listed(kms)) == 1
        assert len(kms.key("orders").versions) == 2
    place.assert_sound()


def test_a_lock_that_goes_away_is_waited_for(place: Place) -> None:
    """SQLite asks again for five seconds, so a short change elsewhere is not noticed."""
    filled(place)
    with place.open() as kms:
        lock = locked_by_another_process(place.path)
        lock.__enter__()
        timer = threading.Timer(0.3, lambda: lock.__exit__(None, None, None))
        timer.start()
        assert kms.create_key("late").encrypt(b"x")
        timer.join()


def test_a_new_file_that_stays_locked_is_not_made_a_store(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.2)
    place.path.touch(0o600)
    with locked_by_another_process(place.path):
        with pytest.raises(kmskit.ServiceUnavailableError, match="another process"):
            place.open()
        assert set(place.contents()) <= {"keys.db", "keys.db-journal"}
    with place.open() as kms:
        assert kms.create_key().encrypt(b"x")


def test_a_rotation_that_is_due_does_not_stop_the_use_of_a_locked_store(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.2)
    clock = Clock()
    with place.open(clock=clock) as kms:
        key = kms.create_key("orders")
        key.set_rotation(timedelta(days=1))
        clock.advance(2)
        with locked_by_another_process(place.path):
            ciphertext = key.encrypt(b"x")
        assert key.decrypt(ciphertext) == b"x"
        key.refresh()
        assert len(key.versions) == 2
