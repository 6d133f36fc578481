"""kill -9 in the middle of a change: the store always opens, and holds the old state or the new.

Each round forks a child from one warm process. The child opens a copy of a store and makes one change after another,
reporting each; it is killed at a random moment. Then the parent opens the store. What was reported is there, whole; of
the change that was under way either all is there, or nothing.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from kmskit import Kms
from kmskit.testing.conformance.base import listed
from tests.backends.software.conftest import Place
from tests.clock import Clock
from tests.processes import Child

ROUNDS = [pytest.param(50, id="50"), pytest.param(1000, id="1000", marks=pytest.mark.soak)]
PRIVATE = ec.generate_private_key(ec.SECP256R1())


class Fleet:
    """Rounds of children that are killed while they work on copies of a store."""

    def __init__(self, folder: Path) -> None:
        (folder / "template").mkdir()
        self.template = Place(folder / "template")
        self._folder = folder
        self._draw = random.Random(time.time() if os.environ.get("KMSKIT_SOAK") else 4711)

    def rounds(self, number: int, work: Callable[[Place], Iterator[object]]) -> Iterator[tuple[Place, int]]:
        """For each round the store that a killed child leaves, and how many changes the child had reported."""
        patience = max(self._seconds_to_the_first_report(work) for _ in range(3))
        reported = 0
        for index in range(number):
            place = self._copy(str(index))
            reports, running = self._start(place, work)
            time.sleep(self._draw.uniform(0, 2 * patience))
            running.kill()
            with os.fdopen(reports, "rb") as pipe:
                done = pipe.read().count(b".")
            reported += done
            yield place, done
            place.assert_sound()
            shutil.rmtree(place.folder)
        assert reported > number // 10  # Or else most kills came before the first change, and little was tested.

    def _copy(self, name: str) -> Place:
        return Place(Path(shutil.copytree(self.template.folder, self._folder / name)))

    def _seconds_to_the_first_report(self, work: Callable[[Place], Iterator[object]]) -> float:
        place = self._copy("unhurt")
        start = time.monotonic()
        reports, running = self._start(place, work)
        assert os.read(reports, 1) == b"."
        seconds = time.monotonic() - start
        running.kill()
        os.close(reports)
        shutil.rmtree(place.folder)
        return seconds

    @staticmethod
    def _start(place: Place, work: Callable[[Place], Iterator[object]]) -> tuple[int, Child]:
        """A child that does the work and writes a byte after each change; and where to read them."""
        reports, report = os.pipe()

        def child() -> None:
            for _ in work(place):
                os.write(report, b".")
            time.sleep(60)  # Until it is killed.

        running = Child(child)
        os.close(report)
        return reports, running


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def assert_whole(kms: Kms, alias: str) -> None:
    """A key that was made in one piece: alias, description, tags and material."""
    key = kms.key(alias)
    assert (key.aliases, key.description, dict(key.tags)) == ((alias,), "d" * 3000, {"made": alias})
    assert len(key.versions) == 1
    if key.spec == "AES_256":
        assert key.decrypt(key.encrypt(b"x")) == b"x"
    else:
        assert key.public_key() == PRIVATE.public_key()
        key.verify(b"x", key.sign(b"x"))


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("operation", ["create", "import"])
def test_a_killed_process_leaves_whole_keys_only(fleet: Fleet, operation: str, rounds: int) -> None:
    fleet.template.open().close()

    def make(place: Place) -> Iterator[object]:
        with place.open() as kms:
            for number in count():
                alias = f"key {number}"
                facts = {"description": "d" * 3000, "tags": {"made": alias}}
                if operation == "create":
                    yield kms.create_key(alias, **facts)
                else:
                    yield kms.import_key(alias, PRIVATE, "EC_P256", **facts)

    for place, done in fleet.rounds(rounds, make):
        with place.open() as kms:
            assert len(listed(kms)) in (done, done + 1)
            for number in range(len(listed(kms))):
                assert_whole(kms, f"key {number}")
            assert kms.create_key("afterwards").encrypt(b"x")


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_killed_rotation_leaves_the_old_version_or_the_new(fleet: Fleet, rounds: int) -> None:
    with fleet.template.open() as kms:
        ciphertext = kms.create_key("orders").encrypt(b"before")

    def rotate(place: Place) -> Iterator[object]:
        with place.open() as kms:
            while True:
                yield kms.key("orders").rotate()

    for place, done in fleet.rounds(rounds, rotate):
        with place.open() as kms:
            key = kms.key("orders")
            assert len(key.versions) - 1 in (done, done + 1)
            assert key.primary_version == key.versions[-1]
            assert key.decrypt(ciphertext) == b"before"
            assert key.encrypt(b"x")[1:5].hex() == key.primary_version
            key.rotate()
            assert key.decrypt(key.encrypt(b"after")) == b"after"


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_process_killed_while_it_makes_a_store_leaves_one_that_can_be_made(fleet: Fleet, rounds: int) -> None:
    def make(place: Place) -> Iterator[object]:
        with place.open() as kms:
            yield kms.create_key("orders")

    for place, done in fleet.rounds(rounds, make):
        with place.open() as kms:
            assert len(listed(kms)) in ({1} if done else {0, 1})
            for key_id in listed(kms):
                assert kms.key(key_id).aliases == ("orders",)
                assert kms.key(key_id).encrypt(b"x")
        assert place.sql("PRAGMA journal_mode") == [("wal",)]
        assert {file.stat().st_mode & 0o777 for file in place.folder.iterdir()} == {0o600}


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_killed_purge_leaves_all_that_was_due_or_nothing(fleet: Fleet, rounds: int) -> None:
    clock = Clock()
    with fleet.template.open(clock=clock) as kms:
        kept = kms.create_key("kept")
        ciphertext = kept.encrypt(b"x")
        for _ in range(30):
            kms.create_key().schedule_deletion(7)
    clock.advance(8)

    def purge(place: Place) -> Iterator[object]:
        with place.open(clock=clock) as kms:
            yield kms.purge()

    for place, done in fleet.rounds(rounds, purge):
        with place.open(clock=clock) as kms:
            assert len(listed(kms)) in ({1} if done else {1, 31})
            assert len(kms.purge()) in (0, 30)
            assert listed(kms) == [kept.id]
            assert kms.key("kept").decrypt(ciphertext) == b"x"
