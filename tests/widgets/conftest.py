from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import kmskit
from kmskit.emulator import Cloud
from tests import parts


@pytest.fixture
def kms() -> Iterator[kmskit.Kms]:
    with kmskit.connect("software:?memory=1") as kms:
        yield kms


@pytest.fixture
def token_kms(tmp_path: Path) -> Iterator[kmskit.Kms]:
    """On a SoftHSM token of its own."""
    try:
        kmskit.softhsm.module_path()
    except kmskit.ConfigurationError:
        parts.missing("SoftHSM")
    with kmskit.connect(kmskit.softhsm.token(tmp_path / "token").uri) as kms:
        yield kms


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with kmskit.emulator.start() as cloud:
        yield cloud


@pytest.fixture
def cloud_kms(cloud: Cloud) -> Iterator[kmskit.Kms]:
    """In the emulator's software instance, as the account's root."""
    with cloud.connect(instance="software") as kms:
        yield kms


@pytest.fixture(params=["kms", "token_kms", "cloud_kms"])
def any_kms(request: pytest.FixtureRequest) -> kmskit.Kms:
    """Each backend in turn."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, kmskit.Kms)
    return found
