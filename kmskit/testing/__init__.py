"""Suites and helpers for the tests of others: of a backend, of displays, of notebooks.

`BackendConformance` is a pytest class: subclass it and give it a backend. `hostile` and `leaks` look for markup and
secrets where none may be. `notebooks` is a pytest plugin. Everything is loaded on first access, so that the plugin does
not load the suite.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kmskit.testing import hostile, leaks, notebooks
    from kmskit.testing.conformance import BackendConformance

__all__ = ["BackendConformance", "hostile", "leaks", "notebooks"]

_SUITE = "kmskit.testing.conformance"


def __getattr__(name: str) -> Any:
    if name == "BackendConformance":
        if _SUITE not in sys.modules:  # Before the import, so that a failed assertion of the suite shows its values.
            import_module("pytest").register_assert_rewrite(_SUITE)
        return import_module(_SUITE).BackendConformance
    if name in __all__:
        return import_module(f"kmskit.testing.{name}")
    raise AttributeError(f"module 'kmskit.testing' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__]
