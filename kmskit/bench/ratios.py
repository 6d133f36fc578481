"""Measured figures: how fast kmskit is beside a peer, and how long something takes or how large it is.

The speed of a machine changes while one measures. So the rows of a group take turns, and in each turn ours and the peer
stand side by side. A figure is the median over all turns, and the quartiles are its noise. A limit is missed when three
quarters of the turns miss it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median, quantiles
from time import process_time
from timeit import Timer

from kmskit import markup

__all__ = ["Bound", "Figure", "Ratio", "Verdict", "compare", "observe", "table"]

_TURN_SECONDS = 0.02  # Long against the clock's grain, short enough that ours and the peer meet the same machine.
_UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}


@dataclass(frozen=True, slots=True)
class Ratio:
    """The speed of our code over that of a peer which does the bare work: 1 is as fast, 0.5 takes twice as long.

    Attributes:
        name: what is measured.
        ours, peer: do it once.
        floor: the ratio to reach; None if the ratio is only reported.
        clock: by default the time this process computes, which other programs disturb little. For what waits for a
            disk, a token or a service it is `time.perf_counter`.
    """

    name: str
    ours: Callable[[], object]
    peer: Callable[[], object]
    floor: float | None = None
    clock: Callable[[], float] = process_time


@dataclass(frozen=True, slots=True)
class Bound:
    """A quantity by itself.

    Attributes:
        name: what is measured.
        measure: measures it once.
        ceiling: what it must not exceed, and
        floor: what it must reach; a quantity has one of them, or none if it is only reported.
        unit: `s`, `MB` or `/s`.
    """

    name: str
    measure: Callable[[], float]
    ceiling: float | None = None
    unit: str = "s"
    floor: float | None = None


class Verdict(StrEnum):
    REACHED = "reached"
    WITHIN_NOISE = "missed, within noise"
    MISSED = "missed"
    REPORTED = "reported"


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured row, ready to be shown."""

    name: str
    ours: str
    peer: str
    ratio: str
    limit: str
    verdict: Verdict


def compare(ratios: Sequence[Ratio], turns: int = 15) -> list[Figure]:
    """Measure ratios, turn by turn."""
    contests = [_Contest(row) for row in ratios]
    for turn in range(turns):
        for contest in contests:
            contest.take(turn)
    return [contest.figure() for contest in contests]


def observe(bound: Bound, turns: int = 9) -> Figure:
    """Measure a quantity."""
    values = [bound.measure() for _ in range(turns)]
    low, middle, high = (_quantity(value, bound.unit) for value in _quartiles(values))
    shown = middle if low == high else f"{middle} ({low} to {high})"
    if bound.ceiling is not None:
        limit, verdict = "at most", _judge(value <= bound.ceiling for value in values)
    elif bound.floor is not None:
        limit, verdict = "at least", _judge(value >= bound.floor for value in values)
    else:
        return Figure(bound.name, shown, "", "", "", Verdict.REPORTED)
    limit = f"{limit} {_quantity(bound.ceiling or bound.floor or 0.0, bound.unit)}"
    return Figure(bound.name, shown, "", "", limit, verdict)


def table(figures: Iterable[Figure]) -> str:
    """The figures as aligned plain text."""
    headers = ("what", "ours", "peer", "ratio (quartiles)", "limit", "verdict")
    return markup.columns(headers, ((f.name, f.ours, f.peer, f.ratio, f.limit, f.verdict) for f in figures))


class _Contest:
    """A ratio while it is being measured."""

    def __init__(self, row: Ratio) -> None:
        self._row = row
        timers = [Timer(work, timer=row.clock) for work in (row.ours, row.peer)]
        self._sides = [(timer, _calls_a_turn(timer)) for timer in timers]
        self._seconds: tuple[list[float], list[float]] = ([], [])

    def take(self, turn: int) -> None:
        for side in (0, 1) if turn % 2 else (1, 0):  # Neither always pays for what the row before left in the caches.
            timer, calls = self._sides[side]
            self._seconds[side].append(timer.timeit(calls) / calls)

    def figure(self) -> Figure:
        ours, peer = self._seconds
        ratios = [theirs / mine for mine, theirs in zip(ours, peer, strict=True)]
        low, middle, high = _quartiles(ratios)
        return Figure(
            self._row.name,
            _quantity(median(ours), "s"),
            _quantity(median(peer), "s"),
            f"{middle:.2f} ({low:.2f} to {high:.2f})",
            "" if self._row.floor is None else f"at least {self._row.floor:g}",
            Verdict.REPORTED if self._row.floor is None else _judge(ratio >= self._row.floor for ratio in ratios),
        )


def _calls_a_turn(timer: Timer) -> int:
    calls = 1
    while (seconds := timer.timeit(calls)) < _TURN_SECONDS:
        calls = max(calls + 1, int(calls * min(10.0, 1.2 * _TURN_SECONDS / seconds)))
    return calls


def _quartiles(values: Sequence[float]) -> list[float]:
    return quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3


def _judge(turns: Iterable[bool]) -> Verdict:
    """The verdict on turns that each reached the limit or not."""
    reached = list(turns)
    share = sum(reached) / len(reached)
    return Verdict.REACHED if share >= 0.5 else Verdict.WITHIN_NOISE if share > 0.25 else Verdict.MISSED


def _quantity(value: float, unit: str) -> str:
    if unit == "s":
        unit, size = next(((name, size) for name, size in _UNITS.items() if value >= size), ("µs", 1e-6))
        value /= size
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"
