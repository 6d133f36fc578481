"""What the package of widgets needs, and what it brings along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import kmskit.widgets


def test_it_needs_no_emulator_and_no_cloud() -> None:
    code = """
import sys
for name in ("starlette", "uvicorn", "httptools", "alibabacloud_kms20160120", "Tea", "pkcs11"):
    sys.modules[name] = None
import kmskit.widgets
kmskit.widgets.Sequences("envelope").settle()
"""
    subprocess.run([sys.executable, "-W", "error::ImportWarning", "-c", code], check=True, timeout=60)


def test_scripts_and_styles_lie_in_the_package() -> None:
    """What lies in the package's folder is in its wheel: hatchling takes all that git knows."""
    folder = Path(kmskit.widgets.__file__).parent / "static"
    assert {"bytemap.css", "bytemap.js", "tile.css"} <= {path.name for path in folder.iterdir()}
    ignored = subprocess.run(["git", "check-ignore", "-q", folder / "bytemap.js"], cwd=folder, check=False)
    assert ignored.returncode != 0
