"""The rows about stores are measured, here with few keys."""

from __future__ import annotations

from kmskit.bench import stores
from kmskit.bench.ratios import Verdict


def test_every_row_of_a_small_store_is_within_its_limit() -> None:
    figures = list(stores.figures(keys=50, many=1500, turns=1))
    assert [figure.name for figure in figures] == [
        "import kmskit, in a new process",
        "open a store of 50 keys, in a new process",
        "kms.key(alias) in it",
        "memory to list 1,500 keys, over that for 50",
    ]
    assert {figure.verdict for figure in figures[2:]} == {Verdict.REACHED}
