"""Batches on threads: each item is one request, and a request is mostly waiting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

from kmskit.backends.forks import Order, guard
from kmskit.batch import Outcome
from kmskit.errors import InvalidCiphertextError, LimitExceededError

__all__ = ["THREADS", "Threads"]

THREADS = 8
_AHEAD = 4 * THREADS


class Threads:
    """Eight threads, started on first use."""

    fork_order = Order.REGISTRY

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._lock = Lock()
        guard(self)

    def run(
        self, work: Callable[[Any], bytes], items: Sequence[Any], advance: Callable[[int], object]
    ) -> list[Outcome]:
        """An outcome for each item, in their order.

        What an item's bytes can cause is its outcome. Anything else is a fault of the whole call and raised at once;
        what has not begun by then is left alone.
        """
        outcomes: list[Outcome] = []
        running: list[Future[Outcome]] = []
        pool = self._started() if items else None
        try:
            for index in range(len(items) + _AHEAD):
                if index < len(items) and pool is not None:
                    running.append(pool.submit(_attempt, work, items[index]))
                if index >= _AHEAD - 1 and len(outcomes) < len(running):
                    outcomes.append(running[len(outcomes)].result())
                    advance(1)
        finally:
            for future in running[len(outcomes) :]:
                future.cancel()
        return outcomes

    def close(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def _started(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="kmskit-alibaba")
            return self._pool

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork(self, *, in_child: bool) -> None:
        if in_child:
            self._pool = None  # Its threads are the parent's.
        self._lock.release()


def _attempt(work: Callable[[Any], bytes], item: Any) -> Outcome:
    try:
        return Outcome(value=work(item))
    except (InvalidCiphertextError, LimitExceededError) as error:
        return Outcome(error=error)
