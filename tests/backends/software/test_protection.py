"""What protects the store key: a passphrase or a key file."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

import kmskit
from tests.backends.software.conftest import Place
from tests.processes import as_an_ordinary_user

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, bytes]:
    """A store with a passphrase, made once, since Argon2id is slow on purpose."""
    place = Place(tmp_path_factory.mktemp("made"))
    with place.open(passphrase=PASSPHRASE) as kms:
        return place, kms.create_key("orders").encrypt(b"4111-1111")


@pytest.fixture
def locked(made: tuple[Place, bytes], place: Place) -> tuple[Place, bytes]:
    """A closed store with a passphrase, and a ciphertext of its key `orders`."""
    shutil.copy(made[0].path, place.path)
    return place, made[1]


@pytest.fixture
def keyed(place: Place) -> tuple[Place, bytes]:
    """A closed store with a key file, and a ciphertext of its key `orders`."""
    with place.open() as kms:
        return place, kms.create_key("orders").encrypt(b"4111-1111")


def record(place: Place) -> Any:
    return json.loads(place.sql("SELECT value FROM store WHERE name = 'protection'")[0][0])


def assert_refused(place: Place, kind: type[kmskit.KmsError], match: str, **options: Any) -> kmskit.KmsError:
    """The store refuses to open, and changes nothing by it."""
    before = place.contents()
    with pytest.raises(kind, match=match) as refused:
        place.open(**options)
    assert refused.value.hint
    assert place.contents() == before
    return refused.value


# Passphrases


def test_a_passphrase_opens_the_store_and_leaves_no_key_file(locked: tuple[Place, bytes]) -> None:
    place, ciphertext = locked
    assert set(place.contents()) == {"keys.db"}
    for passphrase in (PASSPHRASE, lambda: PASSPHRASE):
        with place.open(passphrase=passphrase) as kms:
            assert kms.key("orders").decrypt(ciphertext) == b"4111-1111"


def test_the_environment_may_hold_the_passphrase(locked: tuple[Place, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    place, ciphertext = locked
    monkeypatch.setenv("KMSKIT_PASSPHRASE", PASSPHRASE)
    with place.open() as kms:
        key = kms.key("orders")
        with kmskit.open_key(key.uri).kms as again:
            assert again.key("orders").decrypt(ciphertext) == b"4111-1111"


def test_a_wrong_passphrase_is_refused(locked: tuple[Place, bytes]) -> None:
    place, ciphertext = locked
    for wrong in ("Correct horse battery staple", PASSPHRASE + " ", "x"):
        error = assert_refused(place, kmskit.AuthenticationError, "passphrase does not open", passphrase=wrong)
        assert not error.retryable
    with place.open(passphrase=PASSPHRASE) as kms:
        assert kms.key("orders").decrypt(ciphertext) == b"4111-1111"


def test_the_way_a_passphrase_is_typed_does_not_matter(place: Place) -> None:
    """One keyboard sends é as one character, another as two."""
    place.open(passphrase="caf\u00e9").close()
    place.open(passphrase="cafe\u0301").close()


@pytest.mark.parametrize("wrong", ["", "half \ud83d"])
def test_what_cannot_be_a_passphrase_is_a_value_error(place: Place, wrong: str) -> None:
    for passphrase in (wrong, lambda: wrong):
        with pytest.raises(ValueError, match="passphrase"):
            place.open(passphrase=passphrase)
    assert not place.path.exists() or place.path.read_bytes() == b""


def test_what_is_no_text_is_a_type_error(place: Place) -> None:
    for wrong in (7, b"bytes", lambda: None, lambda: b"bytes"):
        with pytest.raises(TypeError, match="passphrase: text expected"):
            place.open(passphrase=wrong)


def test_a_store_with_a_passphrase_says_that_it_wants_one(locked: tuple[Place, bytes]) -> None:
    place, _ = locked
    error = assert_refused(place, kmskit.ConfigurationError, "protected by a passphrase")
    assert "KMSKIT_PASSPHRASE" in (error.hint or "")
    assert not place.key_file.exists()


def test_a_store_with_a_key_file_says_that_it_wants_no_passphrase(keyed: tuple[Place, bytes]) -> None:
    assert_refused(keyed[0], kmskit.ConfigurationError, "protected by a key file", passphrase=PASSPHRASE)


def test_a_passphrase_and_a_key_file_are_one_too_many(place: Place) -> None:
    with pytest.raises(kmskit.ConfigurationError, match="not both"):
        kmskit.connect(f"{place.uri}?key-file=/x", passphrase=PASSPHRASE)
    assert place.contents() == {}


def test_the_passphrase_goes_through_argon2id_with_the_parameters_of_rfc_9106(locked: tuple[Place, bytes]) -> None:
    place, _ = locked
    parameters = record(place)["parameters"]
    assert {name: parameters[name] for name in ("method", "memory_kib", "iterations", "lanes")} == {
        "method": "passphrase",
        "memory_kib": 64 * 1024,
        "iterations": 3,
        "lanes": 4,
    }


# Records that someone has doctored


@pytest.mark.parametrize(
    "change",
    [
        {"memory_kib": 2**21},
        {"memory_kib": 2**62},
        {"iterations": 17},
        {"iterations": 2**31},
        {"lanes": 17},
        {"memory_kib": 0},
        {"iterations": 0},
        {"lanes": 0},
        {"lanes": -1},
        {"memory_kib": 8},
        {"memory_kib": "65536"},
        {"memory_kib": 65536.0},
        {"lanes": True},
        {"iterations": None},
        {"salt": ""},
        {"salt": "AAAA"},
        {"salt": 7},
        {"salt": "*" * 24},
        {"method": "none"},
        {"method": None},
    ],
    ids=repr,
)
def test_parameters_out_of_bounds_are_refused_at_once(locked: tuple[Place, bytes], change: dict[str, Any]) -> None:
    place, _ = locked
    doctored = record(place)
    doctored["parameters"] |= change
    place.sql("UPDATE store SET value = ? WHERE name = 'protection'", json.dumps(doctored))
    start = time.monotonic()
    assert_refused(place, kmskit.ConfigurationError, "record of its own key is damaged", passphrase=PASSPHRASE)
    assert time.monotonic() - start < 1.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        "7",
        '"x"',
        "not json",
        '{"parameters": 1, "wrapped": ""}',
        '{"parameters": {}}',
        "[" * 100_000,
    ],
)
def test_a_record_of_another_form_is_damage(locked: tuple[Place, bytes], text: str) -> None:
    place, _ = locked
    place.sql("UPDATE store SET value = ? WHERE name = 'protection'", text)
    for options in ({}, {"passphrase": PASSPHRASE}):
        assert_refused(place, kmskit.ConfigurationError, "damaged", **options)


@pytest.mark.parametrize(
    "wrapped", ["", "AAAA", "*", 7, None, b64encode(bytes(59)).decode(), b64encode(bytes(61)).decode()]
)
def test_a_wrapped_key_of_another_form_is_damage(locked: tuple[Place, bytes], wrapped: object) -> None:
    place, _ = locked
    doctored = record(place) | {"wrapped": wrapped}
    place.sql("UPDATE store SET value = ? WHERE name = 'protection'", json.dumps(doctored))
    assert_refused(place, kmskit.ConfigurationError, "damaged", passphrase=PASSPHRASE)


def test_parameters_within_bounds_are_authenticated(locked: tuple[Place, bytes]) -> None:
    """Cheaper parameters, so that guessing would be quicker: the wrapped key does not open under them."""
    place, _ = locked
    for change in (
        {"memory_kib": 64, "iterations": 1, "lanes": 1},
        {"note": "x"},
        {"salt": b64encode(bytes(16)).decode()},
    ):
        sound = record(place)
        doctored = sound | {"parameters": sound["parameters"] | change}
        place.sql("UPDATE store SET value = ? WHERE name = 'protection'", json.dumps(doctored))
        assert_refused(place, kmskit.AuthenticationError, "passphrase", passphrase=PASSPHRASE)
        place.sql("UPDATE store SET value = ? WHERE name = 'protection'", json.dumps(sound))


def test_the_record_of_one_store_does_not_open_another(locked: tuple[Place, bytes], tmp_path: Path) -> None:
    """The same passphrase, and yet another store key: what was wrapped under the first does not open."""
    place, _ = locked
    (tmp_path / "other").mkdir()
    other = Place(tmp_path / "other")
    other.open(passphrase=PASSPHRASE).close()
    foreign = json.dumps(record(other))
    place.sql("UPDATE store SET value = ? WHERE name = 'protection'", foreign)
    with place.open(passphrase=PASSPHRASE) as kms, pytest.raises(kmskit.ConfigurationError, match="damaged"):
        kms.key("orders").encrypt(b"x")


# Key files


def test_a_lost_key_file_is_never_made_anew(keyed: tuple[Place, bytes]) -> None:
    place, ciphertext = keyed
    kept = place.key_file.read_bytes()
    place.key_file.unlink()
    for _ in range(2):
        assert_refused(place, kmskit.ConfigurationError, "key file of this store is gone")
        assert not place.key_file.exists()
    place.key_file.write_bytes(kept)
    place.key_file.chmod(0o600)
    with place.open() as kms:
        assert kms.key("orders").decrypt(ciphertext) == b"4111-1111"


def test_another_stores_key_file_is_refused(keyed: tuple[Place, bytes], tmp_path: Path) -> None:
    place, _ = keyed
    (tmp_path / "other").mkdir()
    other = Place(tmp_path / "other")
    other.open().close()
    place.key_file.write_bytes(other.key_file.read_bytes())
    assert_refused(place, kmskit.AuthenticationError, "another one's")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o610, 0o644, 0o777])
def test_a_key_file_that_others_can_reach_is_refused(keyed: tuple[Place, bytes], mode: int) -> None:
    place, _ = keyed
    place.key_file.chmod(mode)
    error = assert_refused(place, kmskit.ConfigurationError, "others can read the key file")
    assert "chmod 600" in (error.hint or "")
    place.key_file.chmod(0o400)
    place.open().close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"kmskit key file 1\n",
        b"kmskit key file 2\n" + b64encode(bytes(32)),
        b"kmskit key file 1\n" + b64encode(bytes(31)),
        b"kmskit key file 1\n" + b64encode(bytes(33)),
        b"kmskit key file 1\n" + b"*" * 44,
        b64encode(bytes(32)),
        secrets.token_bytes(100_000),
    ],
    ids=lambda data: f"{len(data)} bytes",
)
def test_a_key_file_of_another_form_is_refused(keyed: tuple[Place, bytes], data: bytes) -> None:
    place, _ = keyed
    place.key_file.write_bytes(data)
    assert_refused(place, kmskit.ConfigurationError, "not a key file of kmskit, or it is damaged")


def test_a_folder_in_the_key_files_place_is_refused(keyed: tuple[Place, bytes]) -> None:
    place, _ = keyed
    place.key_file.unlink()
    place.key_file.mkdir()
    assert_refused(place, kmskit.ConfigurationError, "key file")


@pytest.mark.skipif(os.name != "posix", reason="file permissions of POSIX")
def test_a_key_file_that_cannot_be_read_is_refused(open_place: Place) -> None:
    def attempt() -> str:
        open_place.open().close()
        open_place.key_file.chmod(0)
        with pytest.raises(kmskit.ConfigurationError) as refused:
            open_place.open()
        return str(refused.value)

    assert "key file cannot be read: Permission denied" in as_an_ordinary_user(attempt)


def test_a_key_file_without_a_store_is_used(place: Place) -> None:
    """A crash after the key file and before the store leaves one; someone may also bring one from a backup."""
    place.open().close()
    kept = place.key_file.read_bytes()
    place.path.unlink()
    place.open().close()
    assert place.key_file.read_bytes() == kept


def test_every_store_has_a_key_of_its_own(place: Place) -> None:
    place.open().close()
    first = place.key_file.read_bytes()
    place.path.unlink()
    place.key_file.unlink()
    place.open().close()
    assert place.key_file.read_bytes() != first
    assert len(first.splitlines()[1]) == 44
