"""Keys and messages for other people's libraries: each module speaks the format of one of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["aws", "tink"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f"kmskit.interop.{name}")
    raise AttributeError(f"module 'kmskit.interop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
