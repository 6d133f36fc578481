"""Programs that some tests need and that are not Python packages."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip the test whose part is not installed. Under CI fail it, so that nothing is left out unseen."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing; `make setup` says how to install it")
    pytest.skip(f"{what} is missing; `make setup` says how to install it")
