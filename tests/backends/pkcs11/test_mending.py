"""A process that is killed while it logs in may cost SoftHSM the whole token, and does not cost kmskit one."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

import kmskit
from kmskit.backends.pkcs11.mending import mend
from kmskit.softhsm import Token
from kmskit.uri import parse
from tests.processes import Child

ROUNDS = [pytest.param(30, id="30"), pytest.param(1000, id="1000", marks=pytest.mark.soak)]


def record_of(token: Token) -> Path:
    (record,) = (token.folder / "tokens").glob("*/token.object")
    return record


def log_in_again_and_again(uri: str) -> None:
    while True:
        kmskit.connect(uri).close()


@pytest.mark.timeout(0)
@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_login_that_is_killed_costs_no_token(token: Token, rounds: int) -> None:
    with kmskit.connect(token.uri) as kms:
        key = kms.create_key("orders")
        ciphertext = key.encrypt(b"x")
    draw, emptied = random.Random(time.time() if os.environ.get("KMSKIT_SOAK") else 4711), 0
    for _ in range(rounds):
        child = Child(log_in_again_and_again, token.uri)
        time.sleep(draw.uniform(0.01, 0.1))
        child.kill()
        emptied += not record_of(token).stat().st_size
        with kmskit.connect(token.uri) as kms:
            assert kms.key("orders").decrypt(ciphertext) == b"x"
    assert rounds < 1000 or emptied  # Few rounds may all miss the moment in which SoftHSM has emptied the file.


def test_an_empty_record_is_put_back(token: Token) -> None:
    with kmskit.connect(token.uri) as kms:
        kms.create_key("orders")
    sound = record_of(token).read_bytes()
    record_of(token).write_bytes(b"")
    with kmskit.connect(token.uri) as kms:
        assert kms.key("orders").state == "ENABLED"
    assert record_of(token).stat().st_size == len(sound)
    assert {file.stat().st_mode & 0o777 for file in (token.folder / "kept").iterdir()} == {0o600}


def test_the_copy_follows_the_record(token: Token) -> None:
    """A PIN that was changed is still the PIN after the record was put back."""
    kmskit.connect(token.uri).close()
    with kmskit.connect(token.uri) as kms:
        session = kms._backend._sessions.token.open(rw=True)  # type: ignore[attr-defined]
        session.set_pin(token.pin_path.read_text().strip(), "another PIN")
        session.close()
    without_file = str(parse(token.uri).with_query(pin_source=None))
    kmskit.connect(without_file, pin="another PIN").close()
    record_of(token).write_bytes(b"")
    kmskit.connect(without_file, pin="another PIN").close()
    with pytest.raises(kmskit.AuthenticationError):
        kmskit.connect(token.uri)


def test_what_cannot_be_looked_at_is_left_to_softhsm(tmp_path: Path) -> None:
    configuration = tmp_path / "softhsm2.conf"
    for text in ("", "nonsense", "directories.tokendir =\n", f"directories.tokendir = {tmp_path}/nowhere\n"):
        configuration.write_text(text)
        mend(str(configuration))
        assert {file.name for file in tmp_path.iterdir()} == {"softhsm2.conf"}
    mend(str(tmp_path / "nowhere.conf"))
