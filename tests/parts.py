"""Programs that some tests need and that are not Python packages."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(what: str, target: str = "setup") -> NoReturn:
    """Skip the test whose part is not installed. Under CI fail it, so that nothing is left out unseen.

    Args:
        target: of the Makefile, which brings the part or says how to install it.
    """
    message = f"{what} is missing; `make {target}` says how to install it"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
