"""Throughput: what is measured, what is said where nothing can be, and what is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kmskit
from kmskit import emulator, softhsm
from kmskit.bench import USAGES, throughput
from kmskit.bench.targets import pyca
from tests.parts import missing

QUICK: dict[str, Any] = {"seconds": 0.005, "progress": False}


@pytest.fixture
def kms() -> Iterator[kmskit.Kms]:
    with kmskit.connect("software:?memory=1") as kms:
        yield kms


def test_each_operation_is_measured_with_the_specs_that_are_for_it(kms: kmskit.Kms) -> None:
    specs = ["AES_256", "EC_P256", "HMAC_256"]
    table = throughput([kms, "pyca"], list(USAGES), [64, 100], specs=specs, threads=[1, 2], **QUICK)
    assert {(row.operation, row.spec) for row in table} == {
        *((name, "AES_256") for name in ("encrypt", "decrypt", "envelope", "open_envelope", "generate_data_key")),
        *((name, "EC_P256") for name in ("sign", "verify")),
        ("mac", "HMAC_256"),
    }
    assert {row.size for row in table.where(operation="generate_data_key")} == {32}
    assert {row.size for row in table.where(operation="sign")} == {64, 100}
    for row in table:
        assert row.rate
        assert row.spread is not None
        assert row.p50 is not None
        assert row.p99 is not None
        assert 0 < row.p50 <= row.p99
        assert row.calls == (1 if row.target == "software" else None)


def test_the_keys_it_made_are_scheduled_for_deletion_and_others_are_not(kms: kmskit.Kms) -> None:
    mine = kms.create_key("mine")
    throughput(kms, ["encrypt", "sign"], [16], **QUICK)
    states = {key.id: key.state for key in list(kms.keys())}
    assert states.pop(mine.id) == "ENABLED"
    assert [*states.values()] == ["PENDING_DELETION"] * 2


def test_what_a_target_cannot_do_is_a_row_with_the_reason(kms: kmskit.Kms) -> None:
    table = throughput([kms, pyca], ["encrypt"], [65_536, 65_537], specs=["AES_256", "SM4", "RSA_2048"], **QUICK)
    said = {(row.target, row.spec, row.size): row.note for row in table if row.rate is None}
    assert said == {
        ("software", "AES_256", 65_537): "takes at most 65,536 bytes a call",
        ("software", "SM4", 65_537): "takes at most 65,536 bytes a call",
        ("software", "RSA_2048", 65_536): "takes at most 190 bytes a call",
        ("software", "RSA_2048", 65_537): "takes at most 190 bytes a call",
        **{
            ("pyca", spec, size): f"has no encrypt with {spec}"
            for spec in ("SM4", "RSA_2048")
            for size in (65_536, 65_537)
        },
    }


def test_targets_are_uris_libraries_and_names_of_ones_own(tmp_path: Path) -> None:
    uri = f"software://{tmp_path}/keys.db"
    table = throughput([uri, uri, pyca], ["encrypt"], [16], **QUICK)
    assert [row.target for row in table] == ["software", "software 2", "pyca"]
    with kmskit.connect(uri) as kms:
        assert [key.state for key in list(kms.keys())] == ["PENDING_DELETION"] * 2
    assert [row.target for row in throughput({"mine": "pyca"}, ["mac"], [16], **QUICK)] == ["mine"]
    assert len(throughput(uri, ["encrypt"], [16], **QUICK)) == 1


@pytest.mark.parametrize(
    ("operations", "specs", "message"),
    [(["encode"], ["AES_256"], "known are encrypt"), (["sign"], ["AES_256"], "none of AES_256 is for sign")],
)
def test_what_cannot_be_asked_for_is_refused_at_once(
    kms: kmskit.Kms, operations: list[str], specs: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        throughput(kms, operations, specs=specs, **QUICK)
    assert list(kms.keys()) == []


def test_progress_counts_up_to_its_total(kms: kmskit.Kms) -> None:
    seen: list[tuple[int, int]] = []
    throughput(kms, ["encrypt"], [16, 32], 0.005, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 18) for done in range(1, 19)]


def test_an_interrupt_gives_what_was_measured_so_far(kms: kmskit.Kms) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    table = throughput(kms, ["encrypt", "decrypt"], [16, 100_000, 32], 0.005, interrupt)
    assert [(row.operation, row.size, bool(row.rate)) for row in table] == [
        ("encrypt", 16, True),
        ("encrypt", 100_000, False),
        ("encrypt", 32, True),
        ("decrypt", 100_000, False),
    ]
    assert {key.state for key in list(kms.keys())} == {"PENDING_DELETION"}


def test_the_emulator_is_never_taken_for_the_cloud() -> None:
    with emulator.start() as cloud:
        table = throughput([cloud.connect()], ["encrypt"], [16], price=0.5, latency=(0.05, "a source"), **QUICK)
    near, far = table
    assert "emulator on loopback, not the cloud" in repr(table)
    assert (near.emulated, near.calls, near.cost) == (True, 1, 50.0)
    assert (far.target, far.emulated, far.note) == ("alibaba + 50 ms", False, "computed: a source")
    assert near.rate is not None
    assert far.rate == pytest.approx(1 / (1 / near.rate + 0.05))
    assert near.p50 is not None
    assert far.p50 == pytest.approx(near.p50 + 0.05)


def test_a_row_whose_key_cannot_be_made_says_why() -> None:
    with emulator.start() as cloud, cloud.connect() as kms:
        cloud.faults.add("CreateKey", drop="request", times=1)
        signing, encryption = throughput(kms, ["sign", "encrypt"], [16], **QUICK)
        assert not signing.rate
        assert signing.note == "the connection to the gateway broke"
        assert encryption.rate


def test_a_token_is_measured_too(tmp_path: Path) -> None:
    try:
        token = softhsm.token(tmp_path / "token")
    except kmskit.ConfigurationError:
        missing("SoftHSM")
    with kmskit.connect(token.uri) as kms:
        table = throughput([kms], ["encrypt", "sign"], [16], specs=["AES_256", "SM4", "EC_P256"], threads=[2], **QUICK)
    assert [(row.spec, bool(row.rate)) for row in table] == [("AES_256", True), ("SM4", False), ("EC_P256", True)]
    assert "PKCS#11 has no SM4" in [*table][1].note


@pytest.mark.parametrize("spec", [spec for spec in kmskit.KeySpec if spec != "SM4"])
def test_the_baseline_does_the_same_work(kms: kmskit.Kms, spec: str) -> None:
    jobs = pyca(spec, bytes(1000))
    assert jobs
    for name, job in jobs.items():
        done = job()
        if name in ("decrypt", "open_envelope"):
            assert done == bytes(1000)
        elif name in ("encrypt", "envelope", "generate_data_key"):
            assert len(done) == 1016
            assert name == "envelope" or job() != done
        elif name == "mac":
            key = kms.create_key(spec=spec)
            assert len(done) == len(key.mac(b""))
