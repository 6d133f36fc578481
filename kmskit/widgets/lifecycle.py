"""`Lifecycle`: a key, a clock that is moved by hand, and which ciphertexts open after each step."""

from __future__ import annotations

from collections.abc import Callable

from kmskit import Key, KeyNotFoundError, Kms, markup
from kmskit.notebook import Clock, scratch
from kmskit.notebook.pictures import Timeline
from kmskit.widgets import controls
from kmskit.widgets.tile import Tile

__all__ = ["Lifecycle"]

_DAYS = 30
_SHOWN = 8  # Steps that find room on a page.


class Lifecycle(Tile):
    """A key in memory to rotate, disable, enable and destroy. After each step every ciphertext is decrypted, or not.

    Attributes:
        clock: which time it is for the key; only the buttons move it.
        story: the steps so far. Each mark is a decryption that was tried.
    """

    def __init__(self) -> None:
        super().__init__()
        acts: dict[str, tuple[Callable[[], object], str]] = {
            "Rotate": (self._rotate, "Give the key a new version, and encrypt a row under it"),
            "Disable": (lambda: self.key.disable(), "Refuse every use"),
            "Enable": (lambda: self.key.enable(), "Allow uses again"),
            "Schedule deletion": (lambda: self.key.schedule_deletion(_DAYS), f"Destroy the key in {_DAYS} days"),
            "Cancel deletion": (lambda: self.key.cancel_deletion(), "Keep the key after all"),
            f"+{_DAYS} days": (lambda: self.clock.advance(days=_DAYS), "Move the clock"),
            "Purge": (lambda: self.kms.purge(), "Destroy what is due"),
        }
        self.buttons = {
            name: controls.button(name, self._doing(name, act), tip=tip) for name, (act, tip) in acts.items()
        }
        self.again = controls.button("Start over", self.restart, tip="A new key, and a clock at its beginning")
        self.state, self.drawing = controls.say(), controls.say(kind="picture")
        head = controls.box(
            "bar", controls.say(controls.heading("Which ciphertexts open", "every mark is a try")), self.again
        )
        self.show(head, controls.row(*self.buttons.values()), self.state, self.drawing)
        self.restart()

    def restart(self) -> None:
        """Begin anew, with another key."""
        self.work(self._begin, lambda _: self._draw(), None)

    def _begin(self) -> None:
        self.clock = Clock()
        self.kms: Kms = scratch(clock=self.clock)
        self.key: Key = self.kms.create_key("orders")
        self.story = Timeline(self.key)
        self._encrypt()
        self.story.step("create", self.clock.now)

    def _encrypt(self) -> None:
        self.story.watch(f"version {len(self.key.versions)}", self.key.encrypt(b"4111 1111 1111 1111"))

    def _rotate(self) -> None:
        self.key.rotate()
        self._encrypt()

    def _doing(self, name: str, act: Callable[[], object]) -> Callable[[], None]:
        def done() -> None:
            act()
            self.story.step(name.removesuffix(" deletion").lower(), self.clock.now)

        return lambda: self.work(done, lambda _: self._draw(), None)

    def _draw(self) -> None:
        try:
            self.key.refresh()
            state, versions = markup.badge(self.key.state), len(self.key.versions)
        except KeyNotFoundError:
            state, versions = markup.badge("destroyed", "bad"), 0
        plural = "" if versions == 1 else "s"
        self.state.value = f"{self.clock.now:%d %B %Y} · {state} · {versions} version{plural}"
        self.drawing.value = self.story.picture(_SHOWN).svg
        self.say("")

    def still(self) -> dict[str, str]:
        """The steps so far."""
        self.rest()
        return {"image/svg+xml": self.story.picture(_SHOWN).svg}

    def __repr__(self) -> str:
        self.rest()
        return f"Lifecycle\n{self.story}"
