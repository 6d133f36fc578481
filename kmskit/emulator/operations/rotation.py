"""Versions of keys, and their rotation.

CreateKeyVersion follows the newer text: symmetric keys that KMS made, outside of hardware instances, and Enabled. The
text of 2021 had it for asymmetric keys only.
"""

from __future__ import annotations

import re
from dataclasses import replace

from kmskit.emulator.clock import timestamp
from kmskit.emulator.errors import ServiceError, invalid, missing
from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.registry import Answer, operation
from kmskit.emulator.state import Instance, Key, KeyVersion

__all__ = ["may_rotate", "read_interval"]

_DAY = 86_400
_SHORTEST, _LONGEST = 7 * _DAY, 730 * _DAY
_UNITS = {"d": _DAY, "h": 3600, "m": 60, "s": 1}
_INTERVAL = re.compile(r"([0-9]{1,12})([dhms])")
_OF_DEFAULT_KEY = 365 * _DAY


def read_interval(call: Call, *, required: bool) -> int | None:
    """Seconds. `7d` to `730d`, or the same in h, m or s."""
    text = call.optional("RotationInterval")
    if not text:
        if required:
            raise missing("RotationInterval")
        return None
    parts = _INTERVAL.fullmatch(text)
    seconds = 0 if parts is None else int(parts[1]) * _UNITS[parts[2]]
    if not _SHORTEST <= seconds <= _LONGEST:
        raise invalid("RotationInterval", "7d to 730d is expected.")
    return seconds


def may_rotate(call: Call, key: Key) -> bool:
    """Symmetric keys whose material KMS has made, and that no hardware holds."""
    instance = call.state.get(Instance, key.instance)
    return (
        call.spec(key).symmetric
        and key.origin == "Aliyun_KMS"
        and not key.is_service_key
        and (instance is None or instance.model == "software")
    )


def _refuse() -> ServiceError:
    return ServiceError(400, "Rejected.UnsupportedOperation", "Unsupported operation.")


def _told(version: KeyVersion) -> dict[str, str]:
    return {
        "KeyId": version.key,
        "KeyVersionId": version.id,
        "CreationDate": timestamp(version.created),
    }


@operation("CreateKeyVersion", writes=True, note="the documents disagree; the newer text is followed")
def create_key_version(call: Call) -> Answer:
    key = call.key()
    if not may_rotate(call, key) or key.is_default:
        raise _refuse()
    if key.state != "Enabled":
        raise ServiceError(
            409, f"Rejected.{key.state}", f"The request was rejected because the key state is {key.state}."
        )
    call.account.quotas.require_room_for_version(call.account)
    with call.state.change() as change:
        rotated = call.account.rotated(change, key, at=call.now)
        made = change.puts[KeyVersion.kind, rotated.primary]
    assert isinstance(made, KeyVersion)  # noqa: S101  # It was put a line above.
    return {"KeyVersion": _told(made)}


@operation("DescribeKeyVersion")
def describe_key_version(call: Call) -> Answer:
    return {"KeyVersion": _told(call.version(call.key()))}


@operation("ListKeyVersions")
def list_key_versions(call: Call) -> Answer:
    versions = call.state.versions(call.key())
    shown, pages = call.page(len(versions))
    return {"KeyVersions": {"KeyVersion": [_told(version) for version in versions[shown]]}, **pages}


@operation("UpdateRotationPolicy", writes=True)
def update_rotation_policy(call: Call) -> Answer:
    key = call.key(alias=False)
    enabled = call.boolean("EnableAutomaticRotation")
    interval = read_interval(call, required=enabled)
    if not may_rotate(call, key):
        raise _refuse()
    if key.state == "PendingDeletion":
        call.account.require_state(key, "Enabled", "Disabled")
    if enabled and key.is_default and interval != _OF_DEFAULT_KEY:
        raise invalid("RotationInterval", "A default key rotates every 365d.")
    due = None
    if enabled and interval is not None:
        due = max((key.last_rotation or key.created) + interval, call.now)
    call.state.put(replace(key, rotation_seconds=interval if enabled else None, next_rotation=due))
    return {}
