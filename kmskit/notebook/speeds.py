"""`speeds`: how often calls can be made in a second, as a table whose figures are volatile and whose form is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter

from kmskit import markup
from kmskit.bench.measure import Timed, take_turns
from kmskit.quantity import digits

__all__ = ["Speeds", "speeds"]

_TURNS = 5
_WIDTH = 9


class Speeds:
    """Calls a second: what x where.

    Attributes:
        found: what -> where -> calls a second.
    """

    def __init__(self, found: Mapping[str, Mapping[str, float]]) -> None:
        self.found = found

    @property
    def _headers(self) -> list[str]:
        places = dict.fromkeys(place for row in self.found.values() for place in row)
        return ["calls a second", *places]

    def __repr__(self) -> str:
        rows = (
            # Of one width inside of the marks, so that what stands behind them does not move.
            [what, *(markup.volatile_text(f"{digits(row[at]):>{_WIDTH}}") if at in row else "-" for at in places)]
            for places in [self._headers[1:]]
            for what, row in self.found.items()
        )
        return markup.columns(self._headers, rows)

    def _repr_html_(self) -> str:
        rows = (
            [what, *(markup.volatile_html(digits(row[at])) if at in row else "-" for at in places)]
            for places in [self._headers[1:]]
            for what, row in self.found.items()
        )
        return markup.table(self._headers, rows)


def speeds(calls: Mapping[str, Mapping[str, Callable[[], object]]], *, seconds: float = 0.2) -> Speeds:
    """Measure calls, one after the other in turns, so that a busy moment of the machine falls on all of them.

    Args:
        calls: what -> where -> the call.
        seconds: for each of them.
    """
    every = [(what, at, call) for what, row in calls.items() for at, call in row.items()]
    timed = {(what, at): Timed(call, seconds / _TURNS, clock=perf_counter) for what, at, call in every}
    samples: dict[tuple[str, str], list[float]] = {place: [] for place in timed}
    for place, sample in take_turns(timed, _TURNS):
        samples[place].append(sample)
    return Speeds({what: {at: 1 / median(samples[what, at]) for at in row} for what, row in calls.items()})
