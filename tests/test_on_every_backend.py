"""The runner of the backend-neutral notebooks: it passes what is the same everywhere, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testing.notebooks.making import code, notebook, printed, prints, write

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    if not shutil.which("softhsm2-util"):
        pytest.skip("SoftHSM is not installed")
    folder = tmp_path_factory.mktemp("course")
    begin = "import kmskit\nkms = kmskit.notebook.scratch()\nprint(kms.create_key('orders').spec)"
    neutral = code(begin, printed("AES_256\n"))
    partial = code("print(kms.backend != 'alibaba', kms.backend != 'pkcs11')", printed("True True\n"))
    write(folder / "book.ipynb", notebook(neutral, partial, prints()))
    command = [sys.executable, "-m", "tests.on_every_backend", "-q", "-rfE", "--color=no"]
    return subprocess.run([*command, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=100)


def test_a_cell_that_differs_fails_on_each_backend(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1, done.stdout
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    assert len(failed) == 2
    assert all("book.ipynb::Cell 1" in line for line in failed)
    assert "False True" in done.stdout
    assert "True False" in done.stdout


def test_both_backends_are_told(done: subprocess.CompletedProcess[str]) -> None:
    assert [line for line in done.stdout.splitlines() if line.startswith("== ")] == [
        "== the notebooks on a SoftHSM token",
        "== the notebooks on the emulator",
    ]
