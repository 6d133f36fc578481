"""The suite that every backend runs, on a store in memory and on one in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import kmskit
from kmskit.testing import BackendConformance
from tests.clock import Clock


class SoftwareConformance(BackendConformance):
    page = 500

    @pytest.fixture(scope="class")
    @classmethod
    def clock(cls) -> Clock:
        return Clock()

    @pytest.fixture(scope="class")
    @classmethod
    def advance(cls, clock: Clock) -> Callable[[float], None]:
        return clock.advance


class TestInMemory(SoftwareConformance):
    reopenable = False

    @pytest.fixture(scope="class")
    @classmethod
    def kms(cls, clock: Clock) -> Iterator[kmskit.Kms]:
        with kmskit.connect("software:?memory=1", clock=clock) as kms:
            yield kms


class TestInAFile(SoftwareConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def kms(cls, clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[kmskit.Kms]:
        path: Path = tmp_path_factory.mktemp("store") / "keys.db"
        with kmskit.connect(f"software://{path}", clock=clock) as kms:
            yield kms
