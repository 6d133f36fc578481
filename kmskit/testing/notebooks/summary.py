"""How much of each notebook was compared and how long it took, beside what is required and aimed at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from kmskit import markup
from kmskit.testing.notebooks.guard import Limits, Measure

__all__ = ["MEASURE", "Aims", "Summary"]

MEASURE = "kmskit-notebook"
"""The property of a guard's report that holds its measure."""
_HEADERS = ("notebook", "cells", "compared", "silent", "ignored", "seconds", "exercises")


@dataclass(frozen=True, slots=True)
class Aims:
    """Seconds that are aimed at. What takes longer is told and fails nothing: machines differ.

    Attributes:
        each: for a notebook, without its exercises.
        all: for all of them together.
    """

    each: int = 60
    all: int = 360


class Summary:
    """A plugin that gathers reports and shows them at the end."""

    def __init__(self, limits: Limits, aims: Aims) -> None:
        self._limits, self._aims = limits, aims
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._exercises: defaultdict[str, float] = defaultdict(float)
        self._measures: dict[str, Measure] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        path, _, item = report.nodeid.partition("::")
        if path.endswith(".ipynb"):
            seconds = self._exercises if item == "exercises" else self._seconds
            seconds[path] += report.duration
            for name, value in report.user_properties:
                if name == MEASURE and isinstance(value, dict):
                    self._measures[path] = Measure(**value)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._measures:
            return
        terminalreporter.section("notebooks")
        terminalreporter.write_line(markup.columns(_HEADERS, self._rows()))
        for slow in self._slow():
            terminalreporter.write_line(slow, yellow=True)

    def _rows(self) -> Iterator[tuple[object, ...]]:
        for path, of in sorted(self._measures.items()):
            yield _row(path, of, self._seconds[path], self._exercises[path])
        whole = sum(self._measures.values(), start=Measure(0, 0, 0, 0))
        yield _row("all", whole, sum(self._seconds.values()), sum(self._exercises.values()))
        limits, aims = self._limits, self._aims
        least, most = f"at least {limits.compared} %", f"at most {limits.silent} %"
        yield "limit, aim", "", least, most, limits.ignored, f"{aims.each}, all {aims.all}", ""

    def _slow(self) -> Iterator[str]:
        for path, seconds in sorted(self._seconds.items()):
            if seconds > self._aims.each:
                yield f"slower than is aimed at: {path}, {seconds:.0f} s, not {self._aims.each}"
        whole = sum(self._seconds.values())
        if whole > self._aims.all:
            yield f"slower than is aimed at: all, {whole:.0f} s, not {self._aims.all}"


def _row(name: str, of: Measure, seconds: float, exercises: float) -> tuple[object, ...]:
    """Per cents are rounded to the side that looks worse."""
    compared = f"{of.compared} of {of.printing}" + (f", {100 * of.compared // of.printing} %" if of.printing else "")
    silent = f"{of.silent}" + (f", {-(-100 * of.silent // of.cells)} %" if of.cells else "")
    return name, of.cells, compared, silent, of.ignored, f"{seconds:.1f}", f"{exercises:.1f}"
