"""What can be done to a key in its state, and why not."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from kmskit import Key, KeyState, KeyStateError, Kms, Support
from kmskit.widgets.allowed import ACTIONS, why_not

YES = Support(True)


def in_state(kms: Kms, state: KeyState) -> Key:
    key = kms.create_key()
    key._info = replace(key._info, state=state)
    return key


@pytest.mark.parametrize(
    ("state", "possible"),
    [
        ("ENABLED", {"disable", "rotate", "set_rotation", "schedule_deletion", "add_alias"}),
        ("DISABLED", {"enable", "set_rotation", "schedule_deletion", "add_alias"}),
        ("PENDING_DELETION", {"cancel_deletion"}),
        ("PENDING_IMPORT", {"schedule_deletion", "add_alias"}),
    ],
)
def test_each_state_allows_what_makes_sense_in_it(kms: Kms, state: str, possible: set[str]) -> None:
    reasons = why_not(in_state(kms, KeyState(state)), YES)
    assert set(reasons) == set(ACTIONS)
    assert {action for action, reason in reasons.items() if not reason} == possible


def test_what_the_spec_does_not_offer_is_told_whatever_the_state(kms: Kms) -> None:
    for state in KeyState:
        reasons = why_not(in_state(kms, state), Support(False, "only AES and SM4 keys offer it"))
        assert reasons["rotate"] == reasons["set_rotation"] == "only AES and SM4 keys offer it"


@pytest.mark.parametrize("state", ["ENABLED", "DISABLED", "PENDING_DELETION"])
def test_what_is_said_to_be_impossible_is_refused_or_changes_nothing(any_kms: Kms, state: str) -> None:
    """The reasons are checked against the backends: none of these actions would have done something."""
    for action in ("enable", "disable", "rotate", "cancel_deletion"):
        key = any_kms.create_key()
        if state == "DISABLED":
            key.disable()
        elif state == "PENDING_DELETION":
            key.schedule_deletion(7)
        before = (key.state, key.versions)
        if why_not(key, any_kms.supports(key.spec, "rotate"))[action]:
            with suppress(KeyStateError):
                getattr(key, action)()
            key.refresh()
            assert (key.state, key.versions) == before
