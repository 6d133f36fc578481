"""The picture of the lesson on Alibaba Cloud KMS: which calls went through which gateway."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Protocol

from kmskit import markup, svg
from kmskit.notebook.pictures import Picture, cross, small_key, tick
from kmskit.svg import BLUE, GREEN, GREY, ORANGE, RED, TINTS, WHITE

__all__ = ["Call", "two_gateways"]

_WIDE = 760
_LEFT, _RIGHT = 204, 570
_TOP, _LINE, _LETTERS = 48, 19, 40
_DENIED = 403

_Lane = tuple[str, bool, list[str]]
"""Who called, whether a policy refused, and the actions in the order of their first call."""


class Call(Protocol):
    """What is drawn of a call: the events of an emulator's trail have it."""

    @property
    def user(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def gateway(self) -> str: ...
    @property
    def status(self) -> int: ...


def two_gateways(trail: Iterable[Call]) -> Picture:
    """Which calls of a trail went through the shared gateway, and which through that of an instance.

    Args:
        trail: such as `cloud.trail`; calls whose signature was refused are nobody's and left out.
    """
    calls = [call for call in trail if call.user]
    shared = _lanes(call for call in calls if call.gateway == "shared")
    own = _lanes(call for call in calls if call.gateway != "shared")
    heights = [_height(lanes) for lanes in (shared, own)]
    bottom = _TOP + sum(heights) + 16
    parts = [
        svg.text(28, 34, "your network", 13, GREY),
        svg.text(_LEFT, 34, "the cloud", 13, GREY),
        svg.box(28, _TOP, 118, bottom - _TOP, WHITE, "#8a929b"),
        svg.text(87, (_TOP + bottom) / 2, "your programs", 13, anchor="middle", style="bold"),
        *_door(_TOP, heights[0], ORANGE, "the shared gateway", "CA: a public one", shared),
        *_door(_TOP + heights[0] + 16, heights[1], GREEN, "the instance's own gateway", "CA: its own", own),
        *_instance(_TOP, bottom),
    ]
    words = [f"Calls over the shared gateway: {_told(shared)}.", f"Over the instance's own gateway: {_told(own)}."]
    return Picture(_WIDE, bottom + 28, " ".join(words), *parts)


def _lanes(calls: Iterable[Call]) -> list[_Lane]:
    found: dict[tuple[str, bool], dict[str, None]] = {}
    for call in calls:
        found.setdefault((call.user, call.status == _DENIED), {})[call.action] = None
    return [(user, denied, list(actions)) for (user, denied), actions in found.items()]


def _lines(lane: _Lane) -> list[str]:
    return wrap(", ".join(lane[2]), _LETTERS, break_long_words=True)


def _height(lanes: list[_Lane]) -> int:
    return 58 + sum(_LINE * len(_lines(lane)) + 8 for lane in lanes)


def _door(y: float, height: float, colour: str, name: str, certificate: str, lanes: list[_Lane]) -> Iterator[str]:
    yield svg.box(_LEFT, y, _RIGHT - _LEFT, height, TINTS[colour], colour)
    yield svg.text(_LEFT + 16, y + 26, name, 14, style="bold")
    yield svg.text(_RIGHT - 16, y + 26, certificate, 12, "#424a53", "end")
    yield svg.arrow(152, y + height / 2, _LEFT - 6)
    yield svg.arrow(_RIGHT + 6, y + height / 2, _RIGHT + 44)
    line = y + 54
    for lane in lanes:
        user, denied, _ = lane
        yield cross(_LEFT + 24, line - 4, RED, 0.75) if denied else tick(_LEFT + 24, line - 4, 0.75)
        yield svg.text(_LEFT + 42, line, user, 12, style="bold")
        for text in _lines(lane):
            yield svg.text(_LEFT + 94, line, text, 12, RED if denied else "#24292f")
            line += _LINE
        line += 8


def _instance(top: float, bottom: float) -> Iterator[str]:
    left, right = _RIGHT + 50, _WIDE - 28
    middle = (top + bottom) / 2
    yield svg.box(left, top, right - left, bottom - top, TINTS[BLUE], BLUE)
    yield small_key((left + right) / 2 - 12, middle - 22, BLUE, 1.2)
    yield svg.text((left + right) / 2, middle + 16, "KMS instance", 13, anchor="middle", style="bold")
    yield svg.text((left + right) / 2, middle + 34, "the keys stay", 12, "#424a53", "middle")


def _told(lanes: list[_Lane]) -> str:
    told = (f"{user} {'was denied' if denied else 'called'} {', '.join(actions)}" for user, denied, actions in lanes)
    return markup.printable("; ".join(told)) or "none"
