"""Parameters that hold JSON: tags, filters and key policies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from kmskit.emulator.errors import ServiceError, invalid
from kmskit.emulator.operations.call import Call
from kmskit.emulator.ram.document import PolicyError, parse_document
from kmskit.emulator.state import Alias, Instance, Key

__all__ = ["MAX_TAGS", "check_tag", "key_policy", "matches", "read_filters", "read_list", "read_tags"]

MAX_TAGS = 20
_MAX_TAG = 128
_MAX_TAG_VALUE = 256
_MAX_POLICY = 32_768
_MAX_FILTERS = 10


def read_list(name: str, text: str) -> list[Any]:
    """A JSON array."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, list):
        raise invalid(name, "A JSON array is expected.")
    return value


def check_tag(name: Any, value: Any, parameter: str = "Tags") -> None:
    """The longest name and value are emulator-defined."""
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_TAG:
        raise invalid(parameter, f"A TagKey has 1 to {_MAX_TAG} characters.")
    if not isinstance(value, str) or len(value) > _MAX_TAG_VALUE:
        raise invalid(parameter, f"A TagValue has at most {_MAX_TAG_VALUE} characters.")


def read_tags(call: Call, text: str) -> dict[str, str]:
    """`[{"TagKey": …, "TagValue": …}]`"""
    tags: dict[str, str] = {}
    for item in read_list("Tags", text) if text else []:
        if not isinstance(item, dict) or not {"TagKey"} <= item.keys() <= {"TagKey", "TagValue"}:
            raise invalid("Tags", "A list of objects with TagKey and TagValue is expected.")
        check_tag(item["TagKey"], item.get("TagValue", ""))
        if item["TagKey"] in tags:
            raise ServiceError(400, "Duplicate.TagKey", "A TagKey is given twice.")
        tags[item["TagKey"]] = item.get("TagValue", "")
    if len(tags) > MAX_TAGS:
        raise invalid("Tags", f"There are more than {MAX_TAGS}.")
    return tags


def key_policy(call: Call, text: str, instance: Instance | None) -> str:
    """Checked, as it came."""
    if instance is None:
        raise ServiceError(400, "Forbidden.KeyPolicyUnSupported", "The specified key does not support key policy.")
    if len(text.encode()) > _MAX_POLICY:
        raise invalid("Policy", f"It has more than {_MAX_POLICY} bytes.")
    try:
        parse_document(text, with_principals=True)
        return text
    except PolicyError as error:
        problem = str(error)
    raise invalid("Policy", f"{problem}.")


Filters = Mapping[str, set[str]]


def read_filters(call: Call, known: Sequence[str]) -> dict[str, set[str]]:
    """Name -> wanted values. Entries of one name are alternatives, names must all hold."""
    found: dict[str, set[str]] = {}
    text = call.optional("Filters")
    entries = read_list("Filters", text) if text else []
    if len(entries) > _MAX_FILTERS:
        raise invalid("Filters", f"There are more than {_MAX_FILTERS}.")
    for entry in entries:
        name = str(entry.get("Key")) if isinstance(entry, dict) else ""
        values = entry.get("Values") if isinstance(entry, dict) else None
        if name not in known or not isinstance(values, list) or not 0 < len(values) <= _MAX_FILTERS:
            raise invalid("Filters", 'Objects with a known "Key" and 1 to 10 "Values" are expected.')
        if not all(isinstance(value, str) for value in values):
            raise invalid("Filters", "Values are text.")
        found.setdefault("KeyId" if name == "keyId" else name, set()).update(values)
    return found


def matches(call: Call, key: Key, filters: Filters) -> bool:
    simple = {
        "KeyState": key.state,
        "KeySpec": key.spec,
        "KeyUsage": key.usage,
        "ProtectionLevel": key.protection,
        "CreatorType": "Service" if key.is_service_key else "User",
        "DKMSInstanceId": key.instance,
        "KeyId": key.id,
        "Creator": key.creator if key.is_service_key else call.account.id,
    }
    for name, wanted in filters.items():
        if name in simple and simple[name] not in wanted:
            return False
    if "AliasName" in filters:
        aliases = {alias.id for alias in call.state.all(Alias) if alias.key == key.id}
        if not aliases & filters["AliasName"]:
            return False
    tag_names, tag_values = filters.get("TagKey"), filters.get("TagValue")
    if tag_names is None and tag_values is None:
        return True
    # A name and a value that are both asked for are asked of the same tag.
    return any(
        (tag_names is None or name in tag_names) and (tag_values is None or value in tag_values)
        for name, value in key.tags.items()
    )
