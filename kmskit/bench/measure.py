"""The measuring core. Samplers take turns, so that a busy moment of the machine falls on all of them."""

from __future__ import annotations

import gc
import math
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from statistics import quantiles
from time import perf_counter, process_time
from typing import TypeAlias, TypeVar

import cryptography

__all__ = ["Timed", "Work", "machine", "quartiles", "take_turns"]

Work: TypeAlias = Callable[[], object]
_Name = TypeVar("_Name")
_Sample = TypeVar("_Sample")


class Timed:
    """Samples of how many seconds a call takes.

    Args:
        work: the call.
        turn: seconds that a sample takes at least: long against the clock's grain, short enough that those who take
            turns meet the same machine.
        threads: how many make the call at once; a sample is then the time from one of their calls to the next.
        clock: what this process computes, which others disturb little; `time.perf_counter` for what waits.
    """

    def __init__(
        self, work: Work, turn: float = 0.02, threads: int = 1, clock: Callable[[], float] = process_time
    ) -> None:
        self.work, self._turn, self._threads, self._clock = work, turn, threads, clock
        self._calls = 0

    def __call__(self) -> float:
        if not self._calls:  # To find how many calls fill a turn also warms up what they need.
            self._calls = 1
            while (seconds := self._run(_repeat)) < self._turn:
                self._calls = math.ceil(self._calls * min(10.0, 1.2 * self._turn / max(seconds, 1e-9)) + 0.5)
        return self._run(_repeat) / (self._calls * self._threads)

    def latencies(self, most: int = 500) -> list[float]:
        """Seconds of single calls by the clock on the wall, whose own 0.1 µs is in them."""
        found: list[float] = []
        self._run(lambda work, calls: found.extend(_each(work, min(most, calls))))
        return found

    def _run(self, loop: Callable[[Work, int], object]) -> float:
        with ThreadPoolExecutor(self._threads) as pool, _no_collector():
            start = self._clock()
            if self._threads == 1:
                loop(self.work, self._calls)
            else:
                list(pool.map(loop, [self.work] * self._threads, [self._calls] * self._threads))
            return self._clock() - start


@contextmanager
def _no_collector() -> Iterator[None]:
    """Python's garbage collector would charge one with what another left; timeit turns it off, too."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _repeat(work: Work, calls: int) -> None:
    for _ in repeat(None, calls):
        work()


def _each(work: Work, calls: int) -> Iterator[float]:
    for _ in repeat(None, calls):
        start = perf_counter()
        work()
        yield perf_counter() - start


def take_turns(samplers: Mapping[_Name, Callable[[], _Sample]], turns: int) -> Iterator[tuple[_Name, _Sample]]:
    """Names and samples, turn by turn. Every second turn goes backwards: nobody always pays for another's caches."""
    for turn in range(turns):
        for name in reversed([*samplers]) if turn % 2 else [*samplers]:
            yield name, samplers[name]()


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The middle one is the median; the others are its noise."""
    low, middle, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    return low, middle, high


def machine() -> str:
    """What figures depend on."""
    versions = f"Python {platform.python_version()}, cryptography {cryptography.__version__}"
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {versions}"
