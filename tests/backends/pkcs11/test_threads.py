"""Threads: what crashes SoftHSM under stock python-pkcs11 does not under kmskit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Barrier, Thread

import pytest

import kmskit
from kmskit.softhsm import Token
from tests.backends.pkcs11.conftest import is_free

ROOT = Path(__file__).parents[3]


def stress(token: Token, seconds: float) -> None:
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.backends.pkcs11.stress", token.uri, str(seconds)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 60)
    assert run.returncode == 0, f"exit status {run.returncode}\n{run.stdout}\n{run.stderr}"
    assert run.stdout.startswith("Counter")
    assert not run.stderr


def test_eight_threads_do_everything_at_once(token: Token) -> None:
    stress(token, 10)


@pytest.mark.soak
def test_eight_threads_do_everything_for_a_minute(token: Token) -> None:
    stress(token, 60)


def test_a_session_belongs_to_one_call_at_a_time_and_is_used_again(kms: kmskit.Kms) -> None:
    key = kms.create_key()
    backend = kms._backend
    for _ in range(20):
        key.encrypt(b"x")
    assert len(backend._sessions._all) == 1  # type: ignore[attr-defined]
    together = Barrier(6)

    def work() -> None:
        together.wait(10)
        for _ in range(200):
            assert key.decrypt(key.encrypt(b"x")) == b"x"

    threads = [Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    sessions = backend._sessions  # type: ignore[attr-defined]
    assert 1 <= len(sessions._all) <= 6
    assert len(sessions._free) == len(sessions._all)  # Threads have ended; their sessions have not gone with them.


def test_a_module_that_cannot_lock_is_used_by_one_thread_at_a_time(token: Token) -> None:
    """SoftHSM can lock, so it is told that it cannot: eight threads then come one after the other."""
    with kmskit.connect(token.uri) as kms:
        sessions = kms._backend._sessions  # type: ignore[attr-defined]
        sessions.module.cryptoki.locks = False
        key, wrong = kms.create_key(), []

        def work() -> None:
            for _ in range(50):
                if key.decrypt(key.encrypt(b"x")) != b"x":
                    wrong.append(1)
                if len(sessions._all) - len(sessions._free) > 1:
                    wrong.append(2)

        threads = [Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not wrong
        with pytest.raises(kmskit.InvalidCiphertextError):
            key.decrypt(bytes(64))
        assert is_free(sessions.module.lock)  # Nothing is left held after an error either.
