"""What all tests share: hypothesis profiles, and an environment without kmskit's own variables."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# The same examples in every run, so that a failure is a change of the code; `make soak` draws new ones, and many.
settings.register_profile("test", deadline=None, max_examples=150, derandomize=True, database=None)
settings.register_profile("soak", deadline=None, max_examples=10_000, database=None, print_blob=True)
settings.load_profile("soak" if os.environ.get("KMSKIT_SOAK") else "test")

# A shell that starts the tests in the background ignores SIGINT, and the programs that tests interrupt inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_OF_THE_TESTS = {
    "KMSKIT_SOAK",
    "KMSKIT_CHROMIUM",
    "KMSKIT_TEST_CLOUD_URI",
    "KMSKIT_TEST_CLOUD_WORD",
    "KMSKIT_TEST_CLOUD_JOURNAL",
}


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_user() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("KMSKIT_") and name not in _OF_THE_TESTS]:
            patch.delenv(name)
        yield


@pytest.hookimpl(tryfirst=True)  # Before pytest leaves out what is not marked.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make soak` runs the tests that draw their examples too, with many more of them."""
    if os.environ.get("KMSKIT_SOAK"):
        for item in items:
            if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
                item.add_marker("soak")
