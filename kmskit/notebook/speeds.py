"""`speeds`: how often calls can be made in a second, as a table whose figures are volatile and whose form is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter

from kmskit import markup

__all__ = ["Speeds", "speeds"]

_ROUNDS = 5
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
            [what, *(markup.volatile_text(f"{_rounded(row[at]):>{_WIDTH}}") if at in row else "-" for at in places)]
            for places in [self._headers[1:]]
            for what, row in self.found.items()
        )
        return markup.columns(self._headers, rows)

    def _repr_html_(self) -> str:
        rows = (
            [what, *(markup.volatile_html(_rounded(row[at])) if at in row else "-" for at in places)]
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
    rates: dict[tuple[str, str], list[float]] = {(what, at): [] for what, row in calls.items() for at in row}
    for what, at in rates:
        calls[what][at]()  # The first call may prepare what the others find.
    for _ in range(_ROUNDS):
        for (what, at), found in rates.items():
            found.append(_rate(calls[what][at], seconds / _ROUNDS))
    return Speeds({what: {at: median(rates[what, at]) for at in row} for what, row in calls.items()})


def _rate(call: Callable[[], object], seconds: float) -> float:
    start, made = perf_counter(), 0
    while True:
        call()
        made += 1
        if (passed := perf_counter() - start) >= seconds:
            return made / passed


def _rounded(value: float) -> str:
    """Two digits that count: the others are noise."""
    short = float(f"{value:.2g}")
    return f"{short:,.0f}" if short >= 10 else f"{short:g}"
