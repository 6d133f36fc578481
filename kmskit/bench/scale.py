"""How cost grows: with the keys in a store, the bytes of a message, threads, processes, and the items of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from math import log
from multiprocessing import get_context
from pathlib import Path
from statistics import linear_regression, median
from time import perf_counter

import kmskit
from kmskit import emulator, envelope
from kmskit.bench.measure import Timed, Work, take_turns
from kmskit.bench.table import Row, ThroughputTable
from kmskit.bench.targets import pyca

__all__ = ["exponents", "grow"]

_Place = tuple[str, str, int]
_KEYS, _MESSAGE, _THREADS, _BATCH = "keys in a store", "bytes of a message", "threads", "items of a batch"


def exponents(table: ThroughputTable) -> dict[tuple[str, str], float]:
    """(axis, what) -> the exponent with which the time grows over the upper half of the range: 1 is linear."""
    lines: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in table:
        if row.seconds:
            lines.setdefault((row.operation, row.target), []).append((log(row.size), log(row.seconds)))
    upper = {name: points[(len(points) - 1) // 2 :] for name, points in lines.items()}
    return {name: linear_regression(*zip(*points, strict=True)).slope for name, points in upper.items()}


def grow(folder: Path, decades: int = 5, turns: int = 5) -> ThroughputTable:
    """Measure it: rows whose operation is the axis, whose target is what was measured, and whose size is how many.

    Args:
        folder: where stores lie.
        decades: 5 is up to 100,000 keys, 1 GiB, and 10,000 items.
    """
    with ExitStack() as stack:
        samplers = dict(_samplers(folder, decades, stack))
        samples: dict[_Place, list[float]] = {place: [] for place in samplers}
        for place, sample in take_turns(samplers, turns):
            samples[place].append(sample)
    rows = (Row(what, axis, "", number, rate=1 / median(samples[axis, what, number])) for axis, what, number in samples)
    return ThroughputTable(rows)


def _samplers(folder: Path, decades: int, stack: ExitStack) -> Iterator[tuple[_Place, Callable[[], float]]]:
    def timed(axis: str, what: str, number: int, work: Work) -> tuple[_Place, Callable[[], float]]:
        return (axis, what, number), Timed(work, clock=perf_counter)

    for number in (10**power for power in range(1, decades + 1)):
        uri = f"software://{folder}/{number}.db?key-file={folder}/{number}.key"
        kms = stack.enter_context(kmskit.connect(uri))
        for at in range(number):
            kms.create_key(f"key-{at}")
        key = kms.key(f"key-{number // 2}")
        yield timed(_KEYS, "list all", number, partial(_exhaust, kms.keys))
        yield timed(_KEYS, "open the store", number, partial(_open, uri))
        yield timed(_KEYS, "look one up", number, partial(kms.key, key.aliases[0]))
        yield timed(_KEYS, "encrypt 64 B", number, partial(key.encrypt, bytes(64)))
    for size in (1 << power for power in range(0, 6 * decades + 1, 5)):
        message = bytes(size)
        yield timed(_MESSAGE, "envelope.encrypt", size, partial(envelope.encrypt, message, [key]))
        sealed = envelope.encrypt(message, [key])
        yield timed(_MESSAGE, "envelope.decrypt", size, partial(envelope.decrypt, sealed, [key]))
        if size <= 1 << 15:
            yield timed(_MESSAGE, "key.encrypt", size, partial(key.encrypt, message))
    cloud = stack.enter_context(emulator.start())
    far, signer = stack.enter_context(cloud.connect()).create_key(), kms.create_key(spec="RSA_2048")
    cloud.faults.add(delay=0.02, times=None)
    works: dict[str, Work] = {
        "sign, RSA-2048": partial(signer.sign, b""),
        "encrypt 64 KiB": partial(key.encrypt, bytes(65536)),
        "encrypt 64 B": partial(key.encrypt, bytes(64)),
        "bare pyca, 64 B": pyca("AES_256", bytes(64))["encrypt"],
        "encrypt, 20 ms away": partial(far.encrypt, bytes(64)),
    }
    for number in (1, 2, 4, 8):  # Each of them does the same: twice as many have twice as much to do.
        for what, work in works.items():
            each = Timed(work, threads=number, clock=perf_counter)
            yield (_THREADS, what, number), lambda each=each, number=number: number * each()  # type: ignore[misc]
        pool = stack.enter_context(ProcessPoolExecutor(number, get_context("spawn")))
        work = partial(_exhaust, partial(pool.map, _sign, [signer] * number))
        yield timed("processes", "20 RSA signatures each", number, work)
    for number in (10**power for power in range(decades)):
        yield timed(_BATCH, "software", number, partial(key.encrypt_many, [bytes(64)] * number))
        if number <= 1000:
            yield timed(_BATCH, "20 ms away", number, partial(far.encrypt_many, [bytes(64)] * number))


def _exhaust(start: Callable[[], Iterable[object]]) -> None:
    for _ in start():
        pass


def _open(uri: str) -> None:
    kmskit.connect(uri).close()


def _sign(key: kmskit.Key) -> None:
    for _ in range(20):
        key.sign(b"")
