"""Files that are not, or no longer, a key store: said so, and nothing changed."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

import kmskit
from kmskit.backends.software.rows import FORM
from tests.backends.software.conftest import Place

CONTEXT = {"tenant": "acme"}


@pytest.fixture
def filled(place: Place) -> tuple[Place, dict[str, bytes]]:
    """A closed store with some keys, and a ciphertext of each."""
    with place.open() as kms:
        ciphertexts = {}
        for number in range(12):
            key = kms.create_key(f"key {number}", description="d" * 200, tags={"team": "payments"})
            ciphertexts[key.aliases[0]] = key.encrypt(b"4111-1111", context=CONTEXT)
            key.rotate()
    return place, ciphertexts


def assert_refused_and_unchanged(place: Place, match: str) -> None:
    before = lasting(place)
    with pytest.raises(kmskit.ConfigurationError, match=match) as refused:
        place.open()
    assert "nothing was changed" in str(refused.value)
    assert refused.value.hint
    assert lasting(place) == before


def lasting(place: Place) -> dict[str, bytes]:
    """The store and its key. SQLite may leave an empty log beside a file that it could not read to the end."""
    assert place.contents().get("keys.db-wal", b"") == b""
    return {name: data for name, data in place.contents().items() if not name.endswith(("-wal", "-shm"))}


def test_a_newer_schema_is_left_alone(filled: tuple[Place, dict[str, bytes]]) -> None:
    place, _ = filled
    place.sql("PRAGMA user_version=2")
    assert_refused_and_unchanged(place, "schema 2, and this kmskit knows 1")


def test_another_programs_database_is_left_alone(place: Place) -> None:
    place.sql("CREATE TABLE bookmarks (url TEXT)")
    assert_refused_and_unchanged(place, "not a kmskit key store")
    place.sql("PRAGMA application_id=42")
    assert_refused_and_unchanged(place, "not a kmskit key store")
    place.sql(f"PRAGMA application_id={FORM.application_id}")  # Marked as ours, with nothing in it that is.
    place.sql("PRAGMA user_version=1")
    assert_refused_and_unchanged(place, "damaged or not a kmskit key store")
    assert not place.key_file.exists()


@pytest.mark.parametrize(
    "data", [b"not a database at all", b"x" * 10_000, b"SQLite format 3\0", b"SQLite format 3\0" + bytes(4096)]
)
def test_a_file_that_is_no_database_is_left_alone(place: Place, data: bytes) -> None:
    place.path.write_bytes(data)
    assert_refused_and_unchanged(place, "damaged or not a kmskit key store")
    assert not place.key_file.exists()


def test_a_folder_in_its_place_is_left_alone(place: Place) -> None:
    place.path.mkdir()
    with pytest.raises(kmskit.ConfigurationError) as refused:
        place.open()
    assert refused.value.hint
    assert place.contents() == {}


def test_an_empty_file_becomes_a_store(place: Place) -> None:
    """A process that was killed between making the file and filling it leaves one."""
    place.path.touch()
    with place.open() as kms:
        assert kms.create_key().encrypt(b"x")


def use_everything(place: Place, ciphertexts: dict[str, bytes]) -> int:
    """Open the store, list it, use each key: how many keys gave the right plaintext.

    Damage may cost keys. It may not give a wrong plaintext, an error outside of kmskit's tree, or a changed file.
    """
    opened = 0
    try:
        with place.open() as kms:
            for attempt in (
                lambda: list(kms.keys()),
                lambda: list(kms.keys(tag=("team", "payments"))),
                lambda: repr(kms.capabilities()),
            ):
                _tolerate(attempt)
            for alias, ciphertext in ciphertexts.items():
                key = _tolerate(lambda alias=alias: kms.key(alias))
                if isinstance(key, kmskit.Key):
                    plaintext = _tolerate(
                        lambda key=key, ciphertext=ciphertext: key.decrypt(ciphertext, context=CONTEXT)
                    )
                    assert plaintext in (None, b"4111-1111")
                    opened += plaintext is not None
                    _tolerate(lambda key=key: key.encrypt(b"x"))
    except (kmskit.ConfigurationError, kmskit.AuthenticationError, kmskit.ServiceUnavailableError):
        pass
    return opened


def _tolerate(attempt: Callable[[], object]) -> object:
    """What the attempt returns; None if it is refused for a reason that damaged rows can give."""
    try:
        return attempt()
    except (
        kmskit.ConfigurationError,
        kmskit.KeyNotFoundError,
        kmskit.KeyStateError,
        kmskit.UnsupportedError,
        kmskit.InvalidCiphertextError,
    ):
        return None


def test_flipped_bytes_cost_keys_and_never_more(filled: tuple[Place, dict[str, bytes]]) -> None:
    place, ciphertexts = filled
    sound = place.contents()
    data, draw = sound["keys.db"], random.Random(4711)
    costs = []
    for page in range(len(data) // 4096):
        for _ in range(12):
            changed = bytearray(data)
            at = page * 4096 + (draw.randrange(100) if draw.random() < 0.3 else draw.randrange(4096))
            changed[at] ^= 1 << draw.randrange(8)
            place.path.write_bytes(changed)
            costs.append(len(ciphertexts) - use_everything(place, ciphertexts))
            assert lasting(place) == sound | {"keys.db": bytes(changed)}, f"byte {at}"
    assert any(costs)
    assert not all(costs)
    place.path.write_bytes(data)
    assert use_everything(place, ciphertexts) == len(ciphertexts)


@pytest.mark.soak
def test_every_flipped_byte_costs_keys_and_never_more(filled: tuple[Place, dict[str, bytes]]) -> None:
    place, ciphertexts = filled
    sound = place.contents()
    for at in range(0, len(sound["keys.db"]), 3):
        changed = bytearray(sound["keys.db"])
        changed[at] ^= 0xFF
        place.path.write_bytes(changed)
        use_everything(place, ciphertexts)
        assert lasting(place) == sound | {"keys.db": bytes(changed)}, f"byte {at}"


def test_every_damaged_page_is_said_to_be_damage(filled: tuple[Place, dict[str, bytes]]) -> None:
    place, ciphertexts = filled
    sound = place.contents()
    data = sound["keys.db"]
    for page in range(len(data) // 4096):
        for filling in (bytes(4096), b"\xff" * 4096, random.Random(page).randbytes(4096)):
            changed = data[: page * 4096] + filling + data[(page + 1) * 4096 :]
            if page == 0 and filling == bytes(4096):
                changed = data[:100] + bytes(3996) + data[4096:]  # Without its header an all-zero page would be empty.
            place.path.write_bytes(changed)
            use_everything(place, ciphertexts)
            assert lasting(place) == sound | {"keys.db": changed}, f"page {page}"


def test_a_file_that_was_cut_is_said_to_be_damaged(filled: tuple[Place, dict[str, bytes]]) -> None:
    place, ciphertexts = filled
    sound = place.contents()
    data = sound["keys.db"]
    for length in (16, 99, 100, 2000, 4095, 4096, 5000, 8192, len(data) // 2, len(data) - 4096, len(data) - 1):
        place.path.write_bytes(data[:length])
        opened = use_everything(place, ciphertexts)
        assert opened < len(ciphertexts) or length > len(data) - 4096  # The last page may end in unused bytes.
        assert lasting(place) == sound | {"keys.db": data[:length]}, f"{length} bytes"
    for length in (16, 100, 4096):
        place.path.write_bytes(data[:length])
        with pytest.raises(kmskit.ConfigurationError, match="damaged"):
            place.open()


def test_a_zeroed_file_is_not_taken_for_a_new_one(filled: tuple[Place, dict[str, bytes]]) -> None:
    place, _ = filled
    place.path.write_bytes(bytes(len(place.path.read_bytes())))
    assert_refused_and_unchanged(place, "damaged or not a kmskit key store")


def test_rows_that_no_kmskit_wrote_are_said_to_be_damaged(filled: tuple[Place, dict[str, bytes]]) -> None:
    place, ciphertexts = filled
    sound = place.path.read_bytes()
    for column, value in (
        ("spec", "AES_512"),
        ("usage", "COOKING"),
        ("state", "ASLEEP"),
        ("origin", ""),
        ("created", 1e300),
        ("created", -1e300),
        ("created", 9e15),
        ("rotation_seconds", 1e300),
        ("next_rotation", 1e18),
        ("deletion_date", -1e18),
        ("primary_version", -1),
        ("primary_version", 2**40),
    ):
        place.sql(f"UPDATE keys SET {column} = ? WHERE number = 3", value)
        with place.open() as kms:
            with pytest.raises(kmskit.ConfigurationError, match="damaged"):
                kms.key("key 2").encrypt(b"x")
            assert kms.key("key 1").decrypt(ciphertexts["key 1"], context=CONTEXT) == b"4111-1111"
        place.path.write_bytes(sound)


def test_text_that_is_not_utf_8_is_said_to_be_damaged(filled: tuple[Place, dict[str, bytes]]) -> None:
    place, _ = filled
    place.sql("UPDATE keys SET description = CAST(x'ff00fe' AS TEXT) WHERE number = 3")
    with place.open() as kms:
        for attempt in (lambda: kms.key("key 2"), lambda: list(kms.keys())):
            with pytest.raises(kmskit.ConfigurationError, match="damaged"):
                attempt()
        assert kms.key("key 1").encrypt(b"x")


def test_missing_parts_are_said_to_be_damage(filled: tuple[Place, dict[str, bytes]]) -> None:
    place, _ = filled
    sound = place.path.read_bytes()
    for statement in (
        "DELETE FROM store",
        "DELETE FROM store WHERE name = 'protection'",
        "UPDATE store SET value = '' WHERE name = 'protection'",
        "DROP TABLE store",
    ):
        place.sql(statement)
        assert_refused_and_unchanged(place, "damaged")
        place.path.write_bytes(sound)
    for statement in ("DROP TABLE tags", "DROP TABLE versions", "DROP TABLE keys"):
        place.sql("PRAGMA foreign_keys=OFF")
        place.sql(statement)
        with place.open() as kms, pytest.raises(kmskit.ConfigurationError, match="damaged"):
            kms.key("key 1").encrypt(b"x")
        place.path.write_bytes(sound)
    for statement in (
        "DELETE FROM store WHERE name = 'last_time'",
        "UPDATE store SET value = 'soon' WHERE name = 'last_time'",
    ):
        place.sql(statement)
        with place.open() as kms, pytest.raises(kmskit.ConfigurationError, match="damaged"):
            kms.purge()
        place.path.write_bytes(sound)


def test_a_damaged_log_costs_the_changes_in_it_and_nothing_else(place: Place) -> None:
    """What a power cut can do to the log: SQLite drops the frames whose checksums are wrong, from the first on."""
    with place.open() as kms:
        kms.create_key("old")
    with place.open() as kms:
        kms.create_key("new")
        copies = place.contents()
    log = copies["keys.db-wal"]
    for at in range(32, len(log), 997):
        changed = bytearray(log)
        changed[at] ^= 0xFF
        for name in ("keys.db", "keys.db.key"):
            (place.folder / name).write_bytes(copies[name])
        (place.folder / "keys.db-wal").write_bytes(changed)
        (place.folder / "keys.db-shm").unlink(missing_ok=True)
        with place.open() as kms:
            assert kms.key("old").encrypt(b"x")
            assert [key.aliases for key in kms.keys(tag=None)] in ([("old",)], [("old",), ("new",)])
        place.assert_sound()
    with closing(sqlite3.connect(place.path)) as connection:
        assert connection.execute("SELECT count(*) FROM keys").fetchone()[0] >= 1
