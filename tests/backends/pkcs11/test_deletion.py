"""Deletion, seen from two machines that share a token and not their notes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

import kmskit
from kmskit import ConfigurationError, KeyNotFoundError, KeyStateError, Kms
from kmskit.softhsm import Token
from kmskit.uri import parse
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def here(token: Token, clock: Clock) -> Iterator[Kms]:
    with kmskit.connect(token.uri, clock=clock) as kms:
        yield kms


@pytest.fixture
def there(token: Token, clock: Clock, tmp_path: Path) -> Iterator[Kms]:
    """The same token from a machine with notes of its own: they lie beside the configuration."""
    folder = tmp_path / "another machine"
    folder.mkdir()
    copyfile(token.folder / "softhsm2.conf", folder / "softhsm2.conf")
    uri = parse(token.uri).with_query(x_softhsm2_conf=str(folder / "softhsm2.conf"))
    with kmskit.connect(str(uri), clock=clock) as kms:
        yield kms


def test_another_machine_finds_keys_by_id_and_by_their_first_alias(here: Kms, there: Kms) -> None:
    key = here.create_key("orders", description="cards", tags={"a": "b"})
    key.add_alias("second")
    seen = there.key("orders")
    assert seen == key
    assert (seen.aliases, seen.description, dict(seen.tags)) == (("orders",), "", {})
    assert seen.created == key.created
    assert there.key(key.id).decrypt(key.encrypt(b"x")) == b"x"
    with pytest.raises(KeyNotFoundError):
        there.key("second")
    with pytest.raises(kmskit.AlreadyExistsError):
        there.create_key("orders")
    key.remove_alias("orders")
    assert there.key("second") == key  # The label has followed.
    with pytest.raises(KeyNotFoundError):
        there.key("orders")
    other = there.create_key("orders")
    assert here.key("orders") == other


def test_a_scheduled_deletion_is_a_disabled_key_elsewhere(here: Kms, there: Kms) -> None:
    key = here.create_key("orders")
    ciphertext = key.encrypt(b"x")
    key.schedule_deletion(7)
    seen = there.key("orders")
    assert (seen.state, seen.deletion_date) == ("DISABLED", None)
    with pytest.raises(KeyStateError, match="DISABLED"):
        seen.decrypt(ciphertext)


def test_what_another_machine_has_enabled_is_not_destroyed(here: Kms, there: Kms, clock: Clock) -> None:
    key = here.create_key("orders")
    ciphertext = key.encrypt(b"x")
    key.schedule_deletion(7)
    there.key("orders").enable()
    clock.advance(8)
    assert here.purge() == []
    assert key.decrypt(ciphertext) == b"x"
    assert here.key("orders").state == "ENABLED"
    key.refresh()
    assert key.deletion_date is None
    key.schedule_deletion(7)  # It can be scheduled again.
    clock.advance(8)
    assert there.purge() == []  # That machine knows of no date.
    assert here.purge() == [key.id]
    for kms in (here, there):
        with pytest.raises(KeyNotFoundError):
            kms.key(key.id)
    assert there.create_key("orders").state == "ENABLED"


def test_one_version_that_is_enabled_keeps_the_whole_key(here: Kms, clock: Clock) -> None:
    """Whatever has switched it on: on the token the key is not disabled."""
    from kmskit.backends.pkcs11.cryptoki import TRUE

    key = here.create_key()
    key.rotate()
    key.schedule_deletion(7)
    backend: Any = here._backend
    found = backend._keys.find(key.id)
    backend._keys.run(lambda session: session.set_attributes(found.materials[0].handle, {0x105: TRUE}))  # CKA_DECRYPT
    clock.advance(8)
    assert here.purge() == []
    key.refresh()
    assert len(key.versions) == 2
    assert key.state == "DISABLED"


def test_purge_destroys_every_object_of_a_key_and_no_other(here: Kms, clock: Clock) -> None:
    keys = [here.create_key(spec=spec) for spec in ("AES_256", "RSA_2048", "EC_P256", "HMAC_256")]
    kept = here.create_key("kept", spec="EC_P256")
    keys[0].rotate()
    for key in keys:
        key.schedule_deletion(7)
    clock.advance(8)
    assert set(here.purge()) == {key.id for key in keys}
    backend: Any = here._backend
    assert len(backend._keys.run(lambda session: session.find({1: b"\1"}))) == 2  # The halves of the key that is kept.
    kept.verify(b"x", kept.sign(b"x"))
    assert here.purge() == []


def test_purge_refuses_a_clock_that_runs_behind(token: Token, clock: Clock) -> None:
    with kmskit.connect(token.uri, clock=clock) as kms:
        key = kms.create_key()
        key.schedule_deletion(7)
        clock.advance(30)
        kms.create_key()
        clock.advance(-20)
        with pytest.raises(ConfigurationError, match="clock"):
            kms.purge()
        assert kms.key(key.id).state == "PENDING_DELETION"
        clock.advance(20)
        assert kms.purge() == [key.id]


def test_a_cancelled_deletion_goes_back_to_the_state_before(here: Kms) -> None:
    enabled, disabled = here.create_key(), here.create_key()
    disabled.disable()
    for key in (enabled, disabled):
        key.schedule_deletion(7)
        key.cancel_deletion()
    assert (enabled.state, disabled.state) == ("ENABLED", "DISABLED")


def test_without_its_notes_a_key_still_works(token: Token) -> None:
    with kmskit.connect(token.uri) as kms:
        key = kms.create_key("orders", description="cards", tags={"a": "b"})
        key.rotate()
        ciphertext = key.encrypt(b"x")
        versions = key.versions
    for file in token.folder.glob("notes-*"):
        file.unlink()
    with kmskit.connect(token.uri) as kms:
        found = kms.key("orders")
        assert (found.id, found.versions, found.description, dict(found.tags)) == (key.id, versions, "", {})
        assert found.decrypt(ciphertext) == b"x"
        assert not list(token.folder.glob("notes-*"))  # Nothing was changed, so nothing is noted.
        found.update(tags={"a": "c"})
        assert kms.key("orders").aliases == ("orders",)
        assert list(token.folder.glob("notes-*"))
