"""`ThroughputTable`: measured rows, to be looked at, compared, plotted and stored."""

from __future__ import annotations

import csv
import io
import os
from ast import literal_eval
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from kmskit import markup
from kmskit.bench.targets import USAGES
from kmskit.errors import MissingDependencyError
from kmskit.quantity import amount, digits, duration

if TYPE_CHECKING:
    import pandas

    from kmskit.bench.plot import Plot

__all__ = ["NOISY", "Row", "ThroughputTable", "extra"]

_EMULATED = "emulator on loopback, not the cloud"
NOISY = 0.15
_FIRM = "\u00a0"  # A figure and its unit stay on one line.


@dataclass(frozen=True, slots=True)
class Row:
    """What one target did. Figures are None where `note` says why there are none.

    Attributes:
        target, operation, spec, threads: who did what, with which key, on how many threads.
        size: of the message, in bytes.
        rate: operations a second, the median of the turns.
        spread: half the distance between the quartiles, as a part of the rate.
        p50, p99: seconds within which so many of 100 operations were done.
        calls: requests to the KMS for one operation.
        cost: of a million operations.
        ratio: of the rate to the baseline's.
        emulated: whether the emulator answered, on loopback.
        note: a reason, or where the figures are from.
    """

    target: str
    operation: str
    spec: str
    size: int
    threads: int = 1
    rate: float | None = None
    spread: float | None = None
    p50: float | None = None
    p99: float | None = None
    calls: int | None = None
    cost: float | None = None
    ratio: float | None = None
    emulated: bool = False
    note: str = ""

    @property
    def place(self) -> tuple[str, str, int, int]:
        """What rows share that can be compared."""
        return self.operation, self.spec, self.size, self.threads

    @property
    def seconds(self) -> float | None:
        """From one operation to the next."""
        return None if self.rate is None else 1 / self.rate

    @property
    def megabytes(self) -> float | None:
        """MB/s of messages."""
        return None if self.rate is None else self.rate * self.size / 1e6


class ThroughputTable:
    """The rows, in the order in which they were asked for. Figures are marked as volatile; the rest is not.

    Attributes:
        rows: the same.
        machine: where they were measured, of a table that was read from a file.
        baseline: the target that the ratios are to.
    """

    def __init__(self, rows: Iterable[Row], machine: str = "", baseline: str = "") -> None:
        self.rows, self.machine, self.baseline = tuple(rows), machine, baseline

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, **wanted: object) -> ThroughputTable:
        """The rows whose attributes are as wanted: a value each, or a list of values."""
        keep = [
            row
            for row in self
            if all(getattr(row, k) in (v if isinstance(v, list | tuple) else [v]) for k, v in wanted.items())
        ]
        return ThroughputTable(keep, self.machine, self.baseline)

    def ratio(self, baseline: str) -> ThroughputTable:
        """The same rows, each with its rate over that of the baseline's in the same place.

        Raises:
            ValueError: there is no such target.
        """
        base = {row.place: row.rate for row in self if row.target == baseline}
        if not base:
            raise ValueError(f"baseline: {baseline!r} is none of {', '.join(dict.fromkeys(r.target for r in self))}")
        of = [(row, base.get(row.place)) for row in self]
        rows = [replace(row, ratio=row.rate / rate if row.rate and rate else None) for row, rate in of]
        return ThroughputTable(rows, self.machine, baseline)

    # Elsewhere

    @property
    def frame(self) -> pandas.DataFrame:
        """A pandas DataFrame, a column for each attribute. It needs the extra `bench`, as `plot` does."""
        frame: pandas.DataFrame = extra("pandas").DataFrame(
            {name: [getattr(row, name) for row in self] for name in (*_READ, "megabytes")}
        )
        return frame

    def plot(self, what: str = "rate") -> Plot:
        """A matplotlib figure: a panel for each operation, a line for each target.

        Args:
            what: `rate`, `seconds` or `megabytes`.
        """
        found: dict[str, dict[str, list[tuple[float, float]]]] = {}
        for row in self:
            many = len({other.spec for other in self if other.operation == row.operation}) > 1
            name = row.target + (f", {row.spec}" if many else "") + (f", {row.threads} threads" * (row.threads > 1))
            if (value := getattr(row, what)) is not None:
                found.setdefault(row.operation, {}).setdefault(name, []).append((row.size, value))
        label, show = _PLOTTED[what]
        panels: Callable[..., Plot] = extra("kmskit.bench.plot").panels
        return panels(found, label, _size, show, recorded=bool(self.machine))

    def to_csv(self, path: str | os.PathLike[str] | None = None, machine: str = "") -> str:
        """The table as CSV, also written to a file; `machine` stands before it as a comment."""
        out = io.StringIO()
        out.write(f"# {machine or self.machine}\n")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows([_READ, *([_stored(getattr(row, name)) for name in _READ] for row in self)])
        if path is not None:
            Path(path).write_text(out.getvalue(), "utf-8")
        return out.getvalue()

    @classmethod
    def read_csv(cls, path: str | os.PathLike[str]) -> Self:
        """What `to_csv` wrote."""
        first, _, rest = Path(path).read_text("utf-8").partition("\n")
        rows = [{name: _READ[name](text) for name, text in row.items()} for row in csv.DictReader(io.StringIO(rest))]
        return cls([Row(**row) for row in rows], first.removeprefix("# "))

    # Display

    def cells(self, mark: Callable[[str], Any]) -> tuple[list[str], list[list[Any]]]:
        """Headers, and rows in which `mark` was called on each figure. Figures have a width of their own, so that
        nothing behind them moves."""
        columns = dict(_COLUMNS)
        if {row.threads for row in self} <= {1}:
            del columns["threads"]
        if all(row.cost is None for row in self):
            del columns["cost of 1M"]
        if self.baseline:
            columns[f"over {self.baseline}"] = columns["ratio"]
        if not any(_note(row) for row in self):
            del columns["note"]
        del columns["ratio"]
        lines = [[cell(row) for cell in columns.values()] for row in self]
        return list(columns), [[mark(c[0]) if isinstance(c, tuple) else c for c in line] for line in lines]

    def __repr__(self) -> str:
        return markup.columns(*self.cells(markup.volatile_text))

    def _repr_html_(self) -> str:
        headers, rows = self.cells(lambda figure: markup.volatile_html(figure.strip().replace(" ", _FIRM)))
        at = headers.index("size")
        firm = ([*row[:at], row[at].replace(" ", _FIRM), *row[at + 1 :]] for row in rows)
        return markup.table(headers, firm, note=self.machine or None)


def extra(module: str) -> Any:
    """A module of the extra `bench`, or one that needs it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"this needs {error.name}", hint='pip install "kmskit[bench]"') from error


def _figure(value: float | None, show: Callable[[float], str], width: int) -> Any:
    """A cell that is a figure: a tuple, so that it is told from the others."""
    return "-" if value is None else (f"{show(value):>{width}}",)


def _spread(value: float) -> str:
    return f"{value:.0%}" + " noisy" * (value > NOISY)


def _note(row: Row) -> str:
    return _EMULATED if row.emulated else row.note


def _size(operation: str, size: float) -> str:
    """A size as the rows of an operation have it: bytes, but for what grows with something else."""
    if operation in USAGES or operation.startswith("bytes"):
        return amount(size)
    return f"{size:g}" if size < 1000 else f"{size / 1000:g}k"


_PLOTTED: dict[str, tuple[str, Callable[[float], str]]] = {
    "rate": ("operations a second", digits),
    "seconds": ("time", duration),
    "megabytes": ("MB/s", digits),
}
_COLUMNS: dict[str, Callable[[Row], Any]] = {
    "operation": lambda row: row.operation,
    "spec": lambda row: row.spec,
    "size": lambda row: _size(row.operation, row.size),
    "threads": lambda row: row.threads,
    "target": lambda row: row.target,
    "ops/s": lambda row: _figure(row.rate, digits, 9),
    "±": lambda row: _figure(row.spread, _spread, 10),
    "MB/s": lambda row: _figure(row.megabytes, digits, 7),
    "p50": lambda row: _figure(row.p50, duration, 7),
    "p99": lambda row: _figure(row.p99, duration, 7),
    "calls": lambda row: "-" if row.calls is None else row.calls,
    "cost of 1M": lambda row: "-" if row.cost is None else f"{row.cost:,.2f}",
    "ratio": lambda row: _figure(row.ratio, digits, 7),
    "note": _note,
}
_READ: dict[str, Callable[[str], Any]] = {
    field.name: str if field.type == "str" else lambda text: literal_eval(text) if text else None
    for field in fields(Row)
}


def _stored(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value
