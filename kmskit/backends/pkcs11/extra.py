"""The package that this backend needs, and what to do where it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kmskit.errors import MissingDependencyError

__all__ = ["needed"]


@contextmanager
def needed() -> Iterator[None]:
    """Around an import that needs python-pkcs11; MissingDependencyError if it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise MissingDependencyError(
            f"the pkcs11 backend needs the package {package}", hint='pip install "kmskit[pkcs11]"'
        ) from error
