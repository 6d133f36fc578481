"""kmskit's values in the service's notation, and back: names, times, JSON parameters, base64, contexts, ciphertexts."""

from __future__ import annotations

import binascii
import hashlib
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from kmskit import refusals
from kmskit.algorithms import SPECS
from kmskit.context import canonical
from kmskit.errors import UnsupportedError
from kmskit.types import Buffer, KeySpec, KeyState, KeyUsage

__all__ = [
    "ALIAS",
    "STATES",
    "USAGES",
    "WRAPPED_OVERHEAD",
    "alias_name",
    "base64_text",
    "blob_text",
    "context_json",
    "data_key_context",
    "filters_json",
    "from_base64",
    "interval",
    "moment",
    "names_no_alias",
    "period",
    "spec_of",
    "state_of",
    "tags_json",
    "takes_no_alias",
    "to_json",
    "usage_of",
    "version_in_blob",
]

ALIAS = "alias/"
WRAPPED_OVERHEAD = 36 + 12 + 16
"""A blob's version id, IV and tag."""
USAGES = {KeyUsage.ENCRYPT_DECRYPT: "ENCRYPT/DECRYPT", KeyUsage.SIGN_VERIFY: "SIGN/VERIFY"}
"""The names of the API. It documents none for MAC keys, whose spec says their usage."""
STATES = {
    KeyState.ENABLED: "Enabled",
    KeyState.DISABLED: "Disabled",
    KeyState.PENDING_DELETION: "PendingDeletion",
    KeyState.PENDING_IMPORT: "PendingImport",
}
_SPECS = {row.alibaba: row.name for row in SPECS.values() if row.alibaba}
_ALIAS = re.compile(r"[0-9A-Za-z_/-]+")
_INTERVAL = re.compile(r"([0-9]+)([dhms]?)")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1, "": 1}
_VERSION_ID = re.compile(rb"[0-9A-Za-z-]{36}")
_DATA_KEY_PAIR = "kmskit-context"


# Names


def alias_name(name: str) -> str:
    return ALIAS + name


def names_no_alias(name: str) -> str:
    """Why the service has no such alias; empty if it may have one."""
    if not _ALIAS.fullmatch(name):
        return "an alias consists of the letters a to z, digits, and the characters - _ /"
    return ""


def takes_no_alias(name: str) -> str:
    """Why nobody can give a key this alias; empty if it can be done."""
    if name.startswith("acs/"):
        return "aliases that begin with acs/ are those of the cloud's own keys"
    return names_no_alias(name)


def spec_of(name: str) -> KeySpec:
    """The spec of a key of the service; UnsupportedError for those that kmskit does not have."""
    spec = _SPECS.get(name)
    if spec is None:
        raise UnsupportedError(f"kmskit does not know keys of the service's spec {name!r}", hint="kms.capabilities()")
    return spec


def usage_of(name: str, spec: KeySpec) -> KeyUsage:
    for usage, theirs in USAGES.items():
        if theirs == name:
            return usage
    return SPECS[spec].default_usage


def state_of(name: str) -> KeyState:
    """`Unavailable` and whatever else may come: not usable, which is what a disabled key is."""
    return next((state for state, theirs in STATES.items() if theirs == name), KeyState.DISABLED)


# Times


def moment(text: str | None) -> datetime | None:
    """A time such as 2026-03-01T08:00:00Z; None if it is empty or not one."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def period(text: str | None) -> timedelta | None:
    match = _INTERVAL.fullmatch(text or "")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]]) if match else None


def interval(wanted: timedelta) -> str:
    """In days if it is whole days, else in seconds."""
    seconds = int(wanted.total_seconds())
    return f"{seconds // 86400}d" if seconds % 86400 == 0 else f"{seconds}s"


# Parameters


def to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def tags_json(tags: Mapping[str, str]) -> str:
    return to_json([{"TagKey": name, "TagValue": value} for name, value in tags.items()])


def filters_json(filters: Sequence[tuple[str, str]]) -> str:
    return to_json([{"Key": name, "Values": [value]} for name, value in filters])


def base64_text(data: Buffer) -> str:
    return b64encode(data).decode("ascii")


def from_base64(text: Any) -> bytes | None:
    """The bytes of a base64 text in its one canonical form; None if it is anything else."""
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        return None
    return data if b64encode(data).decode("ascii") == text else None


# Contexts


def context_json(context: Mapping[str, str] | None) -> str | None:
    """The EncryptionContext of direct encryption; None for an empty one, which the service may tell from an absent one.

    Raises:
        UnsupportedError: a name or value has `=` or `&`. The service joins the pairs with them before it hashes, so
            that different contexts would be one.
        TypeError, ValueError, LimitExceededError: as for `kmskit.context.canonical`.
    """
    if not context or not canonical(context):
        canonical(context)
        return None
    joined = "".join(context) + "".join(context.values())
    if "=" in joined or "&" in joined:
        raise UnsupportedError(
            "context: the service cannot tell apart contexts whose names or values have = or & in them",
            hint="write them otherwise, or use kmskit.envelope, which binds any context",
        )
    return to_json(dict(context))


def data_key_context(context: Mapping[str, str] | None) -> str | None:
    """For data keys: one pair that stands for the whole context, so that any context can be bound."""
    bound = canonical(context)
    return to_json({_DATA_KEY_PAIR: hashlib.sha256(bound).hexdigest()}) if bound else None


# Ciphertexts


def blob_text(ciphertext: Buffer) -> str:
    """A ciphertext as the service takes it: the CiphertextBlob itself, which nobody here decodes.

    Only its spelling is checked: base64 can be written in several ways, and a ciphertext shall be one string of bytes.
    """
    try:
        text = bytes(ciphertext).decode("ascii")
    except UnicodeDecodeError:
        text = ""
    if not text or from_base64(text) is None:
        raise refusals.unopened()
    return text


def version_in_blob(text: str) -> str | None:
    """The version id in front of a blob."""
    head = (from_base64(text) or b"")[:36]
    return head.decode("ascii") if _VERSION_ID.fullmatch(head) else None
