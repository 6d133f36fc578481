"""`Lifecycle`: every mark is a decryption that was tried, whatever buttons are pressed in whatever order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kmskit.widgets.lifecycle import Lifecycle
from tests.widgets.looking import assert_safe, states

BUTTONS = ["Rotate", "Disable", "Enable", "Schedule deletion", "Cancel deletion", "+30 days", "Purge"]


def after(*names: str) -> Lifecycle:
    shown = Lifecycle()
    for name in names:
        shown.buttons[name].click()
    shown.settle()
    return shown


def marks(shown: Lifecycle, row: int) -> list[str]:
    """What became of a ciphertext after each step."""
    return repr(shown.story).splitlines()[1 + row].split()[2:]


def test_rotation_leaves_what_is_old_readable() -> None:
    shown = after("Rotate", "Rotate")
    assert marks(shown, 0) == ["opens"] * 3
    assert marks(shown, 2) == ["opens"]
    assert "3 versions" in shown.state.value
    assert "ENABLED" in shown.state.value


def test_a_disabled_key_opens_nothing_until_it_is_enabled() -> None:
    assert marks(after("Disable", "Enable"), 0) == ["opens", "KeyStateError", "opens"]


def test_a_deletion_can_be_cancelled_while_the_days_run() -> None:
    shown = after("Schedule deletion", "Cancel deletion", "+30 days", "Purge")
    assert marks(shown, 0) == ["opens", "KeyStateError", "opens", "opens", "opens"]


def test_what_is_purged_is_gone_with_all_versions() -> None:
    shown = after("Rotate", "Schedule deletion", "+30 days", "Purge")
    assert marks(shown, 0)[-1] == marks(shown, 1)[-1] == "KeyNotFoundError"
    assert "destroyed" in shown.state.value
    assert "31 January 2026" in shown.state.value


def test_a_refused_step_is_told_and_not_drawn() -> None:
    shown = after("Disable", "Rotate")
    assert "KeyStateError" in shown.told
    assert "DISABLED" in shown.state.value
    assert marks(shown, 0) == ["opens", "KeyStateError"]
    shown.buttons["Enable"].click()
    shown.settle()
    assert "KeyStateError" not in shown.told


def test_it_starts_over_with_another_key() -> None:
    shown = after("Rotate", "Schedule deletion", "+30 days", "Purge")
    gone = shown.key.id
    shown.again.click()
    shown.settle()
    assert shown.key.id != gone
    assert marks(shown, 0) == ["opens"]
    assert "01 January 2026" in shown.state.value


@settings(max_examples=25)
@given(st.lists(st.sampled_from(BUTTONS), max_size=12))
def test_any_order_of_buttons_ends_in_a_picture_that_agrees_with_the_key(names: list[str]) -> None:
    shown = after(*names)
    if "destroyed" in shown.state.value:
        assert marks(shown, 0)[-1] == "KeyNotFoundError"
    else:
        assert marks(shown, 0)[-1] == ("opens" if str(shown.key.state) == "ENABLED" else "KeyStateError")
    assert_safe(shown)
    shown.close()


def test_the_picture_keeps_to_the_last_steps() -> None:
    shown = after(*["+30 days"] * 12)
    assert 'width="984"' in shown.still()["image/svg+xml"]
    assert len(marks(shown, 0)) == 13


def test_two_stored_pictures_are_the_same_and_hold_no_plaintext() -> None:
    first, second = after("Rotate"), after("Rotate")
    assert first.still() == second.still()
    assert repr(first) == repr(second)
    assert "4111 1111" not in states(first) + repr(first) + str(first.still())
