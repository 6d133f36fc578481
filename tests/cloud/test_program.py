"""The program behind `make test-cloud`, on an emulator: what it refuses, what it asks, and that it clears away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmskit import emulator
from kmskit.emulator import Cloud
from tests.cloud.__main__ import ROOT, notebooks
from tests.cloud.journal import Journal


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        yield cloud


def program(
    cloud: Cloud, journal: Path, *arguments: str, answer: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("KMSKIT_", "ALIBABA_"))}
    settings = {"KMSKIT_TEST_CLOUD_JOURNAL": str(journal), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "tests.cloud", *arguments],
        input=answer,
        env={**clean, **cloud.env(), **settings, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_credentials_alone_send_nothing(cloud: Cloud, tmp_path: Path) -> None:
    cloud.trail.clear()
    for environment in ({}, {"KMSKIT_CLOUD": "real"}, {"KMSKIT_URI": cloud.uri("software")}):
        done = program(cloud, tmp_path / "journal", **environment)
        assert done.returncode == 2
        assert "nothing was sent" in done.stdout
    assert not len(cloud.trail)


def test_it_says_who_where_and_what_and_asks(cloud: Cloud, tmp_path: Path) -> None:
    environment = {"KMSKIT_CLOUD": "real", "KMSKIT_URI": cloud.uri("software")}
    done = program(cloud, tmp_path / "journal", answer="yes\n", **environment)
    assert done.returncode == 1
    assert all(text in done.stdout for text in (cloud.account_id, cloud.region, "keys", "cost", "Nothing was made"))
    assert "CreateKey" not in [event.action for event in cloud.trail]


def test_what_was_made_is_noted_and_cleared_away(cloud: Cloud, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    with cloud.connect(instance="software") as kms:
        journal.watch(kms)
        made = [kms.create_key("orders"), kms.create_key()]
        assert journal.ids == [key.id for key in made]
    environment = {"KMSKIT_CLOUD": "real", "KMSKIT_URI": cloud.uri("software")}
    done = program(cloud, tmp_path / "journal", "--clear", **environment)
    assert done.returncode == 0, done.stdout
    assert journal.ids == []
    with cloud.connect(instance="software") as kms:
        for key in made:
            shown = kms.key(key.id)
            assert (shown.state, shown.aliases) == ("PENDING_DELETION", ())


@pytest.mark.soak
def test_the_whole_suite_runs_on_an_emulator_and_leaves_no_key(cloud: Cloud, tmp_path: Path) -> None:
    environment = {"KMSKIT_CLOUD": "real", "KMSKIT_URI": cloud.uri("software")}
    done = program(cloud, tmp_path / "journal", answer="real\n", **environment)
    assert done.returncode == 0, done.stdout[-3000:]
    with cloud.connect(instance="software") as kms:
        listing = kms.keys()
        assert {key.state for key in listing} == {"PENDING_DELETION"}


def test_the_notebooks_run_on_it_and_clear_away(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cloud.env().items():
        monkeypatch.setenv(name, value)
    with cloud.connect(instance="software") as kms:
        before = {key.id for key in kms.keys(spec=None)}
        assert notebooks(kms.uri) == 0
        made = [key for key in kms.keys(spec=None) if key.id not in before]
        assert len(made) > 5
        assert {key.state for key in made} == {"PENDING_DELETION"}
