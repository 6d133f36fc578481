"""SoftHSM tokens in folders of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmskit import softhsm
from kmskit.backends.pkcs11.places import find_modules
from kmskit.softhsm import Token
from tests.parts import missing


@pytest.fixture(scope="session", autouse=True)
def _softhsm() -> None:
    if "SoftHSM" not in dict(find_modules()):
        missing("SoftHSM")


@pytest.fixture
def token(tmp_path: Path) -> Token:
    """A token that no other test has."""
    return softhsm.token(tmp_path / "softhsm")
