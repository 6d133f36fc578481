"""How cost grows is measured along each axis, and its exponent is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmskit.bench import Row, ThroughputTable
from kmskit.bench.scale import exponents, grow


def test_the_exponent_is_that_of_the_upper_half() -> None:
    linear = [Row("linear", "keys", "", n, rate=1 / (50 + 3 * n)) for n in (10**power for power in range(1, 9))]
    square = [Row("square", "keys", "", n, rate=1 / n**2) for n in (1, 2, 4, 8)]
    flat = [Row("flat", "keys", "", n, rate=7.0) for n in (1, 10)]
    found = exponents(ThroughputTable([*linear, *square, *flat]))
    assert found == {("keys", "linear"): pytest.approx(1, abs=0.02), ("keys", "square"): 2, ("keys", "flat"): 0}


def test_every_axis_is_measured(tmp_path: Path) -> None:
    table = grow(tmp_path, decades=2, turns=1)
    assert {
        row.operation: [other.size for other in table.where(operation=row.operation, target=row.target)]
        for row in table
    } == {
        "keys in a store": [10, 100],
        "bytes of a message": [1, 32, 1024],
        "threads": [1, 2, 4, 8],
        "processes": [1, 2, 4, 8],
        "items of a batch": [1, 10],
    }
    assert all(row.seconds for row in table)
    assert exponents(table)["keys in a store", "list all"] > 0.5
    assert [axes.get_title(loc="left") for axes in table.plot("seconds").axes] == [
        *dict.fromkeys(row.operation for row in table)
    ]
