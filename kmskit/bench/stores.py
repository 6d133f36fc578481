"""What kmskit costs before the first key is used: its import, and key stores with many keys."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import kmskit
from kmskit.bench.ratios import Bound, Figure, observe
from kmskit.uri import Uri

__all__ = ["figures"]

_KEYS = 10_000
_MANY_KEYS = 100_000
_LOOKUPS = 500

# Run by a new interpreter, since only there nothing is imported or open yet. Each prints seconds.
_IMPORT = """
from time import perf_counter
start = perf_counter()
import kmskit
print(perf_counter() - start)
"""
_OPEN = """
import sys, kmskit
from time import perf_counter
start = perf_counter()
kmskit.connect(sys.argv[1])
print(perf_counter() - start)
"""


def figures() -> Iterator[Figure]:
    """The rows, each as soon as it is measured."""
    yield observe(Bound("import kmskit, in a new process", lambda: _in_new_process(_IMPORT), ceiling=0.2))
    with TemporaryDirectory() as folder:
        yield from _store(Path(folder))
    yield _listing()


def _store(folder: Path) -> Iterator[Figure]:
    """A store in a file. Each of its keys is made by a call of its own, which waits for the disk."""
    uri = str(
        Uri("software", "", (folder / "keys.db").as_posix(), query={"key-file": (folder / "keys.key").as_posix()})
    )
    with kmskit.connect(uri) as kms:
        _fill(kms, _KEYS)
        names = [f"key-{number}" for number in range(0, _KEYS, _KEYS // _LOOKUPS)]

        def look_up() -> float:
            start = perf_counter()
            for name in names:
                kms.key(name)
            return (perf_counter() - start) / len(names)

        opened = f"open a store of {_KEYS:,} keys, in a new process"
        yield observe(Bound(opened, lambda: _in_new_process(_OPEN, uri), ceiling=0.1))
        yield observe(Bound("kms.key(alias) in it", look_up, ceiling=0.001))


def _listing() -> Figure:
    """Memory that grows with the keys listed. Python's own is counted; SQLite holds at most its page cache of 2 MB."""
    with kmskit.connect("software:?memory=1") as kms:
        _fill(kms, _MANY_KEYS)
        grown = Bound(
            f"memory to list {_MANY_KEYS:,} keys, over that for {_KEYS:,}",
            lambda: (_peak(kms, _MANY_KEYS) - _peak(kms, _KEYS)) / 1e6,
            ceiling=1.0,
            unit="MB",
        )
        return observe(grown, turns=1)


def _fill(kms: kmskit.Kms, number: int) -> None:
    for index in range(number):
        kms.create_key(f"key-{index}")


def _peak(kms: kmskit.Kms, number: int) -> int:
    """The most bytes that were held at a time while keys were listed."""
    tracemalloc.start()
    try:
        if sum(1 for _ in islice(kms.keys(), number)) != number:
            raise AssertionError("the listing is not complete")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _in_new_process(code: str, *arguments: str) -> float:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=60)  # noqa: S603 (our own code)
    return float(done.stdout)
