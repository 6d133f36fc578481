"""Rotation and deletion by the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import kmskit
from kmskit import KeyState
from tests.backends.software.conftest import Place
from tests.clock import DAY, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_clock_may_tell_an_aware_datetime() -> None:
    with kmskit.connect("software:?memory=1", clock=lambda: datetime(2031, 5, 1, tzinfo=UTC)) as kms:
        key = kms.create_key()
        assert key.created == datetime(2031, 5, 1, tzinfo=UTC)
        key.schedule_deletion(7)
        assert key.deletion_date == datetime(2031, 5, 8, tzinfo=UTC)


def test_a_due_rotation_happens_at_the_next_use(place: Place, clock: Clock) -> None:
    with place.open(clock=clock) as kms:
        key = kms.create_key("orders")
        key.set_rotation(timedelta(days=90))
        first = key.encrypt(b"x")
        clock.advance(91)
        assert len(key.versions) == 1  # A snapshot.
        second = key.encrypt(b"x")
        key.refresh()
        assert len(key.versions) == 2
        assert first[1:5].hex() == key.versions[0]
        assert second[1:5].hex() == key.versions[1] == key.primary_version
        assert key.decrypt(first) == b"x"
        assert key.next_rotation is not None
        assert abs(key.next_rotation.timestamp() - clock() - 90 * DAY) < 60  # Counted from the rotation.
    with place.open(clock=clock) as kms:
        assert len(kms.key("orders").versions) == 2


def test_several_missed_rotations_are_one(place: Place, clock: Clock) -> None:
    with place.open(clock=clock) as kms:
        kms.create_key("orders").set_rotation(timedelta(days=1))
    clock.advance(30)
    with place.open(clock=clock) as kms:
        kms.key("orders").encrypt(b"x")
        assert len(kms.key("orders").versions) == 2


def test_only_enabled_keys_rotate_by_themselves(clock: Clock) -> None:
    with kmskit.connect("software:?memory=1", clock=clock) as kms:
        disabled, doomed, plain = kms.create_key("disabled"), kms.create_key("doomed"), kms.create_key("plain")
        for key in (disabled, doomed):
            key.set_rotation(timedelta(days=10))
        disabled.disable()
        doomed.schedule_deletion(30)
        clock.advance(11)
        plain.encrypt(b"x")
        assert [len(key.versions) for key in kms.keys(spec="AES_256")] == [1, 1, 1]
        disabled.enable()
        disabled.encrypt(b"x")
        assert len(kms.key("disabled").versions) == 2
        assert len(kms.key("doomed").versions) == 1


def test_a_rotation_by_hand_starts_the_period_anew(clock: Clock) -> None:
    with kmskit.connect("software:?memory=1", clock=clock) as kms:
        key = kms.create_key()
        key.set_rotation(timedelta(days=10))
        clock.advance(8)
        key.rotate()
        clock.advance(8)
        key.encrypt(b"x")
        key.refresh()
        assert len(key.versions) == 2
        clock.advance(3)
        key.encrypt(b"x")
        key.refresh()
        assert len(key.versions) == 3


def test_two_processes_make_one_of_a_due_rotation(place: Place, clock: Clock) -> None:
    with place.open(clock=clock) as kms, place.open(clock=clock) as other:
        key, twin = kms.create_key("orders"), other.key("orders")
        key.set_rotation(timedelta(days=10))
        twin.encrypt(b"x")
        clock.advance(11)
        ciphertexts = [key.encrypt(b"x"), twin.encrypt(b"x"), key.encrypt(b"x")]
        assert len(kms.key("orders").versions) == len(other.key("orders").versions) == 2
        assert len({ciphertext[:5] for ciphertext in ciphertexts}) == 1
        assert [twin.decrypt(ciphertext) for ciphertext in ciphertexts] == [b"x"] * 3


def test_a_scheduled_key_is_destroyed_by_purge_and_by_nothing_else(place: Place, clock: Clock) -> None:
    with place.open(clock=clock) as kms:
        key = kms.create_key("orders")
        ciphertext = key.encrypt(b"x")
        key.schedule_deletion(7)
        assert kms.purge() == []
        clock.advance(6.9)
        assert kms.purge() == []
        clock.advance(300)
    with place.open(clock=clock) as kms:
        key = kms.key("orders")
        assert key.state is KeyState.PENDING_DELETION
        with pytest.raises(kmskit.KeyStateError, match="PENDING_DELETION"):
            key.decrypt(ciphertext)
        key.cancel_deletion()  # Due, and not purged yet: nothing is lost by taking it back.
        assert key.decrypt(ciphertext) == b"x"
        key.schedule_deletion(7)
        clock.advance(7.1)
        assert kms.purge() == [key.id]
        with pytest.raises(kmskit.KeyNotFoundError):
            key.decrypt(ciphertext)
    place.assert_sound()
    for table in ("keys", "versions", "aliases", "tags"):
        assert place.sql(f"SELECT count(*) FROM {table}") == [(0,)]


def test_a_cancelled_deletion_gives_the_state_before_back(clock: Clock) -> None:
    with kmskit.connect("software:?memory=1", clock=clock) as kms:
        for prepare, state in ((lambda key: key.disable(), KeyState.DISABLED), (lambda key: None, KeyState.ENABLED)):
            key = kms.create_key()
            prepare(key)
            key.schedule_deletion(7)
            key.cancel_deletion()
            assert key.state is kms.key(key.id).state is state
            assert key.deletion_date is None


def test_keys_are_purged_in_the_order_they_were_made(clock: Clock) -> None:
    with kmskit.connect("software:?memory=1", clock=clock) as kms:
        keys = [kms.create_key() for _ in range(4)]
        for key, days in zip(keys, (30, 7, 100, 8), strict=True):
            key.schedule_deletion(days)
        clock.advance(40)
        assert kms.purge() == [keys[0].id, keys[1].id, keys[3].id]
        assert [key.id for key in kms.keys(state="PENDING_DELETION")] == [keys[2].id]


def test_purge_refuses_a_clock_that_was_set_back(place: Place, clock: Clock) -> None:
    """Set forward by mistake, and back again: the dates in between are not to be trusted."""
    with place.open(clock=clock) as kms:
        key = kms.create_key("orders")
        key.schedule_deletion(7)
        clock.advance(30)
        kms.create_key("made in the future")
        clock.advance(-20)
        with pytest.raises(kmskit.ConfigurationError, match="clock runs behind") as refused:
            kms.purge()
        assert "nothing was destroyed" in str(refused.value)
        assert refused.value.hint
    with place.open(clock=clock) as kms:  # It is remembered in the store.
        with pytest.raises(kmskit.ConfigurationError, match="clock runs behind"):
            kms.purge()
        assert kms.key("orders").state is KeyState.PENDING_DELETION
        assert kms.create_key().encrypt(b"x")
        with pytest.raises(kmskit.ConfigurationError, match="clock runs behind"):
            kms.purge()  # A change with a wrong clock does not set the time back.
        clock.advance(20)
        assert kms.purge() == [key.id]
