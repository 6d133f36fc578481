"""The bench judges fairly, and its rows do what they say."""

from __future__ import annotations

from itertools import count, cycle
from time import perf_counter, sleep

import pytest

import kmskit
from kmskit.bench import software
from kmskit.bench.__main__ import report
from kmskit.bench.ratios import Bound, Ratio, Verdict, compare, observe, table


def work(amount: int) -> int:
    return sum(range(amount))


def test_code_beside_itself_has_a_ratio_near_one() -> None:
    (figure,) = compare([Ratio("itself", lambda: work(5000), lambda: work(5000), floor=0.8)])
    assert figure.verdict is Verdict.REACHED
    assert 0.8 < float(figure.ratio.split()[0]) < 1.25


def test_code_that_does_ten_times_the_work_misses_its_floor() -> None:
    (figure,) = compare([Ratio("slow", lambda: work(50_000), lambda: work(5000), floor=0.5)])
    assert figure.verdict is Verdict.MISSED
    assert 0.05 < float(figure.ratio.split()[0]) < 0.2


def test_without_a_floor_a_ratio_is_only_reported() -> None:
    (figure,) = compare([Ratio("slow", lambda: work(50_000), lambda: work(5000))], turns=3)
    assert figure.verdict is Verdict.REPORTED


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
def test_a_limit_is_missed_when_three_quarters_of_the_turns_miss_it(pattern: list[float], verdict: Verdict) -> None:
    values = cycle(pattern)
    assert observe(Bound("quantity", lambda: next(values), ceiling=1.0), turns=12).verdict is verdict


def test_quantities_are_shown_with_their_unit_and_noise() -> None:
    numbers = count(1)
    assert observe(Bound("time", lambda: next(numbers) / 1000), turns=5).ours == "3 ms (2 ms to 4 ms)"
    assert observe(Bound("size", lambda: 2.5, ceiling=3, unit="MB"), turns=1).ours == "2.5 MB"
    assert observe(Bound("rate", lambda: 1234.5, unit="/s"), turns=1).ours == "1,234 /s"


@pytest.mark.parametrize(("value", "verdict"), [(999.0, Verdict.MISSED), (1000.0, Verdict.REACHED)])
def test_a_quantity_may_have_a_floor(value: float, verdict: Verdict) -> None:
    figure = observe(Bound("rate", lambda: value, floor=1000.0, unit="/s"), turns=3)
    assert (figure.limit, figure.verdict) == ("at least 1,000 /s", verdict)


@pytest.mark.parametrize(("value", "status"), [(0.5, 0), (2.0, 1)])
def test_the_exit_status_tells_of_a_missed_limit(capsys: pytest.CaptureFixture[str], value: float, status: int) -> None:
    figure = observe(Bound("quantity", lambda: value, ceiling=1.0), turns=3)
    assert report([figure]) == status
    assert table([figure]) in capsys.readouterr().out


def test_ours_and_the_peer_of_each_row_do_the_same_work() -> None:
    with kmskit.connect("software:?memory=1") as kms:
        rows = software.ratios(kms)
        for row in rows:
            ours, peer = row.ours(), row.peer()
            if "decrypt" in row.name:
                assert ours == peer
            elif "encrypt" in row.name:
                assert len(ours) == len(peer) + 17
        figures = compare(rows, turns=1)
    assert [figure.name for figure in figures] == [row.name for row in rows]


def test_waiting_counts_by_the_clock_on_the_wall() -> None:
    (figure,) = compare([Ratio("waits", lambda: sleep(0.002), lambda: sleep(0.001), clock=perf_counter)], turns=3)
    assert float(figure.ratio.split()[0]) < 0.8
