"""The suite that every backend runs, on SoftHSM."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import kmskit
from kmskit.testing import BackendConformance
from tests.clock import Clock


class TestSoftHsm(BackendConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def clock(cls) -> Clock:
        return Clock()

    @pytest.fixture(scope="class")
    @classmethod
    def advance(cls, clock: Clock) -> Callable[[float], None]:
        return clock.advance

    @pytest.fixture(scope="class")
    @classmethod
    def kms(cls, clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[kmskit.Kms]:
        token = kmskit.softhsm.token(tmp_path_factory.mktemp("token"))
        with kmskit.connect(token.uri, clock=clock) as kms:
            yield kms
