"""`throughput`: how many operations a second, with which latency, how many calls of the KMS, and at which price."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import product
from time import perf_counter
from typing import TypeAlias

import kmskit
from kmskit.algorithms import lookup_spec
from kmskit.bench.measure import Timed, Work, quartiles, take_turns
from kmskit.bench.table import Row, ThroughputTable
from kmskit.bench.targets import USAGES, KmsTarget, Library, pyca
from kmskit.progress import Progress, track

__all__ = ["Target", "throughput"]

Target: TypeAlias = kmskit.Kms | str | Library
_TURNS, _DATA_KEY = 9, 32


def throughput(
    targets: Iterable[Target] | Mapping[str, Target],
    operations: Sequence[str] = ("encrypt", "decrypt", "sign", "verify", "mac", "generate_data_key", "envelope"),
    sizes: Sequence[int] = (64, 4096, 65536),
    seconds: float = 0.5,
    progress: Progress = True,
    *,
    specs: Sequence[str] = ("AES_256", "EC_P256", "HMAC_256"),
    threads: Sequence[int] = (1,),
    price: float | None = None,
    latency: tuple[float, str] | None = None,
) -> ThroughputTable:
    """Measure, all rows in turns, by the clock on the wall. An interrupt gives what was measured so far.

    Args:
        targets: each a Kms, a URI, `"pyca"` for bare pyca/cryptography, or a `Library`; in a mapping, each under the
            name that the table shall show.
        operations: methods of Key, and `envelope` and `open_envelope`; each with all specs whose keys can do it.
        sizes: of the message, in bytes; a data key always has 32.
        seconds: for each row.
        progress: True, False or a function `(done, total)`.
        specs: of the keys, which are made for this and scheduled for deletion at the end.
        threads: how many make the same call at once.
        price: what a cloud takes for 10,000 calls, in any currency.
        latency: seconds that a network adds to each call, and who says so: the emulator's rows come a second time,
            computed with it.

    Raises:
        ValueError: an unknown operation, or one that no given spec is for.
    """
    rows: list[Row] = []
    timed: dict[int, Timed] = {}
    samples: dict[int, list[tuple[float, list[float]]]] = {}
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        opened = {name: _opened(target, stack) for name, target in _named(targets)}
        for (operation, spec, size), count in product(_places(operations, specs, sizes), threads):
            for name, target in opened.items():
                row, work = _prepared(Row(name, operation, spec, size, count), target, price)
                if work is not None:
                    timed[len(rows)] = Timed(work, seconds / _TURNS / 2, count, perf_counter)
                rows.append(row)
        samplers = {at: lambda one=one: (one(), one.latencies()) for at, one in timed.items()}
        with track(progress, len(timed) * _TURNS, "sample") as advance:
            for at, sample in take_turns(samplers, _TURNS):
                samples.setdefault(at, []).append(sample)
                advance(1)
    found = [_measured(row, samples.get(at)) for at, row in enumerate(rows) if at in samples or at not in timed]
    return ThroughputTable([both for row in found for both in _with_network(row, latency)])


def _named(targets: Iterable[Target] | Mapping[str, Target]) -> Iterator[tuple[str, Target]]:
    if isinstance(targets, Mapping):
        yield from targets.items()
        return
    seen: dict[str, int] = {}
    for target in [targets] if isinstance(targets, str | kmskit.Kms) else targets:
        text = target.uri if isinstance(target, kmskit.Kms) else getattr(target, "__name__", target)
        name = str(text).partition(":")[0]
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name} {seen[name]}", target


def _opened(target: Target, stack: ExitStack) -> KmsTarget | Library:
    if target == "pyca":
        return pyca
    if isinstance(target, str):
        target = stack.enter_context(kmskit.connect(target))
    if not isinstance(target, kmskit.Kms):
        return target
    opened = KmsTarget(target)
    stack.callback(opened.close)
    return opened


def _places(operations: Sequence[str], specs: Sequence[str], sizes: Sequence[int]) -> Iterator[tuple[str, str, int]]:
    for operation in operations:
        if operation not in USAGES:
            raise ValueError(f"operations: {operation!r} is not known; known are {', '.join(USAGES)}")
        able = [str(row.name) for row in map(lookup_spec, specs) if USAGES[operation] in row.algorithms]
        if not able:
            raise ValueError(f"specs: none of {', '.join(specs)} is for {operation}")
        yield from product([operation], able, [_DATA_KEY] if operation == "generate_data_key" else sizes)


def _prepared(row: Row, target: KmsTarget | Library, price: float | None) -> tuple[Row, Work | None]:
    """The row, and the call that it measures; none if the row says why it cannot be."""
    message = os.urandom(row.size)
    if not isinstance(target, KmsTarget):
        work = target(row.spec, message).get(row.operation)
        return (row, work) if work else (replace(row, note=f"has no {row.operation} with {row.spec}"), None)
    try:
        work = target.job(row.operation, row.spec, message)
        before = target.kms.calls
        work()
    except kmskit.KmsError as error:
        return replace(row, note=str(error)), None
    calls = target.kms.calls - before
    cost = calls * price * 100 if price is not None and target.kms.backend == "alibaba" else None
    return replace(row, calls=calls, cost=cost, emulated=target.emulated), work


def _measured(row: Row, samples: Sequence[tuple[float, list[float]]] | None) -> Row:
    if not samples:
        return row
    low, middle, high = quartiles([seconds for seconds, _ in samples])
    latencies = sorted(seconds for _, many in samples for seconds in many)
    p50, p99 = (latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
    return replace(row, rate=1 / middle, spread=(high - low) / middle / 2, p50=p50, p99=p99)


def _with_network(row: Row, latency: tuple[float, str] | None) -> Iterator[Row]:
    yield row
    if latency and row.emulated and row.rate and row.calls and row.p50 and row.p99:
        wait, source = row.calls * latency[0], latency[1]
        rate = row.threads / (row.threads / row.rate + wait)
        name, note = f"{row.target} + {latency[0] * 1000:g} ms", f"computed: {source}"
        yield replace(row, target=name, rate=rate, p50=row.p50 + wait, p99=row.p99 + wait, emulated=False, note=note)
