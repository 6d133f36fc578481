"""Keys you can use but not read: software, HSM or Alibaba Cloud KMS, one API, in Jupyter.

kms = kmskit.connect()
key = kms.create_key("orders", spec="AES_256")
blob = key.encrypt(b"4111-1111", context={"tenant": "acme"})
assert key.decrypt(blob, context={"tenant": "acme"}) == b"4111-1111"
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from kmskit.backend import Support
from kmskit.batch import Batch, Outcome
from kmskit.capabilities import CapabilityTable
from kmskit.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    AuthenticationError,
    BatchError,
    ConfigurationError,
    InvalidCiphertextError,
    InvalidMacError,
    InvalidSignatureError,
    KeyNotFoundError,
    KeyStateError,
    KmsError,
    KmsWarning,
    LimitExceededError,
    MissingDependencyError,
    ServiceUnavailableError,
    ThrottledError,
    UnsupportedError,
)
from kmskit.explain import Explanation, explain
from kmskit.key import Key
from kmskit.kms import Kms, connect, open_key
from kmskit.types import DataKey, KeySpec, KeyState, KeyUsage, Protection, Signature

__version__ = "0.1.0"

_SUBPACKAGES = (
    "bench",
    "doctor",
    "emulator",
    "envelope",
    "interop",
    "notebook",
    "softhsm",
    "testing",
    "tokens",
    "widgets",
)
"""Loaded on first access, so that `import kmskit` stays light."""

__all__ = [
    "AccessDeniedError",
    "AlreadyExistsError",
    "AuthenticationError",
    "Batch",
    "BatchError",
    "CapabilityTable",
    "ConfigurationError",
    "DataKey",
    "Explanation",
    "InvalidCiphertextError",
    "InvalidMacError",
    "InvalidSignatureError",
    "Key",
    "KeyNotFoundError",
    "KeySpec",
    "KeyState",
    "KeyStateError",
    "KeyUsage",
    "Kms",
    "KmsError",
    "KmsWarning",
    "LimitExceededError",
    "MissingDependencyError",
    "Outcome",
    "Protection",
    "ServiceUnavailableError",
    "Signature",
    "Support",
    "ThrottledError",
    "UnsupportedError",
    "connect",
    "explain",
    "open_key",
]


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return import_module(f"kmskit.{name}")
    raise AttributeError(f"module 'kmskit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_SUBPACKAGES]
