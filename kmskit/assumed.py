"""`AssumedInfo`: what is taken for granted of a key that the user may use and may not describe."""

from __future__ import annotations

from typing import Any, cast

from kmskit.algorithms import SPECS
from kmskit.errors import AccessDeniedError
from kmskit.types import KeyInfo, KeySpec, KeyUsage

__all__ = ["AssumedInfo"]


class AssumedInfo:
    """Stands for a KeyInfo: it has the few fields that using a key needs, and raises AccessDeniedError for the others.

    Attributes:
        usage: what the spec is for unless told otherwise; the key may be for something else.
        reason: why the others are not known.
    """

    def __init__(self, key_id: str, spec: KeySpec, version: str | None, reason: str) -> None:
        self.id = key_id
        self.spec = spec
        self.usage: KeyUsage = SPECS[spec].default_usage
        self.reason = reason
        if version is not None or SPECS[spec].symmetric:
            self.versions = (version,) if version is not None else ()
            self.primary_version = version or ""

    def __getattr__(self, name: str) -> Any:
        if name not in KeyInfo.__dataclass_fields__:
            raise AttributeError(name)
        hint = "pass version= to kms.key()" if "version" in name else "the RAM action kms:DescribeKey allows it"
        raise AccessDeniedError(f"the {name.replace('_', ' ')} of this key cannot be told: {self.reason}", hint=hint)

    @property
    def as_info(self) -> KeyInfo:
        """Itself, for those who take a KeyInfo."""
        return cast("KeyInfo", self)
