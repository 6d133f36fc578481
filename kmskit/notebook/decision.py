"""`Decision`: which place for keys does a job, what rules the others out, and what is left to pay.

    places = {"software": Place(kms.capabilities()), "cloud": Place(table, 13, usd_a_day=4.53, usd_rate=0.5)}
    jobs = {"releases": Job([("EC_P256", "sign")], busiest_minute=12, demands=["no copy"])}
    Decision(jobs, places)

Capability, trust and latency strike out; the price only chooses among what they leave. So no low price makes up for a
key that anybody can copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Any

from kmskit import markup, svg
from kmskit.notebook.pictures import Picture, cross, tick
from kmskit.svg import GREEN, GREY, RED, TINTS

__all__ = ["Cell", "Decision", "Job", "Place"]

_LEFT, _WIDE, _HIGH, _TOP = 156, 152, 58, 64
_LONGEST = 24


@dataclass(frozen=True, slots=True)
class Place:
    """Where keys can be.

    Attributes:
        can: (spec, operation) -> whether it does; what `kms.capabilities()` returns.
        milliseconds: that a call takes.
        usd_a_day: for being there.
        usd_rate: in addition, a day, for each call a second in the busiest minute of that day.
        exposes: demand -> why this place does not meet it, in a few words.
    """

    can: Mapping[Any, object]
    milliseconds: float = 0.0
    usd_a_day: float = 0.0
    usd_rate: float = 0.0
    exposes: Mapping[str, str] = field(default_factory=dict)

    def bill(self, busiest_minute: float) -> float:
        """US dollars a day: calls a second are the mean over that minute, rounded up."""
        return self.usd_a_day + self.usd_rate * ceil(busiest_minute / 60)


@dataclass(frozen=True, slots=True)
class Job:
    """What keys are wanted for.

    Attributes:
        needs: pairs (spec, operation).
        busiest_minute: calls in it.
        milliseconds: that a call may take.
        demands: what must hold, by the names that `Place.exposes` uses.
    """

    needs: Sequence[tuple[str, str]]
    busiest_minute: float = 1
    milliseconds: float = inf
    demands: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """One job in one place.

    Attributes:
        fault: what rules it out, `capability`, `trust` or `latency`; empty if nothing does.
        reason: in a few words.
        usd: a day.
    """

    fault: str
    reason: str
    usd: float


class Decision:
    """Job x place, with the reason in each cell.

    Attributes:
        cells: (job, place) -> Cell.
        best: job -> the cheapest place that does it, the first of several; None if there is none.
    """

    def __init__(self, jobs: Mapping[str, Job], places: Mapping[str, Place]) -> None:
        self.jobs, self.places = list(jobs), list(places)
        self.cells = {
            (name, where): _judged(job, place) for name, job in jobs.items() for where, place in places.items()
        }
        self.best = {name: self._cheapest(name) for name in self.jobs}

    def _cheapest(self, job: str) -> str | None:
        left = [place for place in self.places if not self.cells[job, place].fault]
        return min(left, key=lambda place: self.cells[job, place].usd, default=None)

    def __repr__(self) -> str:
        """The one that is chosen has an arrow."""
        rows = (
            [job, *(_text(self.cells[job, place], self.best[job] == place) for place in self.places)]
            for job in self.jobs
        )
        return markup.columns(["job", *self.places], rows)

    def _repr_svg_(self) -> str:
        parts = []
        for at, place in enumerate(self.places):
            parts += [svg.text(_LEFT + _WIDE * (at + 0.5), 44, place, 12.5, anchor="middle", style="bold")]
        for number, job in enumerate(self.jobs):
            y = _TOP + _HIGH * number
            parts += [svg.text(24, y + 33, job, 13, style="bold")]
            for at, place in enumerate(self.places):
                parts += _drawn(_LEFT + _WIDE * at, y, self.cells[job, place], self.best[job] == place)
        y = _TOP + _HIGH * len(self.jobs) + 22
        parts += _legend(_LEFT + 2, y)
        return Picture(_LEFT + _WIDE * len(self.places) + 22, round(y + 22), repr(self), *parts).svg


def _judged(job: Job, place: Place) -> Cell:
    usd = place.bill(job.busiest_minute)
    for spec, operation in job.needs:
        if not place.can[spec, operation]:
            return Cell("capability", f"no {spec} {operation}", usd)
    for demand in job.demands:
        if demand in place.exposes:
            return Cell("trust", place.exposes[demand], usd)
    if place.milliseconds > job.milliseconds:
        return Cell("latency", f"{place.milliseconds:g} ms, not {job.milliseconds:g}", usd)
    return Cell("", "does it", usd)


def _text(cell: Cell, chosen: bool) -> str:
    if cell.fault:
        return f"- {cell.reason}"
    return f"{'->' if chosen else 'yes'} {cell.usd:.2f} a day"


def _drawn(x: float, y: float, cell: Cell, chosen: bool) -> Iterator[str]:
    """What is chosen differs by its frame, not by its colour alone."""
    colour = RED if cell.fault else GREEN if chosen else GREY
    yield svg.box(x + 3, y + 3, _WIDE - 6, _HIGH - 6, TINTS[colour], GREEN if chosen else "none")
    middle = x + _WIDE / 2
    if cell.fault:
        yield cross(middle, y + 19, RED, 0.8)
        yield svg.text(middle, y + 44, _shortened(cell.reason), 11, "#424a53", "middle")
        return
    if chosen:
        yield tick(middle, y + 19, 0.8)
    else:
        yield svg.line(f"M{middle - 6:g} {y + 19:g}h12", GREY, 2.4)
    style = "bold" if chosen else ""
    yield svg.text(middle, y + 44, f"{cell.usd:.2f} USD a day", 11, "#424a53", "middle", style)


def _shortened(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _legend(x: float, y: float) -> Iterator[str]:
    yield tick(x + 8, y - 4, 0.7)
    yield svg.text(x + 22, y, "does it, at the lowest price", 12, GREY)
    yield svg.line(f"M{x + 212:g} {y - 4:g}h12", GREY, 2.4)
    yield svg.text(x + 232, y, "does it for more", 12, GREY)
    yield cross(x + 360, y - 4, RED, 0.7)
    yield svg.text(x + 374, y, "cannot, may not, or is too slow", 12, GREY)
