"""The pages under `docs/`: their first example runs as it stands, for a user with an empty home."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kmskit.backends.pkcs11.places import find_modules
from tests.parts import missing

ROOT = Path(__file__).parents[1]
BACKENDS = ("software", "pkcs11", "alibaba")


@pytest.mark.parametrize("name", BACKENDS)
def test_the_first_example_of_a_backend_runs(name: str, tmp_path: Path) -> None:
    if name == "pkcs11" and "SoftHSM" not in dict(find_modules()):
        missing("SoftHSM")
    example = re.search(r"^```python\n(.*?)^```", (ROOT / "docs" / f"{name}.md").read_text(), re.DOTALL | re.MULTILINE)
    assert example
    clean = {text: value for text, value in os.environ.items() if not text.startswith(("KMSKIT_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example[1]],
        cwd=tmp_path,
        env={**clean, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_of_the_software_backend_tells_its_limits() -> None:
    from kmskit.backends.software.backend import _CACHED_KEYS
    from kmskit.ciphertext import MAX_PLAINTEXT
    from kmskit.types import KeySpec

    page = " ".join((ROOT / "docs" / "software.md").read_text().split())
    assert len(KeySpec) == 14
    assert all(told in page for told in (f"a cache of {_CACHED_KEYS:,}", f"{MAX_PLAINTEXT:,} bytes", "all fourteen"))
