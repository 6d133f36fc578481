"""The file of notes beside a token: made when there is something to note, private, and no more than notes."""

from __future__ import annotations

import sqlite3
import stat
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kmskit
from kmskit import AlreadyExistsError, ConfigurationError
from kmskit.backends.pkcs11.notes import Note, Notes
from kmskit.softhsm import Token
from tests.processes import as_an_ordinary_user

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def notes_file(token: Token) -> Path:
    (file,) = token.folder.glob("notes-*.db")
    return file


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "data" / "notes.db", time.time)


def test_looking_makes_no_file_and_a_change_makes_a_private_one(token: Token) -> None:
    with kmskit.connect(token.uri) as kms:
        assert list(kms.keys()) == []
        assert not list(token.folder.glob("notes-*"))
        kms.create_key("orders")
        files = [file for file in token.folder.glob("notes-*") if stat.S_IMODE(file.stat().st_mode) != 0o600]
        assert files == []
    assert notes_file(token).stat().st_size


def test_the_folder_is_made_for_its_owner(notes: Notes, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []
    with notes.change():
        notes.put("id", Note())
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


@given(
    aliases=st.lists(TEXT.filter(bool), max_size=3, unique=True),
    description=TEXT,
    tags=st.dictionaries(TEXT, TEXT, max_size=3),
    seconds=st.none() | st.floats(1, 1e9),
    date=st.none() | st.floats(0, 1e10),
    was_enabled=st.booleans(),
)
def test_a_note_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    aliases: list[str],
    description: str,
    tags: dict[str, str],
    seconds: float | None,
    date: float | None,
    was_enabled: bool,
) -> None:
    note = Note(
        aliases=tuple(aliases),
        description=description,
        tags=tags,
        rotation_seconds=seconds,
        next_rotation=date,
        deletion_date=date,
        was_enabled=was_enabled,
    )
    notes = Notes(tmp_path_factory.getbasetemp() / "notes-of-hypothesis.db", time.time)
    with notes.change():
        notes.put("id", note)
    assert notes.get("id") == note
    assert notes.all() == {"id": note}
    assert all(notes.holder(alias) == "id" for alias in aliases)
    with notes.change():
        notes.drop("id")
    assert (notes.get("id"), notes.all()) == (None, {})
    notes.close()


def test_an_alias_belongs_to_one_key(notes: Notes) -> None:
    with notes.change():
        notes.put("one", Note(aliases=("a", "b")))
    with pytest.raises(AlreadyExistsError), notes.change():
        notes.put("other", Note(aliases=("c", "b")))
    assert notes.get("other") is None
    assert notes.holder("c") is None
    with notes.change():
        notes.put("one", Note(aliases=("a",)))
        notes.put("other", Note(aliases=("b",)))
    assert (notes.holder("a"), notes.holder("b"), notes.holder("\ud83d")) == ("one", "other", None)


def test_a_failed_change_changes_nothing(notes: Notes) -> None:
    with notes.change():
        notes.put("id", Note(description="before"))

    def fail() -> None:
        with notes.change():
            notes.put("id", Note(description="after"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert notes.get("id") == Note(description="before")


def test_the_latest_time_is_kept(tmp_path: Path) -> None:
    now = [datetime(2026, 11, 26, tzinfo=UTC)]
    notes = Notes(tmp_path / "notes.db", lambda: now[0])
    with notes.change():
        pass
    latest = notes.last_time()
    now[0] -= timedelta(days=1)
    with notes.change():
        pass
    assert notes.last_time() == latest == datetime(2026, 11, 26, tzinfo=UTC).timestamp()


def test_another_connections_change_is_noticed(tmp_path: Path) -> None:
    one, other = (Notes(tmp_path / "notes.db", time.time) for _ in range(2))
    one.changed_elsewhere()  # The first call has nothing to compare with.
    with other.change():
        other.put("id", Note(description="new"))
    assert one.changed_elsewhere()
    assert not one.changed_elsewhere()
    assert one.get("id") == Note(description="new")


@pytest.mark.parametrize("content", [b"nonsense" * 1000, b""])
def test_a_damaged_file_is_said_to_be_damaged_and_left_alone(token: Token, content: bytes) -> None:
    with kmskit.connect(token.uri) as kms:
        key = kms.create_key("orders")
    notes_file(token).write_bytes(content)
    if not content:  # An empty file is one that is just being made.
        with kmskit.connect(token.uri) as kms:
            assert kms.key("orders") == key
        return
    with pytest.raises(ConfigurationError, match="file of notes about the token's keys is damaged") as refused:
        kmskit.connect(token.uri)
    assert refused.value.hint
    assert notes_file(token).read_bytes() == content


@pytest.mark.parametrize(
    "statement",
    ["UPDATE notes SET content = 'x'", "UPDATE notes SET content = '{}'", "UPDATE notes SET content = '[1]'"],
)
def test_a_damaged_note_is_said_to_be_damaged(token: Token, statement: str) -> None:
    with kmskit.connect(token.uri) as kms:
        kms.create_key("orders")
    with closing(sqlite3.connect(notes_file(token))) as connection, connection:
        connection.execute(statement)
    with kmskit.connect(token.uri) as kms, pytest.raises(ConfigurationError, match="damaged"):
        kms.key("orders")


def test_a_key_is_used_where_nothing_can_be_noted(token: Token) -> None:
    """A container may have no folder to write to. What needs a note says so; what does not, works."""
    with kmskit.connect(token.uri) as kms:
        key = kms.create_key("orders", tags={"a": "b"})
        ciphertext = key.encrypt(b"x")
    for file in token.folder.glob("notes-*"):
        file.unlink()

    def elsewhere() -> tuple[bytes, str]:
        blocker = Notes(Path("/proc/nowhere/notes.db"), time.time)
        with kmskit.connect(token.uri) as kms:
            kms._backend._records._notes = blocker  # type: ignore[attr-defined]
            opened = kms.key("orders").decrypt(ciphertext)
            with pytest.raises(ConfigurationError) as refused:
                kms.create_key("new")
            return opened, str(refused.value)

    opened, reason = elsewhere()
    assert opened == b"x"
    assert "cannot be made" in reason
    with kmskit.connect(token.uri) as kms:
        assert len(list(kms.keys(spec="AES_256"))) == 1  # Nothing was made either.


def test_a_folder_that_cannot_be_written_to_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()

    def change() -> None:
        with Notes(folder / "notes.db", time.time).change():
            pass

    tmp_path.chmod(0o755)
    with pytest.raises(ConfigurationError):
        as_an_ordinary_user(change)
