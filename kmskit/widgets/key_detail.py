"""`KeyDetail`: one key, and what can be done to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from ipywidgets import VBox

from kmskit import AlreadyExistsError, Key, KmsError, Support, markup
from kmskit.widgets import controls
from kmskit.widgets.allowed import why_not

__all__ = ["Act", "KeyDetail"]


class Act(Protocol):
    """Does something to the key that is shown, off the kernel's main thread, and tells how it went."""

    def __call__(
        self,
        doing: str,
        call: Callable[[Key], object],
        done: str,
        refused: Callable[[Exception], object] | None = None,
    ) -> None: ...


class KeyDetail(VBox):  # type: ignore[misc]  # ipywidgets carries no types.
    """A key's own card, and buttons of which only those can be clicked that make sense in its state.

    Args:
        act: how anything is done to the key.
        move: takes an alias from the key that has it, and gives it to this one.
    """

    def __init__(self, act: Act, move: Callable[[str], Callable[[Key], object]]) -> None:
        self._act, self._move_here = act, move
        self._key: Key | None = None
        self.card = controls.say()
        self.enable = controls.button("Enable", lambda: act("Enabling", Key.enable, "It can be used again."))
        self.disable = controls.button(
            "Disable", lambda: act("Disabling", Key.disable, "Every use is refused until it is enabled.")
        )
        self.rotate = controls.button(
            "Rotate now",
            lambda: act("Rotating", Key.rotate, "A new version encrypts from now on; older ones still decrypt."),
            "once",
        )
        self.every = controls.number("Days between", 90, 1, 3650)
        self.set_rotation = controls.button(
            "Set schedule", self._set_rotation, tip="Rotate each time the days have passed"
        )
        self.stop_rotation = controls.button(
            "Stop schedule",
            lambda: act("Stopping", lambda key: key.set_rotation(None), "It no longer rotates by itself."),
            tip="Rotate only by hand",
        )
        self.chips = controls.row()
        self.alias = controls.text("One more alias", "a name")
        self.add = controls.button("Add", self._add_alias, tip="Give the key this alias")
        self.move = controls.button("Move it here", self._move_alias, "primary", "Take the alias from the other key")
        self.days = controls.number("Days until then", 30, 7, 366)
        self.schedule = controls.button("Schedule deletion", self._ask, tip="Refuse all use, destroy the key later")
        self.cancel_deletion = controls.button(
            "Cancel deletion",
            lambda: act("Cancelling", Key.cancel_deletion, "It stays, as it was before."),
            tip="Keep the key",
        )
        self.days.observe(lambda _: self._dismiss(), "value")
        self.question = controls.say()
        self.confirm = controls.button("Yes, schedule it", self._schedule, "danger")
        self.keep = controls.button("Keep the key", self._dismiss)
        self._confirmation = controls.stack(self.question, controls.row(self.confirm, self.keep))
        self.notes = {name: controls.say(kind="note") for name in ("state", "rotation", "aliases", "deletion")}
        super().__init__([self.card, controls.box("sections", *self._sections())])
        self.add_class("kms-detail")
        controls.show(self, False)

    def _sections(self) -> list[VBox]:
        rotation = controls.row(self.rotate, self.every, self.set_rotation, self.stop_rotation)
        aliases = (self.chips, controls.row(self.alias, self.add, self.move))
        deletion = (controls.row(self.days, self.schedule, self.cancel_deletion), self._confirmation)
        return [
            controls.section("State", controls.row(self.enable, self.disable), self.notes["state"]),
            controls.section("Rotation", rotation, self.notes["rotation"]),
            controls.section("Aliases", *aliases, self.notes["aliases"]),
            controls.section("Deletion", *deletion, self.notes["deletion"]),
        ]

    def tell(self, key: Key, rotates: Support) -> None:
        """Show a key as it is now.

        Args:
            key: whichever is chosen.
            rotates: `kms.supports(key.spec, "rotate")`.
        """
        if self._key is None or self._key.id != key.id:
            self.alias.value = ""
        self._key = key
        self.card.value = key._repr_html_()
        reasons = why_not(key, rotates)
        for action in ("enable", "disable", "rotate", "set_rotation", "cancel_deletion"):
            getattr(self, action).disabled = bool(reasons[action])
        self.schedule.disabled = self.days.disabled = bool(reasons["schedule_deletion"])
        self.add.disabled = self.alias.disabled = bool(reasons["add_alias"])
        self.every.disabled = bool(reasons["set_rotation"])
        period = _known(lambda: key.rotation_period)
        self.stop_rotation.disabled = bool(reasons["set_rotation"]) or period is None
        self._dismiss()
        controls.show(self.move, False)
        self._show_aliases(_known(lambda: key.aliases) or ())
        rotates_itself = f"It rotates by itself every {period.days} days." if period else ""
        told = _known(lambda: key.state) is not None
        undescribed = "" if told else "This user may not describe the key, so the service decides what can be done."
        self._note("state", reasons, "enable", "disable", first=undescribed)
        self._note("rotation", reasons, "rotate", "set_rotation", first=rotates_itself)
        self._note("aliases", reasons, "add_alias")
        self._note("deletion", reasons, "schedule_deletion", "cancel_deletion")
        controls.show(self)

    def _note(self, section: str, reasons: Any, *actions: str, first: str = "") -> None:
        """Why not, below the buttons; once where two have the same reason."""
        by_reason: dict[str, list[str]] = {}
        for action in actions:
            if reasons[action]:
                by_reason.setdefault(reasons[action], []).append(_WORDS[action])
        lines = [first] if first else []
        lines += [f"{' and '.join(names).capitalize()}: {why}." for why, names in by_reason.items()]
        self.notes[section].value = "<br>".join(map(markup.escape, lines))

    # Aliases

    def _show_aliases(self, aliases: tuple[str, ...]) -> None:
        for chip in self.chips.children:
            controls.discard(chip)
        self.chips.children = [self._chip(alias) for alias in aliases]
        controls.show(self.chips, bool(aliases))

    def _chip(self, alias: str) -> Any:
        shown = controls.alias_label(alias)
        remove = partial(self._act, "Taking the alias away", lambda key: key.remove_alias(alias), f"{shown} is free.")
        return controls.button(f"{shown}  ×", remove, "chip", f"Remove the alias {shown}")

    def _add_alias(self) -> None:
        name = self.alias.value.strip()
        self._act("Adding the alias", lambda key: key.add_alias(name), "The key has one more alias.", self._taken)

    def _taken(self, error: Exception) -> None:
        """The alias is another key's: it can be moved."""
        controls.show(self.move, isinstance(error, AlreadyExistsError))

    def _move_alias(self) -> None:
        name = self.alias.value.strip()
        self._act("Moving the alias", self._move_here(name), "The alias was moved: who uses it uses this key now.")

    # Rotation and deletion

    def _set_rotation(self) -> None:
        days = self.every.value
        self._act(
            "Setting the rotation",
            lambda key: key.set_rotation(timedelta(days=days)),
            f"It rotates by itself every {days} days.",
        )

    def _ask(self) -> None:
        days = self.days.value
        self.question.value = (
            f"<b>In {days} days the key can be destroyed, and with it whatever only it opens.</b> "
            "Every use is refused from now on; until it is destroyed the deletion can be cancelled."
        )
        self.confirm.description = f"Yes, schedule it in {days} days"
        controls.show(self._confirmation)

    def _dismiss(self) -> None:
        controls.show(self._confirmation, False)

    def _schedule(self) -> None:
        days = self.days.value
        self._act(
            "Scheduling the deletion",
            lambda key: key.schedule_deletion(days),
            f"It can be destroyed in {days} days; until then this can be cancelled.",
        )


_WORDS = {
    "enable": "enable",
    "disable": "disable",
    "rotate": "rotate",
    "set_rotation": "rotate by itself",
    "add_alias": "add",
    "schedule_deletion": "schedule",
    "cancel_deletion": "cancel",
}


def _known(read: Callable[[], Any]) -> Any:
    """What a key tells of itself; None where this user may not describe it."""
    try:
        return read()
    except KmsError:
        return None
