"""What kmskit costs before the first key is used: its import, and key stores with many keys.

Times are those that a process computes, so that other programs disturb them little. Nothing measured here waits for the
disk: the files were read before.
"""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from time import process_time

import kmskit
from kmskit.bench.folder import folder_in_memory
from kmskit.bench.ratios import Bound, Figure, observe
from kmskit.uri import Uri

__all__ = ["figures"]

_LOOKUPS = 500

# Run by a new interpreter, since only there nothing is imported or open yet. Each prints seconds.
_IMPORT = """
from time import process_time
start = process_time()
import kmskit
print(process_time() - start)
"""
_OPEN = """
import sys, kmskit
from time import process_time
start = process_time()
kmskit.connect(sys.argv[1])
print(process_time() - start)
"""


def figures(keys: int = 10_000, many: int = 100_000, turns: int = 9) -> Iterator[Figure]:
    """The rows, each as soon as it is measured.

    Args:
        keys: how many the store in a file has.
        many: how many are listed.
        turns: how often each time is measured.
    """
    yield observe(Bound("import kmskit, in a new process", lambda: _in_new_process(_IMPORT), ceiling=0.2), turns)
    with folder_in_memory() as folder:
        yield from _store(folder, keys, turns)
    yield _listing(keys, many)


def _store(folder: Path, keys: int, turns: int) -> Iterator[Figure]:
    """A store in a file, whose keys are each made by a call of its own, as its user would."""
    path, key_file = (folder / "keys.db").as_posix(), (folder / "keys.key").as_posix()
    uri = str(Uri("software", "", path, query={"key-file": key_file}))
    with kmskit.connect(uri) as kms:
        _fill(kms, keys)
        names = [f"key-{number}" for number in range(0, keys, max(1, keys // _LOOKUPS))]

        def look_up() -> float:
            start = process_time()
            for name in names:
                kms.key(name)
            return (process_time() - start) / len(names)

        opened = f"open a store of {keys:,} keys, in a new process"
        yield observe(Bound(opened, lambda: _in_new_process(_OPEN, uri), ceiling=0.1), turns)
        yield observe(Bound("kms.key(alias) in it", look_up, ceiling=0.001), turns)


def _listing(keys: int, many: int) -> Figure:
    """Memory that grows with the keys listed. Python's own is counted; SQLite holds at most its page cache of 2 MB."""
    with kmskit.connect("software:?memory=1") as kms:
        _fill(kms, many)
        grown = Bound(
            f"memory to list {many:,} keys, over that for {keys:,}",
            lambda: (_peak(kms, many) - _peak(kms, keys)) / 1e6,
            ceiling=1.0,
            unit="MB",
        )
        _peak(kms, keys)  # The first listing also fills caches, which would count as growth.
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
