"""One store in several processes and threads, and across a fork."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

import kmskit
from kmskit import Kms
from kmskit.testing.conformance.base import listed
from tests.backends.software.conftest import Place
from tests.processes import Child, in_child


class Gate:
    """Lets several processes start at the same moment."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def wait(self) -> None:
        os.read(self._read, 1)

    def open(self, number: int) -> None:
        os.write(self._write, b"x" * number)


def test_two_processes_rotate_the_same_key_at_once(place: Place) -> None:
    with place.open() as kms:
        kms.create_key("orders")
    gate = Gate()

    def rotate() -> list[bytes]:
        with place.open() as kms:
            key = kms.key("orders")
            gate.wait()
            ciphertexts = []
            for _ in range(25):
                key.rotate()
                ciphertexts.append(key.encrypt(b"x"))
            return ciphertexts

    children = [Child(rotate), Child(rotate)]
    gate.open(2)
    ciphertexts = [ciphertext for child in children for ciphertext in child.result()]
    with place.open() as kms:
        key = kms.key("orders")
        assert len(key.versions) == len(set(key.versions)) == 51
        assert [key.decrypt(ciphertext) for ciphertext in ciphertexts] == [b"x"] * 50
    place.assert_sound()


@pytest.mark.parametrize("protection", ["key file", "passphrase"])
def test_many_processes_make_the_same_new_store_at_once(place: Place, protection: str) -> None:
    options = {"passphrase": "correct horse"} if protection == "passphrase" else {}
    number = 3 if options else 8
    for _ in range(1 if options else 5):
        gate = Gate()

        def make(index: int, gate: Gate = gate) -> bytes:
            gate.wait()
            with place.open(**options) as kms:
                return kms.create_key(f"key {index}").encrypt(b"x")

        children = [Child(make, index) for index in range(number)]
        gate.open(number)
        ciphertexts = [child.result() for child in children]
        with place.open(**options) as kms:
            assert len(listed(kms)) == number
            for index, ciphertext in enumerate(ciphertexts):
                assert kms.key(f"key {index}").decrypt(ciphertext) == b"x"
        place.assert_sound()
        assert set(place.contents()) == {"keys.db"} | ({"keys.db.key"} if not options else set())
        for file in place.folder.iterdir():
            file.unlink()


def test_two_processes_give_an_alias_to_one_key(place: Place) -> None:
    place.open().close()
    gate = Gate()

    def name() -> list[str]:
        taken = []
        with place.open() as kms:
            gate.wait()
            for number in range(30):
                try:
                    taken.append(kms.create_key(f"key {number}").id)
                except kmskit.AlreadyExistsError:
                    continue
        return taken

    children = [Child(name), Child(name)]
    gate.open(2)
    made = [key_id for child in children for key_id in child.result()]
    with place.open() as kms:
        assert sorted(listed(kms)) == sorted(made)
        assert {kms.key(f"key {number}").id for number in range(30)} == set(made)


@pytest.mark.parametrize("change", ["disable", "schedule_deletion"])
def test_a_key_that_another_process_disabled_is_refused_within_a_second(place: Place, change: str) -> None:
    with place.open() as kms:
        key = kms.create_key("orders")
        ciphertext = key.encrypt(b"x")

        def disable() -> float:
            with place.open() as other:
                other.key("orders").disable() if change == "disable" else other.key("orders").schedule_deletion(7)
            return time.monotonic()

        def use_until_refused() -> float:
            for _ in iter(lambda: time.monotonic() < end, False):
                try:
                    key.decrypt(ciphertext)
                except kmskit.KeyStateError:
                    return time.monotonic()
            pytest.fail("the key was never refused")

        end = time.monotonic() + 30
        child = Child(disable)
        refused = use_until_refused()
        assert refused - child.result() < 1.5  # One second, and half of one for a busy machine.


def test_changes_of_another_process_are_seen(place: Place) -> None:
    with place.open() as kms:
        key = kms.create_key("orders")
        old = key.encrypt(b"x")

        def change() -> bytes:
            with place.open() as other:
                twin = other.key("orders")
                twin.rotate()
                twin.add_alias("also orders")
                return twin.encrypt(b"new")

        new = in_child(change)
        assert key.decrypt(old) == b"x"
        time.sleep(1.05)
        assert key.decrypt(new) == b"new"
        assert kms.key("also orders") == key
        assert len(kms.key("orders").versions) == 2


# Fork


@contextmanager
def busy(kms: Kms) -> Iterator[list[str]]:
    """Threads that encrypt, sign and make keys while the block runs; they may not fail. Gives the aliases made."""
    stop, made, failures = Event(), [], []
    key, signer = kms.key("orders"), kms.key("releases")

    def work(number: int) -> None:
        try:
            done = 0
            while not stop.is_set():
                assert key.decrypt(key.encrypt(b"x", context={"a": "b"}), context={"a": "b"}) == b"x"
                signer.verify(b"x", signer.sign(b"x"))
                if done % 20 == 0:
                    made.append(kms.create_key(f"of thread {number}, {done}").aliases[0])
                done += 1
        except BaseException as error:  # noqa: BLE001  # A thread cannot raise to the test; the test raises it.
            failures.append(error)

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not failures
    assert made


def test_a_fork_in_the_middle_of_everything(place: Place) -> None:
    with place.open() as kms:
        key, signer = kms.create_key("orders"), kms.create_key("releases", spec="EC_P256")
        ciphertext = key.encrypt(b"of the parent")

        def use(index: int) -> tuple[bytes, bytes]:
            """What a child does with the objects it found in its memory."""
            assert key.decrypt(ciphertext) == b"of the parent"
            signer.verify(b"x", signer.sign(b"x"))
            made = kms.create_key(f"of child {index}")
            made.rotate()
            assert kms.key("orders") == key
            return made.encrypt(b"of the child"), key.encrypt(b"of the child")

        with busy(kms) as made:
            answers = []
            for index in range(0, 12, 2):
                pair = [Child(use, index), Child(use, index + 1)]
                answers += [child.result() for child in pair]
            assert key.decrypt(ciphertext) == b"of the parent"
        for index, (own, shared) in enumerate(answers):
            assert kms.key(f"of child {index}").decrypt(own) == b"of the child"
            assert key.decrypt(shared) == b"of the child"
        assert len({own[5:17] for own, _ in answers} | {shared[5:17] for _, shared in answers}) == 24  # IVs
        assert len(listed(kms)) == 2 + 12 + len(made)
    place.assert_sound()


def test_a_child_has_its_own_store_in_memory() -> None:
    """Memory is copied by a fork, and with it such a store: what the child changes, the parent does not see."""
    with kmskit.connect("software:?memory=1") as kms:
        key = kms.create_key("orders")
        ciphertext = key.encrypt(b"x")

        def change() -> bytes:
            kms.create_key("of the child")
            key.rotate()
            return key.decrypt(ciphertext)

        assert in_child(change) == b"x"
        assert len(listed(kms)) == 1
        assert len(kms.key("orders").versions) == 1


def test_a_child_of_a_closed_store_gets_it_closed(place: Place) -> None:
    kms = place.open()
    kms.close()

    def use() -> None:
        with pytest.raises(kmskit.ConfigurationError, match="closed"):
            kms.create_key()

    in_child(use)


def test_a_child_goes_on_after_its_parent_has_closed_the_store(place: Place) -> None:
    """The parent closes as if it were alone, which deletes the log, unless the child's locks are the child's own."""
    closed, changed = Gate(), Gate()
    kms = place.open()
    key = kms.create_key("orders")

    def change() -> bytes:
        kms.create_key("early")
        changed.open(1)
        closed.wait()
        kms.create_key("late").rotate()
        return key.encrypt(b"x")

    child = Child(change)
    changed.wait()
    assert kms.key("early").encrypt(b"x")
    kms.close()
    closed.open(1)
    ciphertext = child.result()
    with place.open() as again:
        assert again.key("orders").decrypt(ciphertext) == b"x"
        assert len(again.key("late").versions) == 2
    place.assert_sound()


def test_a_parent_goes_on_after_its_children_have_gone(place: Place) -> None:
    with place.open() as kms:
        for number in range(5):
            assert in_child(lambda number=number: kms.create_key(f"of child {number}").aliases) == (
                f"of child {number}",
            )
            kms.create_key(f"of the parent {number}")
    with place.open() as kms:
        assert len(listed(kms)) == 10
    place.assert_sound()


def test_a_fork_costs_a_cached_key_nothing_but_a_look(place: Place) -> None:
    """Parent and child open the file anew, and see what the other changed meanwhile."""
    with place.open() as kms:
        key = kms.create_key("orders")
        key.encrypt(b"x")
        in_child(key.disable)
        time.sleep(1.05)
        with pytest.raises(kmskit.KeyStateError):
            key.encrypt(b"x")


def test_a_child_that_lost_the_store_says_so_at_its_first_use(place: Place) -> None:
    """The fork itself may not fail."""
    with place.open() as kms:
        kms.create_key("orders")

        def use() -> None:
            for file in place.folder.iterdir():
                file.unlink()
            with pytest.raises(kmskit.ConfigurationError, match="file or folder"):
                kms.create_key()

        in_child(use)
