"""The bench judges fairly."""

from __future__ import annotations

from itertools import count, cycle
from time import perf_counter, sleep

import pytest

from kmskit.bench import __main__ as program
from kmskit.bench.measure import Timed
from kmskit.bench.ratios import Figure, Ratio, Verdict, compare, table


def work(amount: int) -> int:
    return sum(range(amount))


def timed(ours: int, peer: int, floor: float | None) -> Ratio:
    return Ratio("work", "less work", Timed(lambda: work(ours)), Timed(lambda: work(peer)), floor)


def test_code_beside_itself_has_a_ratio_near_one() -> None:
    (figure,) = compare([timed(5000, 5000, 0.8)], turns=9)
    assert figure.verdict is Verdict.REACHED
    assert 0.8 < float(figure.ratio.split()[0]) < 1.25


def test_code_that_does_ten_times_the_work_misses_its_floor() -> None:
    (figure,) = compare([timed(50_000, 5000, 0.5)], turns=5)
    assert figure.verdict is Verdict.MISSED
    assert 0.05 < float(figure.ratio.split()[0]) < 0.2


def test_without_a_floor_a_ratio_is_only_reported() -> None:
    (figure,) = compare([timed(50_000, 5000, None)], turns=2)
    assert (figure.floor, figure.verdict) == ("-", Verdict.REPORTED)


@pytest.mark.parametrize(
    ("pattern", "verdict"),
    [
        ([0.5], Verdict.REACHED),
        ([0.5, 0.5, 2.0], Verdict.REACHED),
        ([2.0, 2.0, 0.5], Verdict.WITHIN_NOISE),
        ([2.0, 2.0, 2.0, 2.0, 2.0, 0.5], Verdict.MISSED),
        ([2.0], Verdict.MISSED),
    ],
)
def test_a_floor_is_missed_when_three_quarters_of_the_turns_miss_it(pattern: list[float], verdict: Verdict) -> None:
    values = cycle(pattern)
    (figure,) = compare([Ratio("a quantity", "its limit", lambda: next(values), lambda: 1.0, 1)], turns=12)
    assert figure.verdict is verdict


def test_figures_are_medians_with_their_noise() -> None:
    numbers = count(1)
    figures = compare([Ratio("time", "its limit", lambda: next(numbers) / 1000, lambda: 0.003, 1)], turns=5)
    assert [(f.ours, f.peer, f.ratio) for f in figures] == [("3 ms", "3 ms", "1 (0.75 to 1.5)")]
    assert table(figures).splitlines()[1].endswith("3 ms  3 ms  1 (0.75 to 1.5)    1      reached")


def test_waiting_counts_by_the_clock_on_the_wall() -> None:
    sides = [Timed(lambda seconds=seconds: sleep(seconds), clock=perf_counter) for seconds in (0.002, 0.001)]
    (figure,) = compare([Ratio("waits", "waits less", *sides)], turns=3)
    assert float(figure.ratio.split()[0]) < 0.8


@pytest.mark.parametrize(("verdict", "status"), [(Verdict.MISSED, True), (Verdict.WITHIN_NOISE, False)])
def test_only_a_floor_that_is_missed_by_more_than_the_noise_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verdict: Verdict, status: bool
) -> None:
    reached = Figure("reached", "a peer", "1 s", "1 s", "1 (1 to 1)", "1", Verdict.REACHED)
    figures = [reached, Figure("tight", "a peer", "1 s", "1 s", "1 (1 to 1)", "1.1", verdict), reached]
    monkeypatch.setattr(program, "promises", lambda stack: [])
    monkeypatch.setattr(program, "compare", lambda rows: figures)
    assert program.judge() is status
    assert table(figures) in capsys.readouterr().out
