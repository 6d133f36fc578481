"""The conformance suite on whatever service KMSKIT_TEST_CLOUD_URI names: the real one, or an emulator.

`make test` leaves it out. `make test-cloud` sets the variable, after it has asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import kmskit
from kmskit.testing.conformance.base import Advance
from tests.backends.alibaba.test_conformance import OnTheService
from tests.cloud.journal import JOURNAL, Journal

pytestmark = pytest.mark.cloud


class TestService(OnTheService):
    page = 3  # A page of the service has a hundred keys, which is too many to make for a test.

    @pytest.fixture(scope="class")
    @classmethod
    def kms(cls) -> Iterator[kmskit.Kms]:
        journal = Journal(Path(os.environ.get("KMSKIT_TEST_CLOUD_JOURNAL", JOURNAL)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KMSKIT_CLOUD", os.environ["KMSKIT_TEST_CLOUD_WORD"])
            with kmskit.connect(os.environ["KMSKIT_TEST_CLOUD_URI"]) as kms:
                journal.watch(kms)
                try:
                    yield kms
                finally:
                    left = journal.clear(kms)
                assert not left, f"to be deleted by hand: {left}"

    @pytest.fixture(scope="class")
    @classmethod
    def advance(cls) -> Advance:
        """The service's clock is its own."""
        return None
