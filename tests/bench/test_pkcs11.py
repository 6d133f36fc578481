"""The rows about tokens are measured, here with few keys, and both sides of each do the same work with the same key."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import kmskit
from kmskit import softhsm
from kmskit.bench import folder
from kmskit.bench import pkcs11 as bench
from kmskit.context import canonical
from tests import parts

CONTEXT = {"tenant": "acme"}


@pytest.fixture(autouse=True)
def _parts_are_there() -> None:
    if reason := bench.missing():
        parts.missing(reason.removesuffix(" is not installed"))


@pytest.fixture
def token(tmp_path: Path) -> softhsm.Token:
    return softhsm.token(tmp_path / "softhsm")


@pytest.fixture
def kms(token: softhsm.Token) -> Iterator[kmskit.Kms]:
    with kmskit.connect(token.uri) as kms:
        yield kms


@pytest.fixture
def bare(token: softhsm.Token, kms: kmskit.Kms) -> Iterator[Any]:
    peer = bench._PythonPkcs11(token)
    yield peer
    peer.close()


@pytest.fixture
def aes(kms: kmskit.Kms) -> kmskit.Key:
    return kms.create_key("orders")


def test_every_row_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "_MEMORY", str(tmp_path))
    monkeypatch.setenv("SOFTHSM2_CONF", "of the user")
    figures = list(bench.figures(keys=6, turns=1))
    limits = {figure.name: figure.limit for figure in figures}
    assert len(limits) == len(figures)
    assert {name: limit for name, limit in limits.items() if limit} == {
        "pkcs11 encrypt 64 B, over python-pkcs11": "at least 0.9",
        "pkcs11 decrypt 64 B, over python-pkcs11": "at least 0.9",
        "pkcs11 sign 1 KiB, ECDSA P-256, over python-pkcs11": "at least 0.9",
        "pkcs11 sign 1 KiB, RSA-2048 PSS, over python-pkcs11": "at least 0.9",
        "pkcs11 encrypt 64 B, over python-pkcs11 that opens, finds and closes, 4 keys": "at least 5",
        "pkcs11 encrypt 64 B, a token of 6 keys over one of 4": "at least 0.9",
    }
    for name in ("64 B, one context pair", "1 KiB", "64 KiB"):
        assert {f"pkcs11 {way} {name}, over python-pkcs11" for way in ("encrypt", "decrypt")} <= limits.keys()
    assert {
        "pkcs11 generate_data_key, over python-pkcs11 that generates and wraps",
        "pkcs11 encrypt 64 B, over python-pkcs11 that opens, finds and closes, 6 keys",
        "pkcs11 encrypt 64 B, over PyKCS11",
    } <= limits.keys()
    assert sum("2 threads over" in name for name in limits) == 6
    assert os.environ["SOFTHSM2_CONF"] == "of the user"
    assert list(tmp_path.iterdir()) == []


def test_what_one_side_encrypts_the_other_decrypts(aes: kmskit.Key, bare: Any) -> None:
    peer = bench._Aes(bare.session, "orders")
    head = aes.encrypt(b"")[:5]
    rows = [*bench._encryption(aes, bare), *bench._finding(aes, bare, "1 key")]
    assert len(rows) == 9
    for row in rows:
        context = CONTEXT if "context" in row.name else None
        ours, theirs = row.ours(), row.peer()
        if "decrypt" in row.name:
            assert ours == theirs, row.name
            continue
        length = 64 if "64 B" in row.name else 65536 if "64 KiB" in row.name else 1024
        assert len(peer.decrypt(ours[5:17], ours[17:], canonical(context))) == length, row.name
        assert aes.decrypt(head + b"".join(theirs), context=context) == peer.decrypt(*theirs, canonical(context))
        assert row.ours() != ours, row.name
        assert row.peer() != theirs, row.name


def test_pykcs11_encrypts_what_kmskit_decrypts(aes: kmskit.Key, token: softhsm.Token) -> None:
    pytest.importorskip("PyKCS11")
    with ExitStack() as stack:
        (row,) = bench._pykcs11(aes, token, stack)
        assert len(aes.decrypt(row.ours()[:5] + b"".join(row.peer()))) == 64
    assert len(aes.decrypt(row.ours())) == 64, "kmskit's own SoftHSM is still there"


def test_both_sides_sign_what_the_key_verifies(kms: kmskit.Kms, bare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    p256, rsa = kms.create_key("p256", spec="EC_P256"), kms.create_key("rsa", spec="RSA_2048")
    monkeypatch.setattr(os, "urandom", bytes)  # So that the message is known.
    for key, row in zip((p256, rsa), bench._signatures(p256, rsa, bare), strict=True):
        key.verify(bytes(1024), row.ours())
        key.verify(bytes(1024), row.peer())


def test_both_sides_make_a_data_key_and_leave_nothing_in_the_token(aes: kmskit.Key, bare: Any) -> None:
    (row,) = bench._data_keys(aes, bare)
    before = len(list(bare.session.get_objects()))
    ours, (secret, wrapped) = row.ours(), row.peer()
    assert len(ours.plaintext) == len(secret) == 32
    assert len(wrapped) == 40
    assert row.peer()[0] != secret
    assert len(list(bare.session.get_objects())) == before


def test_two_threads_share_the_work_of_one(aes: kmskit.Key, kms: kmskit.Kms, bare: Any) -> None:
    rsa = kms.create_key("rsa", spec="RSA_2048")
    with ThreadPoolExecutor(2) as pool:
        assert len(list(bench._threads(aes, rsa, bare, pool))) == 6
        done: list[str] = []
        for row in bench._two_threads("work", 10, lambda: done.append("ours"), [lambda: done.append("peer")] * 2, pool):
            for side, name in ((row.ours, "ours"), (row.peer, "ours" if "1 thread" in row.name else "peer")):
                done.clear()
                side()
                assert done == [name] * 10


def test_a_part_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_there() -> str:
        raise kmskit.ConfigurationError("nowhere")

    with monkeypatch.context() as patch:
        patch.setattr(softhsm, "module_path", not_there)
        assert bench.missing() == "SoftHSM is not installed"
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    assert bench.missing() == "python-pkcs11 is not installed"
