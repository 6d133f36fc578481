"""The rows about the cloud are measured, here with few calls, and both sides of each do the same work with one key."""

from __future__ import annotations

import json
import os
import sys
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing

import pytest

import kmskit
from kmskit.bench import __main__ as program
from kmskit.bench import cloud as bench
from kmskit.bench.presigned import serve
from kmskit.bench.ratios import Figure, Verdict


@pytest.fixture(scope="module")
def emulator() -> Iterator[bench._Emulator]:
    with bench._no_proxies(), closing(bench._Emulator()) as emulator:
        yield emulator


@pytest.fixture
def key(emulator: bench._Emulator) -> Iterator[kmskit.Key]:
    with emulator.connect() as kms:
        yield kms.key(emulator.aes)


def test_every_row_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    figures = list(bench.figures(calls=20, items=2, turns=1))
    limits = {figure.name: figure.limit for figure in figures}
    assert limits == {
        "emulator, computed for an Encrypt": "",
        "emulator, Encrypt calls a second, 8 connections": "at least 1,000 /s",
        "emulator, Decrypt calls a second, 8 connections": "",
        "emulator, GenerateDataKey calls a second, 8 connections": "",
        "emulator, AsymmetricSign calls a second, 8 connections": "",
        "alibaba encrypt 64 B, over the vendor's SDK": "at least 0.95",
        "alibaba decrypt 64 B, over the vendor's SDK": "at least 0.95",
        "alibaba encrypt 64 B, over the vendor's SDK, on the wall": "",
        "alibaba decrypt 64 B, over the vendor's SDK, on the wall": "",
        "alibaba encrypt_many of 2, 8 threads, over a loop, latency 20 ms": "at least 3",
        "emulator, start in a new process": "",
        "emulator, resident memory after all this": "",
    }
    assert len(limits) == len(figures)
    assert os.environ["https_proxy"] == "http://127.0.0.1:9"


def test_what_one_side_encrypts_the_other_decrypts(emulator: bench._Emulator, key: kmskit.Key) -> None:
    sdk = bench._Sdk(emulator)
    rows = bench._backend(key, sdk)
    for row in rows:
        ours, peer = row.ours(), row.peer()
        if "decrypt" in row.name:
            assert ours == peer
            assert len(ours) == 64
        else:
            assert sdk.decrypt(ours) == key.decrypt(peer)
            assert ours != peer
    assert len(rows) == 4


def test_a_batch_and_a_loop_encrypt_the_same_items(key: kmskit.Key) -> None:
    row = bench._many(key, 3)
    ours, peer = ([key.decrypt(ciphertext) for ciphertext in side()] for side in (row.ours, row.peer))
    assert ours == peer
    assert len({*ours}) == 3


def test_each_action_is_answered_with_what_it_is_named_for(emulator: bench._Emulator, key: kmskit.Key) -> None:
    with closing(emulator.line()) as line:
        answers = {
            action: [json.loads(each) for each in serve([line], [emulator.request(action, given)])]
            for action, given in bench._actions(emulator).items()
        }
    (encrypted,), (decrypted,), (data_key,), (signature,) = answers.values()
    assert key.decrypt(encrypted["CiphertextBlob"].encode()) == b64decode(decrypted["Plaintext"])
    assert key.decrypt(data_key["CiphertextBlob"].encode()) == b64decode(data_key["Plaintext"])
    assert signature["KeyVersionId"] == emulator.version


def test_more_requests_than_lines_are_all_answered_in_their_order(emulator: bench._Emulator, key: kmskit.Key) -> None:
    texts = [f"{number:04}" for number in range(7)]  # Each is base64.
    with closing(emulator.line()) as line, closing(emulator.line()) as other:
        requests = [emulator.request("Encrypt", {"KeyId": key.id, "Plaintext": text}) for text in texts]
        answers = serve([line, other], requests)
    assert [key.decrypt(json.loads(answer)["CiphertextBlob"].encode()) for answer in answers] == [
        b64decode(text) for text in texts
    ]


def test_signature_and_nonce_of_each_call_are_checked(emulator: bench._Emulator) -> None:
    good = emulator.request("Encrypt", {"KeyId": emulator.aes, "Plaintext": "AAAA"})
    for requests in ([good.replace(b"Plaintext=A", b"Plaintext=B")], [good, good]):
        with closing(emulator.line()) as line, pytest.raises(RuntimeError, match="refused"):
            serve([line], requests)


def test_the_emulator_tells_what_it_costs(emulator: bench._Emulator) -> None:
    before = emulator.computed()
    assert 0 < before < emulator.computed()
    assert emulator.resident() > 10e6


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench.missing() == ""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert bench.missing() == 'uvicorn is not installed (the extra "emulator")'


def test_the_other_rows_are_measured_without_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Figure("another row", "", "", "", "", Verdict.REPORTED)
    monkeypatch.setattr(program.pkcs11, "missing", lambda: "SoftHSM is not installed")
    monkeypatch.setattr(bench, "missing", lambda: "uvicorn is not installed")
    monkeypatch.setattr(program.software, "ratios", lambda kms: [])
    monkeypatch.setattr(program.stores, "figures", list)
    monkeypatch.setattr(program.envelope, "figures", lambda: [other])
    assert program.measure() == [other]
    assert capsys.readouterr().out.splitlines() == [
        "No figures of the pkcs11 backend: SoftHSM is not installed; make setup brings it.",
        "No figures of the alibaba backend: uvicorn is not installed; make setup brings it.",
    ]
