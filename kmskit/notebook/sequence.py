"""`Sequence`: who sent what to whom, as a sequence diagram. What went to the KMS is read from a trail of calls.

The trail of an emulator has no values in it, only who called which action and how that went; what an action carries is
known from the API. Without an emulator a `recorder.Recorder` keeps a trail of the same kind for any backend. What
passes between a program, a cloud product and its medium leaves no trail, so the notebook says it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol, TypeVar

from kmskit import markup, svg
from kmskit.errors import KmsError
from kmskit.notebook.grid import Grid
from kmskit.notebook.pictures import Picture
from kmskit.notebook.recorder import Use
from kmskit.svg import GREY, INK, ORANGE, RED, RULE, TINTS, WHITE

__all__ = ["Call", "Message", "Sequence", "Trail"]

_KMS = "KMS"
_LEFT, _TOP, _LANE, _STEP = 104, 76, 196, 40
_COLOURS = {"plaintext": RED, "data key": ORANGE, "wrapped data key": GREY, "ciphertext": GREY}
_SENDS = {"Encrypt": ("plaintext",), "Decrypt": ("ciphertext",)}
_GETS = {
    "Encrypt": ("ciphertext",),
    "Decrypt": ("plaintext",),
    "GenerateDataKey": ("data key", "wrapped data key"),
    "GenerateDataKeyWithoutPlaintext": ("wrapped data key",),
}
_OF_A_PRODUCT = {"plaintext": "data key", "ciphertext": "wrapped data key"}
"""A cloud product has KMS encrypt and decrypt nothing but data keys."""
_Result = TypeVar("_Result")


class Call(Protocol):
    """What is drawn of a call: the events of an emulator's trail have it."""

    @property
    def user(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def status(self) -> int: ...
    @property
    def code(self) -> str: ...


class Trail(Protocol):
    """Calls, oldest first, of which there become more; each is the same object whenever it is asked for."""

    def __iter__(self) -> Iterator[Call]: ...


@dataclass(frozen=True, slots=True)
class Message:
    """One arrow.

    Attributes:
        text: what is asked for, or the code of a refusal.
        carries: of `plaintext`, `data key`, `wrapped data key` and `ciphertext`.
        refused: whether it is a refusal.
    """

    sender: str
    receiver: str
    text: str = ""
    carries: tuple[str, ...] = ()
    refused: bool = False


class Sequence:
    """What is done from now on, as a sequence diagram.

        story = Sequence(cloud.trail)
        disk = story.do("create a disk", lambda: cloud.ecs.create_disk("main"), stores="wrapped data key")

    Args:
        trail: such as `cloud.trail`; what is in it already is left out.
        program: what the program is called that asks.
        product: the cloud product that does its work, and its name in the trail.
        keys: what the place of the keys is called.
    """

    def __init__(
        self,
        trail: Trail,
        program: str = "app",
        product: tuple[str, str] = ("ECS", "ecs.aliyuncs.com"),
        keys: str = _KMS,
    ) -> None:
        self._trail = trail
        self._keys = keys
        self._last = next(reversed(list(trail)), None)
        self._program = program
        self._product, self._principal = product
        self.messages: list[Message] = []

    def do(
        self,
        text: str,
        call: Callable[[], _Result],
        *,
        sends: str = "",
        gets: str = "",
        stores: str = "",
        loads: str = "",
    ) -> _Result:
        """Have the product do something, and draw it with the calls that KMS gets meanwhile. Its errors pass through.

        Args:
            text: what the program asks for.
            call: does it.
            sends, gets: what the program gives to the product, and gets back.
            stores, loads: what the product writes to the medium, or reads from it.
        """
        self._say(self._program, self._product, text, sends)
        if loads:
            self._say("medium", self._product, "", loads)
        try:
            result = call()
        except KmsError as error:
            self._listen()
            self._say(self._product, self._program, error.code or type(error).__name__, refused=True)
            raise
        self._listen()
        if stores:
            self._say(self._product, "medium", "", stores)
        if gets:
            self._say(self._product, self._program, "", gets)
        return result

    def ask(self, call: Callable[[], _Result], *, loads: str = "", here: str = "", stores: str = "") -> _Result:
        """Have the program ask KMS itself. Its errors pass through.

        Args:
            call: asks.
            loads, stores: what the program reads from its medium before, and writes to it afterwards.
            here: what the program holds in the clear meanwhile, beside what passes.
        """
        if loads:
            self._say("medium", self._program, "", *loads.split(", "))
        try:
            result = call()
        finally:
            self._listen()
        if here:
            self._say(self._program, self._program, "holds", *here.split(", "))
        if stores:
            self._say(self._program, "medium", "", *stores.split(", "))
        return result

    def _say(self, sender: str, receiver: str, text: str, *carries: str, refused: bool = False) -> None:
        self.messages.append(Message(sender, receiver, text, tuple(filter(None, carries)), refused))

    def _listen(self) -> None:
        # From the last one that was seen: an emulator keeps so many calls, and then their number stays.
        calls = list(takewhile(lambda call: call is not self._last, reversed(list(self._trail))))
        self._last = calls[0] if calls else self._last
        for call in reversed(calls):
            is_product = call.user == self._principal
            who = self._product if is_product else call.user
            if isinstance(call, Use):
                sends, gets = call.sends, call.gets
            else:
                sends, gets = (
                    tuple(_OF_A_PRODUCT.get(what, what) if is_product else what for what in table.get(call.action, ()))
                    for table in (_SENDS, _GETS)
                )
            self._say(who, self._keys, call.action, *sends)
            if call.code:
                self._say(self._keys, who, call.code, refused=True)
            elif gets:
                self._say(self._keys, who, "", *gets)

    @property
    def lanes(self) -> list[str]:
        """Who takes part: the program, the product, its medium, then others, and KMS at the end."""
        found = {name for message in self.messages for name in (message.sender, message.receiver)}
        keys = self._keys
        order = [self._program, self._product, "medium", *sorted(found)]
        return [name for name in dict.fromkeys(order) if name in found and name != keys] + [keys] * (keys in found)

    def seen(self, until: int | None = None) -> Grid:
        """Who came to see what: everything that a message carried, at both of its ends.

        Args:
            until: how many messages count; all if left out.
        """
        messages = self.messages[:until]
        return Grid(
            {
                lane: {
                    what: any(what in m.carries and lane in (m.sender, m.receiver) for m in messages)
                    for what in _COLOURS
                }
                for lane in self.lanes
            }
        )

    def __repr__(self) -> str:
        return markup.columns(
            ("from", "to", "what", "carries"),
            (
                (m.sender, m.receiver, f"refused: {m.text}" if m.refused else m.text, ", ".join(m.carries))
                for m in self.messages
            ),
        )

    def _repr_svg_(self) -> str:
        return self.picture().svg

    def picture(self, until: int | None = None) -> Picture:
        """The diagram.

        Args:
            until: how many messages are drawn; all if left out. The place of the others stays free.
        """
        lanes = {name: _LEFT + at * _LANE for at, name in enumerate(self.lanes)}
        bottom = _TOP + 24 + _STEP * len(self.messages)
        parts = []
        for name, x in lanes.items():
            parts += [svg.line(f"M{x:g} {_TOP - 14:g}V{bottom:g}", RULE)]
            parts += [svg.box(x - 66, 26, 132, 36, INK if name == self._keys else WHITE, "#8a929b", 6)]
            parts += [svg.text(x, 49, name, 13.5, WHITE if name == self._keys else INK, "middle", "bold")]
        for at, message in enumerate(self.messages[:until]):
            parts += _arrow(message, lanes[message.sender], lanes[message.receiver], _TOP + 24 + _STEP * at)
        return Picture(2 * _LEFT + (len(lanes) - 1) * _LANE, bottom + 18, repr(self), *parts)


def _arrow(message: Message, x: float, to: float, y: float) -> Iterator[str]:
    """An arrow; above it, within the lane that it starts in, what is asked for and what it carries."""
    right = to >= x
    colour = RED if message.refused else GREY
    if to == x:
        yield f'<circle cx="{x:g}" cy="{y - 4:g}" r="4" fill="{colour}"/>'
    else:
        yield svg.arrow(x + (4 if right else -4), y + 8, to - (4 if right else -4), colour)
    start = x + 10 if right else x - _LANE + 10
    if message.text:
        yield svg.text(start, y, message.text, 12, colour if message.refused else INK)
        start += 6.4 * len(message.text) + 8
    for what in message.carries:
        wide = 5.8 * len(what) + 13
        tint = _COLOURS[what]
        yield svg.box(start, y - 13, wide, 18, TINTS[tint], tint, 9)
        yield svg.text(start + wide / 2, y, what, 11, tint if tint != GREY else INK, "middle")
        start += wide + 4
