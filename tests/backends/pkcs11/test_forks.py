"""Forks: a child logs in anew, and no thread of the parent is caught inside of the module."""

from __future__ import annotations

import os
import signal
import warnings
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

import pytest

import kmskit
from kmskit import Key, Kms, softhsm
from kmskit.softhsm import Token
from tests.processes import Child, in_child

PATIENCE = 60.0


def use(kms: Kms, key: Key, ciphertext: bytes) -> tuple[bytes, bytes, str]:
    """What a child does: use the parent's key, make one of its own, and use both."""
    opened = key.decrypt(ciphertext)
    made = kms.create_key()
    assert made.decrypt(made.encrypt(b"x")) == b"x"
    return opened, key.encrypt(b"from the child"), made.id


def test_a_child_uses_the_keys_of_its_parent(kms: Kms) -> None:
    key = kms.create_key("orders")
    opened, answer, made = in_child(use, kms, key, key.encrypt(b"from the parent"))
    assert opened == b"from the parent"
    assert key.decrypt(answer) == b"from the child"
    assert kms.key(made).state == "ENABLED"
    assert key.decrypt(key.encrypt(b"the parent goes on")) == b"the parent goes on"


def test_a_grandchild_does_too(kms: Kms) -> None:
    key = kms.create_key()
    ciphertext = key.encrypt(b"x")

    def child() -> bool:
        return key.decrypt(ciphertext) == b"x" and _fork_and_wait(lambda: key.decrypt(ciphertext) == b"x") == 0

    assert _fork_and_wait(child) == 0


def test_a_child_that_does_not_touch_the_token_does_not_log_in(kms: Kms) -> None:
    kms.create_key()
    generation = kms._backend._sessions.module.generation  # type: ignore[attr-defined]
    assert in_child(lambda: kms._backend._sessions.module.generation) == generation  # type: ignore[attr-defined]


def test_a_handle_of_the_parent_is_never_taken_for_a_key_of_the_child(kms: Kms) -> None:
    """Handles begin anew in a child, where the same number is another key."""
    keys = [kms.create_key() for _ in range(5)]
    ciphertexts = [key.encrypt(key.id.encode()) for key in keys]

    def child() -> list[bytes]:
        # In the other order, so that the numbers are given out otherwise.
        return [key.decrypt(ciphertext) for key, ciphertext in list(zip(keys, ciphertexts, strict=True))[::-1]]

    assert in_child(child) == [key.id.encode() for key in reversed(keys)]


def test_forks_while_threads_work_neither_hang_nor_crash(token: Token) -> None:
    """Each of 40 children, forked while four threads are in calls, does its work and ends well."""
    with kmskit.connect(token.uri) as kms:
        key, signer = kms.create_key("orders"), kms.create_key(spec="EC_P256")
        ciphertext = key.encrypt(b"x")
        stop, wrong = Event(), []

        def work(number: int) -> None:
            try:
                while not stop.is_set():
                    assert key.decrypt(key.encrypt(b"y")) == b"y"
                    signer.verify(b"z", signer.sign(b"z"))
                    if number == 0:
                        kms.key("orders")
                    if number == 1:
                        kms.create_key()
            except BaseException as error:  # noqa: BLE001  # Whatever it is, it is what the test looks for.
                wrong.append(error)

        threads = [Thread(target=work, args=(number,), daemon=True) for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(40):
                status = _fork_and_wait(lambda: key.decrypt(ciphertext) == b"x" and bool(key.encrypt(b"more")))
                assert status == 0, f"a child ended with {status}"
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE)
        assert not wrong
        assert key.decrypt(ciphertext) == b"x"


def test_threads_that_fork_at_the_same_time_do_not_hang(kms: Kms) -> None:
    key = kms.create_key()
    ciphertext, wrong = key.encrypt(b"x"), list[int]()

    def work() -> None:
        statuses = [_fork_and_wait(lambda: key.decrypt(ciphertext) == b"x") for _ in range(20)]
        wrong.extend(filter(None, statuses))

    threads = [Thread(target=work, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert not wrong
    assert key.decrypt(key.encrypt(b"x")) == b"x"


def test_a_child_ends_cleanly_and_leaves_the_parents_session_alone(kms: Kms) -> None:
    key = kms.create_key()
    ciphertext = key.encrypt(b"x")
    child = Child(lambda: (kms.close(), "closed")[1])
    assert child.result() == "closed"
    assert key.decrypt(ciphertext) == b"x"


def test_a_session_that_an_interrupt_has_lost_holds_up_no_fork(kms: Kms) -> None:
    key = kms.create_key()
    sessions: Any = kms._backend._sessions  # type: ignore[attr-defined]
    sessions.acquire()  # And nobody has it.
    with sessions.module.lock:
        assert sessions.module.wait_for(sessions, 1)
        sessions.go_on(handles_are_good=True)
    assert in_child(lambda: key.decrypt(key.encrypt(b"x")) == b"x") is True


def _fork_and_wait(work: object) -> int:
    """The exit status of a child that does something: 0 done, 1 wrong, negative a signal, 99 a child that hangs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            os._exit(0 if work() else 1)  # type: ignore[operator]
        finally:
            os._exit(2)
    end = monotonic() + PATIENCE
    while monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 99


@pytest.mark.soak
def test_forks_while_threads_work_many_times(tmp_path: Path) -> None:
    for number in range(10):
        test_forks_while_threads_work_neither_hang_nor_crash(softhsm.token(tmp_path / str(number)))
