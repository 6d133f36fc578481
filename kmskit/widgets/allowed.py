"""What can be done to a key in its state, and why not."""

from __future__ import annotations

from collections.abc import Mapping

from kmskit import Key, KeyState, KmsError, Support

__all__ = ["ACTIONS", "why_not"]

ACTIONS = ("enable", "disable", "rotate", "set_rotation", "schedule_deletion", "cancel_deletion", "add_alias")
"""The names of Key's methods."""

_PENDING = "its deletion is scheduled; cancel that first"
_UNBORN = "its material was not imported yet"
_STATES: Mapping[KeyState, Mapping[str, str]] = {
    KeyState.ENABLED: {"enable": "it is enabled", "cancel_deletion": "none is scheduled"},
    KeyState.DISABLED: {
        "disable": "it is disabled",
        "rotate": "it is disabled; enable it first",
        "cancel_deletion": "none is scheduled",
    },
    KeyState.PENDING_DELETION: {
        **dict.fromkeys(("enable", "disable", "rotate", "set_rotation", "add_alias"), _PENDING),
        "schedule_deletion": "it is scheduled already",
    },
    KeyState.PENDING_IMPORT: {
        **dict.fromkeys(("enable", "disable", "rotate", "set_rotation"), _UNBORN),
        "cancel_deletion": "none is scheduled",
    },
}


def why_not(key: Key, rotates: Support) -> Mapping[str, str]:
    """Each of ACTIONS -> why it makes no sense now; nothing if it does.

    Of a key that may not be described the state is not known, and so nothing is ruled out but what its spec does.

    Args:
        key: as it was last told.
        rotates: `kms.supports(key.spec, "rotate")`.
    """
    try:
        of_state = _STATES[key.state]
    except KmsError:
        of_state = {}
    found = {action: of_state.get(action, "") for action in ACTIONS}
    if not rotates:
        found["rotate"] = found["set_rotation"] = rotates.reason
    return found
