"""The store's files: who can read them, what is in them, and when they change."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing

import pytest

import kmskit
from kmskit.backends import database
from kmskit.testing.conformance.base import listed
from tests.backends.software.conftest import Place
from tests.clock import Clock
from tests.processes import in_child


@pytest.fixture
def careless_umask() -> Iterator[None]:
    """As it is where a user shares everything with everyone."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("careless_umask")
def test_every_file_is_for_the_owner_only(place: Place) -> None:
    with place.open() as kms:
        kms.create_key("orders").rotate()
        files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in place.folder.iterdir()}
    assert files == dict.fromkeys(("keys.db", "keys.db-shm", "keys.db-wal", "keys.db.key"), 0o600)


def test_a_store_is_one_file_and_its_key_once_it_is_closed(place: Place) -> None:
    with place.open() as kms:
        kms.create_key("orders")
    assert set(place.contents()) == {"keys.db", "keys.db.key"}


def test_a_store_in_memory_leaves_no_file(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.folder)
    with kmskit.connect("software:?memory=1") as kms:
        kms.create_key("orders").rotate()
    assert place.contents() == {}


def test_two_stores_in_memory_know_nothing_of_each_other() -> None:
    with kmskit.connect("software:?memory=1") as one, kmskit.connect("software:?memory=1") as other:
        one.create_key("orders")
        with pytest.raises(kmskit.KeyNotFoundError):
            other.key("orders")


def test_a_path_may_hold_any_character(place: Place) -> None:
    for name in ("with space.db", "per%cent.db", "quest?ion.db", "sharp#.db", "密钥.db"):
        path = place.folder / name
        uri = f"software://{kmskit.uri.quote(str(path))}"
        with kmskit.connect(uri) as kms:
            key = kms.create_key("orders")
        assert path.exists()
        with kmskit.open_key(key.uri).kms as again:
            assert again.key("orders") == key


def test_a_key_file_may_lie_elsewhere(place: Place) -> None:
    elsewhere = place.folder / "elsewhere"
    elsewhere.mkdir()
    uri = f"{place.uri}?key-file={elsewhere}/my.key"
    with kmskit.connect(uri) as kms:
        ciphertext = kms.create_key("orders").encrypt(b"x")
    assert {file.name for file in elsewhere.iterdir()} == {"my.key"}
    assert not place.key_file.exists()
    with kmskit.connect(uri) as kms:
        assert kms.key("orders").decrypt(ciphertext) == b"x"


def test_the_file_is_marked_and_keeps_a_log(place: Place) -> None:
    place.open().close()
    assert place.sql("PRAGMA journal_mode") == [("wal",)]
    assert place.sql("PRAGMA application_id") == [(0x6B6D736B,)]
    assert place.sql("PRAGMA user_version") == [(1,)]


def test_a_log_that_a_crash_left_unset_is_set_by_the_next_opening(place: Place) -> None:
    place.open().close()
    place.sql("PRAGMA journal_mode=DELETE")
    place.open().close()
    assert place.sql("PRAGMA journal_mode") == [("wal",)]


def test_use_writes_nothing(place: Place) -> None:
    with place.open() as kms:
        aes, signer, mac = kms.create_key(), kms.create_key(spec="EC_P256"), kms.create_key(spec="HMAC_256")
        with closing(sqlite3.connect(place.path)) as watcher:
            before = watcher.execute("PRAGMA data_version").fetchone()
            files = {name: data for name, data in place.contents().items() if not name.endswith("-shm")}
            times = {name: (place.folder / name).stat().st_mtime_ns for name in files}
            for _ in range(20):
                aes.decrypt(aes.encrypt(b"x", context={"a": "b"}), context={"a": "b"})
                aes.decrypt_data_key(aes.generate_data_key().ciphertext)
                signer.verify(b"x", signer.sign(b"x"))
                mac.verify_mac(b"x", mac.mac(b"x"))
                aes.refresh()
                assert len(list(kms.keys())) == 3
            assert watcher.execute("PRAGMA data_version").fetchone() == before
            assert {name: data for name, data in place.contents().items() if name in files} == files
            assert {name: (place.folder / name).stat().st_mtime_ns for name in files} == times


def test_opening_writes_nothing(place: Place) -> None:
    with place.open() as kms:
        kms.create_key("orders")
    before = place.contents()
    for _ in range(3):
        with place.open() as kms:
            kms.key("orders").encrypt(b"x")
    assert place.contents() == before


def test_keys_are_listed_in_the_order_they_were_made(place: Place) -> None:
    with place.open() as kms:
        made = [kms.create_key(f"key {number}").id for number in range(5)]
        kms.key("key 0").rotate()
        kms.key("key 3").update(tags={"a": "b"})
    with place.open() as kms:
        assert listed(kms) == made


def test_keys_may_come_and_go_while_they_are_listed() -> None:
    clock = Clock()
    with kmskit.connect("software:?memory=1", clock=clock) as kms:
        made = [kms.create_key().id for _ in range(600)]  # More than a page of 500.
        listing = kms.keys()
        seen = [next(listing).id for _ in range(10)]
        for key_id in made[550:]:
            kms.key(key_id).schedule_deletion(7)
        clock.advance(8)
        assert kms.purge() == made[550:]
        late = kms.create_key().id
        assert seen + [key.id for key in listing] == [*made[:550], late]


def test_purged_material_is_in_no_file(place: Place) -> None:
    clock = Clock()
    with place.open(clock=clock) as kms:
        doomed, kept = kms.create_key("doomed"), kms.create_key("kept")
        doomed.rotate()
        wrapped = [material for (material,) in place.sql("SELECT material FROM versions ORDER BY key = ?", kept.id)]
        assert len(wrapped) == 3
        doomed.schedule_deletion(7)
        clock.advance(8)

        def found() -> list[bool]:
            everything = b"".join(place.contents().values())
            return [material[-32:] in everything for material in wrapped]

        assert found() == [True, True, True]
        assert kms.purge() == [doomed.id]
        assert found() == [False, False, True]
        assert kept.decrypt(kept.encrypt(b"x")) == b"x"
    assert found() == [False, False, True]
    assert b"doomed" not in b"".join(place.contents().values())


def test_purged_material_is_gone_also_while_another_process_has_the_store_open(place: Place) -> None:
    clock = Clock()
    with place.open(clock=clock) as kms, place.open() as other:
        doomed = kms.create_key()
        other.key(doomed.id).encrypt(b"x")
        ((wrapped,),) = place.sql("SELECT material FROM versions")
        doomed.schedule_deletion(7)
        clock.advance(8)
        assert kms.purge() == [doomed.id]
        assert wrapped[-32:] not in b"".join(place.contents().values())
        with pytest.raises(kmskit.KeyNotFoundError):
            other.key(doomed.id)


def test_a_reader_that_keeps_purged_material_in_the_log_is_warned_of(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.1)
    clock = Clock()
    with place.open(clock=clock) as kms:
        doomed = kms.create_key()
        ((wrapped,),) = place.sql("SELECT material FROM versions")
        doomed.schedule_deletion(7)
        clock.advance(8)
        with closing(sqlite3.connect(place.path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM keys").fetchall()
            with pytest.warns(kmskit.KmsWarning, match="purge again") as warned:
                assert kms.purge() == [doomed.id]
            assert warned[0].filename == __file__
            assert wrapped[-32:] in b"".join(place.contents().values())
        assert kms.purge() == []
        assert wrapped[-32:] not in b"".join(place.contents().values())


def test_material_is_bound_to_its_row(place: Place) -> None:
    """Someone who can write the file moves wrapped material, or changes what is said of it: the key does not open."""
    with place.open() as kms:
        one, other = kms.create_key("one"), kms.create_key("other")
        ciphertext = one.encrypt(b"x")
    before = place.path.read_bytes()
    swap = "UPDATE versions SET material = (SELECT material FROM versions WHERE key = ?) WHERE key = ?"
    for statement, *parameters in (
        (swap, other.id, one.id),
        ("UPDATE keys SET exportable = 1 WHERE id = ?", one.id),
        ("UPDATE keys SET spec = 'SM4' WHERE id = ?", one.id),
        ("UPDATE keys SET origin = 'IMPORTED' WHERE id = ?", one.id),
        ("UPDATE keys SET usage = 'GENERATE_VERIFY_MAC', spec = 'HMAC_256' WHERE id = ?", one.id),
        ("UPDATE versions SET material = x'00' WHERE key = ?", one.id),
        ("UPDATE versions SET material = x'' WHERE key = ?", one.id),
        ("DELETE FROM versions WHERE key = ?", one.id),
        ("UPDATE keys SET primary_version = 1 WHERE id = ?", one.id),
        ("UPDATE versions SET id = 1 WHERE key = ?", one.id),
    ):
        place.sql(statement, *parameters)
        with place.open() as kms:
            key = kms.key("one")
            uses = [lambda key=key: key.mac(b"x")] if key.spec == "HMAC_256" else []
            uses = uses or [lambda key=key: key.encrypt(b"x"), lambda key=key: key.decrypt(ciphertext)]
            for use in uses:
                with pytest.raises(kmskit.ConfigurationError, match="damaged"):
                    use()
            assert kms.key("other").encrypt(b"x")  # Other keys are not affected.
        place.path.write_bytes(before)
    with place.open() as kms:
        assert kms.key("one").decrypt(ciphertext) == b"x"


def test_a_key_that_is_not_exportable_stays_so(place: Place) -> None:
    with place.open() as kms:
        key = kms.create_key("orders")
        with pytest.raises(kmskit.UnsupportedError, match="exportable"):
            key.export_material()
    place.sql("UPDATE keys SET exportable = 1")
    with place.open() as kms, pytest.raises(kmskit.ConfigurationError, match="damaged"):
        kms.key("orders").export_material()


def test_no_two_versions_have_the_same_id(place: Place) -> None:
    with place.open() as kms:
        keys = [kms.create_key() for _ in range(10)]
        for key in keys:
            key.rotate()
        versions = [version for key in keys for version in key.versions]
        assert len(set(versions)) == 20


def test_another_process_reads_what_this_one_wrote(place: Place) -> None:
    with place.open() as kms:
        key = kms.create_key("orders")
        ciphertext = key.encrypt(b"x")

        def read() -> bytes:
            with place.open() as again:
                return again.key("orders").decrypt(ciphertext)

        assert in_child(read) == b"x"
