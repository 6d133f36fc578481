"""SoftHSM tokens in folders of their own, and ways to reach one beside kmskit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pkcs11 import _pkcs11

import kmskit
from kmskit import softhsm
from kmskit.backends.pkcs11.places import find_modules
from kmskit.softhsm import Token
from kmskit.uri import parse
from tests.parts import missing


@pytest.fixture(scope="session", autouse=True)
def _softhsm() -> None:
    if "SoftHSM" not in dict(find_modules()):
        missing("SoftHSM")


@pytest.fixture
def token(tmp_path: Path) -> Token:
    """A token that no other test has."""
    return softhsm.token(tmp_path / "softhsm")


@pytest.fixture
def kms(token: Token) -> Iterator[kmskit.Kms]:
    with kmskit.connect(token.uri) as kms:
        yield kms


@pytest.fixture
def shared_uri(token: Token, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A URI of the token by which kmskit uses the library itself, so that other code of the process shares its state.

    The notes then lie in the user's data folder, which is the test's own.
    """
    monkeypatch.setenv("SOFTHSM2_CONF", str(token.folder / "softhsm2.conf"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return str(parse(token.uri).with_query(x_softhsm2_conf=None))


def library(path: str) -> Any:
    """python-pkcs11's object for a library that is initialised already."""
    kind: Any = _pkcs11.lib
    return kind.__new__(kind, path)


def token_of(path: str, label: str = "kmskit") -> Any:
    """A token as other code of this process finds it."""
    tokens = [slot.get_token() for slot in library(path).get_slots(token_present=True)]
    return next(token for token in tokens if token.label == label)


def is_free(lock: Any) -> bool:
    """Whether no thread holds a lock: asked by another thread, since the one that holds it may take it once more."""
    got: list[bool] = []

    def ask() -> None:
        got.append(lock.acquire(timeout=5))
        if got[0]:
            lock.release()

    thread = Thread(target=ask)
    thread.start()
    thread.join()
    return got[0]
