"""`AccessMatrix`: who may do what with one key, and which statement of which policy decides it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from kmskit import markup, svg
from kmskit.notebook.pictures import Picture, cross, tick
from kmskit.svg import GREEN, GREY, RED, TINTS

if TYPE_CHECKING:
    from kmskit.emulator import Identity

__all__ = ["AccessMatrix", "Judge", "Ruling"]

_LEFT, _WIDE, _HIGH, _TOP = 104, 156, 58, 64
_LONGEST = 25


class Ruling(Protocol):
    """What is shown of a decision: those of an emulator's `ram.explain` have it."""

    @property
    def allowed(self) -> bool: ...
    @property
    def explicit(self) -> bool: ...
    @property
    def policy(self) -> str: ...
    @property
    def statement(self) -> str: ...


class Judge(Protocol):
    """Whoever tells how a call would be decided: an emulator's `ram`."""

    def explain(self, who: Identity | str, action: str, on: str = "*") -> Ruling: ...


class AccessMatrix:
    """Who x action, as decided now: changes of policies that come later do not show.

    Args:
        ram: such as `cloud.ram`.
        who: name of the row -> identity or name of a user; or the users' names.
        actions: such as `Decrypt`.
        on: a key's id or alias.

    Attributes:
        rulings: (row, action) -> decision.
    """

    def __init__(
        self, ram: Judge, who: Mapping[str, Identity | str] | Sequence[str], actions: Sequence[str], on: str
    ) -> None:
        named = who if isinstance(who, Mapping) else {name: name for name in who}
        self.rows, self.actions = list(named), list(actions)
        self.rulings = {
            (row, action): ram.explain(identity, action, on) for row, identity in named.items() for action in actions
        }

    def __repr__(self) -> str:
        """Narrow enough for a page: a letter in the cell, and what it stands for below."""
        reasons = dict.fromkeys(_why(ruling) for ruling in self.rulings.values() if ruling.allowed or ruling.explicit)
        letters = {reason: _letter(at) for at, reason in enumerate(reasons)}
        cells = ([row, *(_text(self.rulings[row, action], letters) for action in self.actions)] for row in self.rows)
        table = markup.columns(["", *self.actions], cells)
        legend = (markup.printable(f"{letter}  {': '.join(reason)}") for reason, letter in letters.items())
        return "\n".join([table, *legend])

    def _repr_svg_(self) -> str:
        parts = []
        for at, action in enumerate(self.actions):
            parts += [svg.text(_LEFT + _WIDE * (at + 0.5), 44, action, 12.5, anchor="middle", style="bold")]
        for number, row in enumerate(self.rows):
            y = _TOP + _HIGH * number
            parts += [svg.text(24, y + 31, row, 13, style="bold")]
            for at, action in enumerate(self.actions):
                parts += _cell(_LEFT + _WIDE * at, y, self.rulings[row, action])
        y = _TOP + _HIGH * len(self.rows) + 22
        parts += _legend(_LEFT + 2, y)
        return Picture(_LEFT + _WIDE * len(self.actions) + 22, round(y + 22), repr(self), *parts).svg


def _why(ruling: Ruling) -> tuple[str, str]:
    if not ruling.policy:
        return ("the account root", "needs no statement") if ruling.allowed else ("no statement", "speaks of it")
    number = f"statement {ruling.statement}" if ruling.statement.isdecimal() else ruling.statement
    return ruling.policy, number


def _letter(at: int) -> str:
    """a to z, then aa, ab and so on."""
    return (_letter(at // 26 - 1) if at >= 26 else "") + "abcdefghijklmnopqrstuvwxyz"[at % 26]


def _text(ruling: Ruling, letters: Mapping[tuple[str, str], str]) -> str:
    if not ruling.allowed and not ruling.explicit:
        return "no"
    return f"{'yes' if ruling.allowed else 'DENY'} {letters[_why(ruling)]}"


def _cell(x: float, y: float, ruling: Ruling) -> Iterator[str]:
    colour = GREEN if ruling.allowed else RED if ruling.explicit else GREY
    yield svg.box(x + 2, y + 2, _WIDE - 4, _HIGH - 4, TINTS[colour])
    if ruling.allowed:
        yield tick(x + _WIDE / 2, y + 15, 0.8)
    elif ruling.explicit:
        yield cross(x + _WIDE / 2, y + 15, RED, 0.8)
    else:
        yield svg.line(f"M{x + _WIDE / 2 - 6:g} {y + 15:g}h12", GREY, 2.4)
    for at, line in enumerate(_why(ruling)):
        yield svg.text(x + _WIDE / 2, y + 36 + 13 * at, _shortened(line), 10.5, "#424a53", "middle")


def _shortened(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _legend(x: float, y: float) -> Iterator[str]:
    yield tick(x + 8, y - 4, 0.7)
    yield svg.text(x + 22, y, "a statement allows it", 12, GREY)
    yield cross(x + 178, y - 4, RED, 0.7)
    yield svg.text(x + 192, y, "a statement denies it", 12, GREY)
    yield svg.line(f"M{x + 342:g} {y - 4:g}h12", GREY, 2.4)
    yield svg.text(x + 362, y, "no statement allows it", 12, GREY)
