"""`kmskit bench`: a throughput table of key stores."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import kmskit
from kmskit.bench import ThroughputTable

from .conftest import Run, Terminal

QUICK = ("--operation", "encrypt", "--size", "64", "--seconds", "0.01")


def test_stores_are_shown_side_by_side_and_their_keys_go(run: Run, uri: str, kms: kmskit.Kms) -> None:
    head, *rows = run("bench", uri, "pyca", *QUICK, "--baseline", "pyca").stdout.splitlines()
    assert head.split()[:5] == ["operation", "spec", "size", "target", "ops/s"]
    assert head.endswith("over pyca")
    assert [line.split()[:5] for line in rows] == [
        ["encrypt", "AES_256", "64", "B", "software"],
        ["encrypt", "AES_256", "64", "B", "pyca"],
    ]
    assert "⟨" not in head + rows[0]
    assert [key.state for key in list(kms.keys())] == ["PENDING_DELETION"]


def test_without_a_uri_it_is_the_store_of_the_options(run: Run) -> None:
    assert "software" in run("bench", *QUICK).stdout
    with kmskit.emulator.start() as cloud, cloud.connect() as near:
        table = run("bench", near.uri, *QUICK, "--latency", "20", "--price", "0.5", **cloud.env()).stdout
    assert "emulator on loopback, not the cloud" in table
    assert "alibaba + 20 ms" in table


def test_json_has_the_figures_themselves(run: Run) -> None:
    rows = json.loads(run("--json", "bench", "pyca", *QUICK, "--operation", "sign", "--threads", "2").stdout)
    assert [(row["target"], row["operation"], row["size"], row["threads"]) for row in rows] == [
        ("pyca", "encrypt", 64, 2),
        ("pyca", "sign", 64, 2),
    ]
    assert all(row["rate"] > 0 for row in rows)


def test_a_csv_can_be_read_back_and_is_not_replaced_unasked(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    run("bench", "pyca", *QUICK, "--size", "4K", "--csv", str(path))
    assert [row.size for row in ThroughputTable.read_csv(path)] == [64, 4096]
    assert "is there already" in run("bench", "pyca", *QUICK, "--csv", str(path), status=1).stderr
    run("bench", "pyca", *QUICK, "--csv", str(path), "--force")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--operation", "encode"), "known are encrypt"),
        (("--operation", "sign", "--spec", "AES_256"), "none of AES_256 is for sign"),
        (("--size", "4 KiB"), "is no size"),
        (("--baseline", "cloud", *QUICK), "'cloud' is none of pyca"),
        (("--spec", "DES"), "DES"),
    ],
)
def test_what_cannot_be_measured_is_wrong_usage(run: Run, arguments: tuple[str, ...], said: str) -> None:
    assert said in run("bench", "pyca", *arguments, status=2).stderr


def test_on_a_terminal_it_shows_progress_and_an_interrupt_ends_it_early(terminal: Terminal) -> None:
    with terminal(
        "trap : INT; $kmskit bench pyca --operation encrypt --size 64 --size 128 --seconds 2; echo status $?"
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        shown = b""
        while b"1/18" not in shown:
            shown += os.read(running.stdout.fileno(), 1000)
        running.stdin.write(b"\x03")
        running.stdin.flush()
        rest = running.communicate(timeout=60)[0].decode()
    assert "64 B" in rest
    assert "128 B" not in rest
    assert "status 0" in rest
