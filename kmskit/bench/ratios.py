"""Ratios: ours beside a peer's or a limit, measured in turns, and judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from enum import StrEnum
from statistics import median

from kmskit import markup
from kmskit.bench.measure import quartiles, take_turns
from kmskit.quantity import digits, duration

__all__ = ["Figure", "Ratio", "Verdict", "compare", "table"]


@dataclass(frozen=True, slots=True)
class Ratio:
    """The speed of ours over a peer's, or a limit over what it is for: 1 is as good, 0.5 half as good.

    Attributes:
        what, beside: what is measured, and beside what.
        ours, peer: take a sample, of which less is better.
        floor: what the ratio shall reach; None if it is only reported.
        show: how a sample is written.
    """

    what: str
    beside: str
    ours: Callable[[], float]
    peer: Callable[[], float]
    floor: float | None = None
    show: Callable[[float], str] = duration


class Verdict(StrEnum):
    """A floor is missed when three quarters of the turns miss it."""

    REACHED = "reached"
    WITHIN_NOISE = "missed, within noise"
    MISSED = "missed"
    REPORTED = "-"


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured row, ready to be shown."""

    what: str
    beside: str
    ours: str
    peer: str
    ratio: str
    floor: str
    verdict: Verdict


def compare(rows: Sequence[Ratio], turns: int = 21) -> list[Figure]:
    """Measure rows in turns, each one's sides next to each other. A ratio is the median of the turns'."""
    samples: dict[tuple[int, str], list[float]] = {
        (at, side): [] for at in range(len(rows)) for side in ("ours", "peer")
    }
    for name, sample in take_turns({(at, side): getattr(rows[at], side) for at, side in samples}, turns):
        samples[name].append(sample)
    return [_figure(row, samples[at, "ours"], samples[at, "peer"]) for at, row in enumerate(rows)]


def _figure(row: Ratio, ours: Sequence[float], peer: Sequence[float]) -> Figure:
    found = [theirs / mine for mine, theirs in zip(ours, peer, strict=True)]
    low, middle, high = map(digits, quartiles(found))
    verdict, floor = Verdict.REPORTED, "-"
    if row.floor is not None:
        floor, reached = f"{row.floor:g}", sum(ratio >= row.floor for ratio in found) / len(found)
        verdict = Verdict.REACHED if reached >= 0.5 else Verdict.WITHIN_NOISE if reached > 0.25 else Verdict.MISSED
    shown = row.show(median(ours)), row.show(median(peer))
    return Figure(row.what, row.beside, shown[0], shown[1], f"{middle} ({low} to {high})", floor, verdict)


def table(figures: Iterable[Figure]) -> str:
    """The figures as aligned plain text."""
    headers = ("what", "beside", "ours", "peer", "ratio (quartiles)", "floor", "verdict")
    return markup.columns(headers, (astuple(figure) for figure in figures))
