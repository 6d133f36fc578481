"""The promises are rows, and both sides of each do the work that it names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kmskit import softhsm
from kmskit.bench.measure import Timed
from kmskit.bench.places import connect, emulator_process
from kmskit.bench.promises import promises
from kmskit.bench.rate import seconds_a_call
from kmskit.bench.ratios import Ratio
from tests.parts import missing


@pytest.fixture(scope="module")
def rows() -> Iterator[dict[tuple[str, str], Ratio]]:
    try:
        softhsm.module_path()
    except softhsm.ConfigurationError:
        missing("SoftHSM")
    with ExitStack() as stack:
        yield {(row.what, row.beside): row for row in promises(stack, size=1 << 20, large=8 << 20, keys=30)}


def test_every_promise_is_a_row_with_its_floor(rows: dict[tuple[str, str], Ratio]) -> None:
    floors = {f"{what}, over {beside}": row.floor for (what, beside), row in rows.items() if row.floor is not None}
    aws, kept = "aws-encryption-sdk", "python-pkcs11, all kept"
    assert floors == {
        "software: encrypt 1 KiB, AES_256, over bare pyca": 0.5,
        "software: encrypt 1 KiB, AES_256, one context pair, over bare pyca": 0.35,
        "software: sign 1 KiB, EC_P256, over bare pyca": 0.9,
        "software: sign 1 KiB, RSA_2048, over bare pyca": 0.9,
        "software: envelope 1 MiB, AES_256, over bare pyca": 0.9,
        "software: open_envelope 1 MiB, AES_256, over bare pyca": 0.9,
        f"software: envelope 1 MiB, AES_256, over {aws}": 8,
        f"software: open_envelope 1 MiB, AES_256, over {aws}": 8,
        f"software: envelope 1 MiB, AES_256, over {aws}, its best frame": 2,
        f"software: open_envelope 1 MiB, AES_256, over {aws}, its best frame": 2,
        "envelope.encrypt_into 1 MiB, over bare pyca into the same buffers": 0.9,
        "envelope.decrypt_into 1 MiB, over bare pyca into the same buffers": 0.9,
        "envelope.encrypt_file 1 MiB, over the same loop without the format": 0.9,
        "envelope.decrypt_file 1 MiB, over the same loop without the format": 0.9,
        f"SoftHSM: encrypt 64 B, AES_256, over {kept}": 0.9,
        f"SoftHSM: decrypt 64 B, AES_256, over {kept}": 0.9,
        "SoftHSM: encrypt 64 B, AES_256, over python-pkcs11 that opens, finds, closes": 5,
        f"SoftHSM: sign 1 KiB, EC_P256, over {kept}": 0.9,
        f"SoftHSM: sign 1 KiB, RSA_2048, over {kept}": 0.9,
        "SoftHSM: encrypt 64 B, a token of 400 keys, over a token of 4": 0.9,
        "alibaba: encrypt 64 B, AES_256, over the vendor's SDK": 0.95,
        "alibaba: decrypt 64 B, AES_256, over the vendor's SDK": 0.95,
        "alibaba: encrypt_many of 40, 8 threads, 20 ms away, over a loop": 3,
        "emulator, one process: Encrypt over HTTPS, 8 connections, over its limit": 1,
        "import kmskit, in a new process, over its limit": 1,
        "open a store of 30 keys, in a new process, over its limit": 1,
        "kms.key(alias) in it, over its limit": 1,
        "list 300 keys, memory over that for 30, over its limit": 1,
        "envelope.encrypt_file 8 MiB, memory, over its limit": 1,
        "envelope.decrypt_file 8 MiB, memory, over its limit": 1,
    }
    assert {beside for _, beside in rows} >= {"Tink", "Fernet", "jwcrypto", "pyrage", "PyKCS11"}


def test_both_sides_of_a_row_do_the_work_that_it_names(rows: dict[tuple[str, str], Ratio]) -> None:
    for (what, beside), row in rows.items():
        if not (isinstance(row.ours, Timed) and isinstance(row.peer, Timed)):
            continue
        if "encrypt_many" in what:
            assert len(row.ours.work()) == len(row.peer.work()) == 40
            continue
        ours, theirs = row.ours.work(), row.peer.work()
        if "_into" in what:
            assert theirs is None
        elif ("decrypt" in what and "file" not in what) or "open_envelope" in what:
            assert ours == theirs, (what, beside)
            assert len(ours) in (64, 1024, 1 << 20)
        elif ("encrypt" in what and "file" not in what) or ": envelope" in what:
            length = 64 if " 64 B" in what else 1024 if " 1 KiB" in what else 65_536 if " 64 KiB" in what else 1 << 20
            assert len(ours) > length, what
            assert sum(map(len, theirs)) > length if isinstance(theirs, tuple) else len(theirs) > length, (what, beside)
            assert row.ours.work() != ours


def test_limits_are_measured_and_kept_by_a_small_store(rows: dict[tuple[str, str], Ratio]) -> None:
    for (what, beside), row in rows.items():
        if beside == "its limit":
            assert row.ours() > 0, what
    for what in ("envelope.encrypt_file 8 MiB, memory", "list 300 keys, memory over that for 30"):
        row = rows[what, "its limit"]
        assert row.ours() < row.peer()


def test_files_are_written_anew_each_time(rows: dict[tuple[str, str], Ratio]) -> None:
    row = rows["envelope.decrypt_file 1 MiB", "the same loop without the format"]
    for side in (row.ours, row.peer, row.ours):
        assert isinstance(side, Timed)
        side.work()  # It would refuse to replace a file.


def test_proxies_of_the_user_are_left_alone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with ExitStack() as stack:
        next(promises(stack, size=1 << 16, large=1 << 16, keys=1))
        assert os.environ["https_proxy"] == ""
    assert os.environ["https_proxy"] == "http://127.0.0.1:9"


def test_the_rate_is_that_of_calls_whose_signature_was_checked(tmp_path: Path) -> None:
    with emulator_process(tmp_path) as environment, connect(environment) as kms:
        key = kms.create_key()
        assert 0 < seconds_a_call(environment, key.id, b"message", calls=20) < 1
        forged = {**environment, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "another"}
        with pytest.raises(RuntimeError, match="refused a call"):
            seconds_a_call(forged, key.id, b"message", calls=9)
