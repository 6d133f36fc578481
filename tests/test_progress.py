"""Progress of long calls."""

from __future__ import annotations

import subprocess
import sys

import pytest

import kmskit
from kmskit.progress import track


def test_a_function_hears_done_and_total() -> None:
    heard: list[tuple[int, int]] = []
    with track(lambda done, total: heard.append((done, total)), 10, "item") as advance:
        for amount in (1, 4, 5):
            advance(amount)
    assert heard == [(1, 10), (5, 10), (10, 10)]


def test_no_progress_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with track(False, 10, "item") as advance:
        advance(10)
    assert capfd.readouterr() == ("", "")


def test_true_draws_a_bar(capfd: pytest.CaptureFixture[str]) -> None:
    with kmskit.connect("software:?memory=1") as kms:
        kms.create_key().encrypt_many([b"x"] * 20, progress=True)
    assert "20/20" in capfd.readouterr().err


def test_true_without_tqdm_says_what_to_install() -> None:
    code = """
import sys
sys.modules["tqdm"] = sys.modules["tqdm.auto"] = None
import kmskit
kms = kmskit.connect("software:?memory=1")
try:
    kms.create_key().encrypt_many([b"x"], progress=True)
except kmskit.MissingDependencyError as error:
    print(error.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert 'pip install "kmskit[notebook]"' in done.stdout


def test_an_error_of_the_function_reaches_the_caller() -> None:
    def fail(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with kmskit.connect("software:?memory=1") as kms, pytest.raises(KeyboardInterrupt):
        kms.create_key().encrypt_many([b"x"], progress=fail)
