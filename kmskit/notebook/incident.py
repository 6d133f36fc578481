"""An incident to practise on: a day on an emulator's clock, on which an access key leaks and somebody uses it.

at(cloud.clock, "10:00")                          # the emulator's clock goes on to ten o'clock
intruder = break_in(cloud, leaked, bucket)        # what he does stands here, and the reader finds it out
Incident(calls, files, leaked.access_key_id)      # the picture of it, from the trail
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from kmskit import markup, svg
from kmskit.errors import KmsError
from kmskit.notebook.intruder import Intruder
from kmskit.notebook.pictures import Picture, cross, tick
from kmskit.svg import BLUE, GREEN, GREY, ORANGE, RED, TINTS

if TYPE_CHECKING:
    from kmskit.emulator import Cloud, Identity

__all__ = ["Call", "Incident", "at", "break_in"]

_LEFT, _WIDE, _HIGH, _TOP = 116, 78, 54, 70
_SHORT = {"GenerateDataKey": "data key"}


class Watch(Protocol):
    """A clock that can be advanced: that of an emulator."""

    def __call__(self) -> datetime: ...
    def advance(self, by: timedelta, /) -> object: ...


class Call(Protocol):
    """What is drawn of a call: the events of an emulator's trail have it."""

    @property
    def time(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def access_key_id(self) -> str: ...
    @property
    def keys(self) -> tuple[str, ...]: ...
    @property
    def code(self) -> str: ...


def at(clock: Watch, hour: str) -> None:
    """Advance to the next time the clock shows this hour, in UTC: `at(cloud.clock, "10:00")`."""
    now = clock()
    hours, minutes = map(int, hour.split(":"))
    wanted = now.replace(hour=hours, minute=minutes, second=0, microsecond=0)
    clock.advance((wanted if wanted > now else wanted + timedelta(days=1)) - now)


def break_in(
    cloud: Cloud,
    leaked: Identity,
    bucket: MutableMapping[str, bytes],
    meanwhile: Callable[[], object] = lambda: None,
) -> Intruder:
    """Let somebody use a leaked access key from 10:11 to 10:26. He reads two files and puts back one that he changed.

    Args:
        leaked: the access key that he found.
        bucket: name -> envelope. He can write to it, as the program can.
        meanwhile: what the program itself does at 10:15, with the same access key.
    """
    kms = cloud.connect(leaked, instance="software")
    intruder = Intruder(kms)
    first, *_, last = sorted(bucket)
    at(cloud.clock, "10:11")
    with suppress(KmsError):
        next(kms.keys(), None)
    at(cloud.clock, "10:12")
    intruder.asks(bucket[first])
    at(cloud.clock, "10:13")
    intruder.asks(bucket[last])
    at(cloud.clock, "10:15")
    meanwhile()
    at(cloud.clock, "10:26")
    changed = re.sub(rb"[0-9]+\.[0-9]{2}$", b"0.01", intruder.reads(bucket[last]) or b"", flags=re.MULTILINE)
    bucket[last] = intruder.forges(bucket[last], changed)
    return intruder


class Incident:
    """Which calls were made when, on which file's key, and with which access key.

    Args:
        calls: such as those of `cloud.trail` that matter.
        files: key id -> name of the file that the key protects.
        leaked: the id of the access key that leaked.
        since: when it leaked, as hours and minutes.
        until: when it was disabled; empty if it is not.
    """

    def __init__(
        self, calls: Iterable[Call], files: Mapping[str, str], leaked: str, since: str = "10:00", until: str = ""
    ) -> None:
        self._since, self._until = since, until
        self._files = dict.fromkeys(files.values())
        self.marks = [
            (call.time[11:16], files[key], call.action, call.access_key_id == leaked, call.code)
            for call in calls
            for key in call.keys
            if key in files
        ]
        self.minutes = sorted({since, *(mark[0] for mark in self.marks)} | ({until} if until else set()))

    def __repr__(self) -> str:
        rows = (
            (minute, file, action, "the leaked one" if leaked else "another", code or "done")
            for minute, file, action, leaked, code in self.marks
        )
        return markup.columns(("time", "file", "call", "access key", "outcome"), rows)

    def _repr_svg_(self) -> str:
        bottom = _TOP + _HIGH * len(self._files)
        width = _LEFT + _WIDE * len(self.minutes) + 24
        leak = _LEFT + _WIDE * self.minutes.index(self._since)
        end = _LEFT + _WIDE * self.minutes.index(self._until) if self._until else width - 12
        parts = [
            svg.box(leak, _TOP - 4, end - leak, bottom - _TOP + 8, TINTS[RED], radius=6),
            svg.line(f"M{leak:g} 30V{bottom + 8:g}", RED, 2),
            svg.text(leak + 8, 38, "the access key leaks", 12, RED, style="bold"),
        ]
        if self._until:
            parts += [
                svg.line(f"M{end:g} 30V{bottom + 8:g}", GREEN, 2),
                svg.text(end + 8, 38, "it is disabled", 12, GREEN, style="bold"),
            ]
        for column, minute in enumerate(self.minutes):
            parts += [svg.text(_LEFT + _WIDE * (column + 0.5), 58, minute, 12.5, anchor="middle", style="bold")]
        for number, file in enumerate(self._files):
            parts += [svg.text(24, _TOP + _HIGH * number + 31, file, 13, style="bold")]
            for column, minute in enumerate(self.minutes):
                here = [mark for mark in self.marks if mark[:2] == (minute, file)]
                parts += _drawn(_LEFT + _WIDE * column, _TOP + _HIGH * number, here, minute >= self._since)
        parts += _legend(24, bottom + 34)
        return Picture(max(width, 720), bottom + 54, repr(self), *parts).svg


def _drawn(x: float, y: float, marks: list[tuple[str, str, str, bool, str]], late: bool) -> Iterator[str]:
    """What was done to one file in one minute: the worst of it, and how often."""
    if not marks:
        return
    done = [mark for mark in marks if not mark[4]]
    suspect = late and any(mark[3] for mark in done)
    _, _, action, _, _ = (done or marks)[0]
    colour = RED if suspect and action == "Decrypt" else ORANGE if suspect else BLUE
    yield svg.box(x + 3, y + 3, _WIDE - 6, _HIGH - 6, "#ffffff", colour if done else GREY)
    if not done:
        yield cross(x + _WIDE / 2, y + 19, GREY, 0.8)
    elif suspect:
        yield svg.line(f"M{x + _WIDE / 2:g} {y + 11:g}v9m0 6v.5", colour, 3)
    else:
        yield tick(x + _WIDE / 2, y + 19, 0.8)
    what = _SHORT.get(action, action) if len(marks) == 1 else f"{len(marks)} calls"
    yield svg.text(x + _WIDE / 2, y + 42, what, 11, "#424a53", "middle")


def _legend(x: float, y: float) -> Iterator[str]:
    yield tick(x + 8, y - 4, 0.7)
    yield svg.text(x + 22, y, "before the leak, or another access key", 12, GREY)
    yield svg.line(f"M{x + 276:g} {y - 10:g}v8m0 5v.5", RED, 3)
    yield svg.text(x + 286, y, "read with the leaked one", 12, GREY)
    yield svg.line(f"M{x + 460:g} {y - 10:g}v8m0 5v.5", ORANGE, 3)
    yield svg.text(x + 470, y, "written with it", 12, GREY)
    yield cross(x + 588, y - 4, GREY, 0.7)
    yield svg.text(x + 602, y, "refused", 12, GREY)
