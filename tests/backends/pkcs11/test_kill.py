"""kill -9 while keys are made and rotated: every key that is shown afterwards works, and no alias is blocked.

SoftHSM writes a key pair as two files, one attribute after the other, so a process that is killed leaves lone halves
and objects without a name. They are no keys, and `purge` removes the halves a day later.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from itertools import count
from time import monotonic
from typing import Any

import pytest

import kmskit
from kmskit import AlreadyExistsError, Key, Kms
from kmskit.backends.pkcs11 import inventory
from kmskit.softhsm import Token
from tests.clock import Clock
from tests.processes import Child

ROUNDS = [pytest.param(50, id="50"), pytest.param(1000, id="1000", marks=pytest.mark.soak)]
SPECS = ("AES_256", "EC_P256", "RSA_2048", "HMAC_256", "ED25519")


def use(key: Key) -> None:
    if key.usage == "ENCRYPT_DECRYPT":
        assert key.decrypt(key.encrypt(b"x")) == b"x"
    elif key.usage == "SIGN_VERIFY":
        key.verify(b"x", key.sign(b"x"))
    else:
        key.verify_mac(b"x", key.mac(b"x"))


def make(kms: Kms, mark: str) -> Iterator[str]:
    for number in count():
        kms.create_key(f"{mark}-{number}", spec=SPECS[number % len(SPECS)])
        yield f"{mark}-{number}"


def turn(kms: Kms, mark: str) -> Iterator[str]:
    while True:
        key = kms.key("turned")
        key.rotate()
        yield key.primary_version


def start(token: Token, work: Any, mark: str) -> tuple[int, Child]:
    """A child that works and reports each thing that is done; and where to read the reports."""
    reports, report = os.pipe()

    def child() -> None:
        with kmskit.connect(token.uri) as kms:
            for done in work(kms, mark):
                os.write(report, f"{done}\n".encode())

    running = Child(child)
    os.close(report)
    return reports, running


def _seconds_to_the_first_report(token: Token, work: Any) -> float:
    begin = monotonic()
    reports, running = start(token, work, f"unhurt {begin}")
    os.read(reports, 1000)
    seconds = monotonic() - begin
    running.kill()
    os.close(reports)
    return seconds


def killed_rounds(token: Token, work: Any, rounds: int) -> Iterator[tuple[str, list[str]]]:
    """For each round its mark, and what the child had reported when it was killed."""
    draw = random.Random(time.time() if os.environ.get("KMSKIT_SOAK") else 4711)
    patience = max(_seconds_to_the_first_report(token, work) for _ in range(3))
    total = 0
    for index in range(rounds):
        reports, running = start(token, work, str(index))
        time.sleep(draw.uniform(0, 2 * patience))
        running.kill()
        with os.fdopen(reports, "rb") as pipe:
            done = pipe.read().decode().splitlines()
        total += len(done)
        yield str(index), done
    assert total > rounds // 10  # Or else most kills came before the first change, and little was tested.


@pytest.mark.timeout(0)
@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_killed_process_leaves_no_phantom_key(token: Token, rounds: int) -> None:
    for mark, done in killed_rounds(token, make, rounds):
        with kmskit.connect(token.uri) as kms:
            of_round = [
                key for key in kms.keys(state="ENABLED") if key.aliases and key.aliases[0].startswith(f"{mark}-")
            ]
            for key in of_round:
                use(key)
            assert set(done) <= {key.aliases[0] for key in of_round}
            alias = f"{mark}-{len(done)}"  # The one that was under way.
            try:
                use(kms.create_key(alias, spec=SPECS[len(done) % len(SPECS)]))
            except AlreadyExistsError:
                use(kms.key(alias))
    clock = Clock()
    clock.advance(2)
    with kmskit.connect(token.uri, clock=clock) as kms:
        nameless = [key for key in kms.keys(state="ENABLED") if not key.aliases]
        for key in nameless:  # Whole keys, whose alias had gone to another one.
            use(key)
        kms.purge()
        backend: Any = kms._backend
        assert backend._keys.run(inventory.unfinished) == []


@pytest.mark.timeout(0)
@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_killed_rotation_costs_no_version(token: Token, rounds: int) -> None:
    with kmskit.connect(token.uri) as kms:
        key = kms.create_key("turned")
        ciphertexts = {key.primary_version: key.encrypt(b"x")}
    for _, done in killed_rounds(token, turn, rounds):
        with kmskit.connect(token.uri) as kms:
            key = kms.key("turned")
            assert key.state == "ENABLED"
            assert {*ciphertexts, *done} <= set(key.versions)
            new = key.encrypt(b"x")
            ciphertexts[key.primary_version] = new
            assert kmskit.explain(new).key_version == key.primary_version == key.versions[-1]
            for ciphertext in random.Random(0).sample(sorted(ciphertexts.values()), min(5, len(ciphertexts))):
                assert key.decrypt(ciphertext) == b"x"
