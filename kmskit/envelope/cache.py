"""`DataKeyCache`: one data key for several messages, to save calls, and what that costs.

Messages that share a data key still have keys of their own, derived with each message's random id. What they share is
the
fate of the data key: who learns it opens all of them, and disabling a key takes effect only when its cached data keys
are over. So the cache is off unless one is passed, serves encryption only, and every limit ends an entry.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Generic, Protocol, TypeVar, cast

__all__ = ["DataKeyCache"]

_MAX_AGE, _MAX_MESSAGES, _MAX_BYTES, _MAX_CAPACITY = 300.0, 1000, 2**40, 100


class _Reusable(Protocol):
    def check_usable(self) -> None:
        """Raise if what was cached may not be used any more."""


_Materials = TypeVar("_Materials", bound=_Reusable)


@dataclass(slots=True)
class _Entry(Generic[_Materials]):
    materials: _Materials
    made: float
    messages: int = 0
    plaintext: int = 0


class DataKeyCache:
    """Data keys for reuse by `envelope.encrypt(..., cache=cache)`. Thread-safe; not picklable; empty in a forked child.

    Entries are told apart by the Kms objects and keys in their order, the suite and the context. At every hit a local
    backend is asked whether its key may still be used.

    Args:
        max_age: seconds, at most 300.
        max_messages: a data key, at most 1,000.
        max_bytes: of plaintext a data key, at most 2**40.
        capacity: entries, at most 100; the one used longest ago goes first.
    """

    def __init__(
        self, max_age: float = 300, max_messages: int = 1000, max_bytes: int = 2**40, capacity: int = 100
    ) -> None:
        limits = (
            ("max_age", max_age, _MAX_AGE),
            ("max_messages", max_messages, _MAX_MESSAGES),
            ("max_bytes", max_bytes, _MAX_BYTES),
            ("capacity", capacity, _MAX_CAPACITY),
        )
        for name, value, most in limits:
            if not 0 < value <= most:
                raise ValueError(f"{name}: more than 0 and at most {most:,} expected, not {value}")
        self._max_age, self._max_messages, self._max_bytes, self._capacity = max_age, max_messages, max_bytes, capacity
        self._entries: OrderedDict[Hashable, _Entry[_Reusable]] = OrderedDict()
        self._lock = Lock()
        self._process = os.getpid()

    def materials(self, key: Hashable, size: int, make: Callable[[], _Materials]) -> _Materials:
        """Materials for a message of `size` bytes: cached ones within the limits, else what `make` returns."""
        if size > self._max_bytes:
            return make()
        self._leave_to_parent()
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                fits = entry.messages < self._max_messages and entry.plaintext + size <= self._max_bytes
                if fits and monotonic() - entry.made < self._max_age:
                    entry.messages += 1
                    entry.plaintext += size
                    self._entries.move_to_end(key)
                else:
                    del self._entries[key]
                    entry = None
        if entry is not None:
            try:
                entry.materials.check_usable()
            except BaseException:
                with self._lock:
                    self._entries.pop(key, None)
                raise
            return cast("_Materials", entry.materials)  # A key names one kind of materials.
        made = make()
        with self._lock:
            self._entries[key] = _Entry(made, monotonic(), 1, size)
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)
        return made

    def clear(self) -> None:
        """Forget all data keys."""
        self._leave_to_parent()
        with self._lock:
            self._entries.clear()

    def _leave_to_parent(self) -> None:
        """In a forked child begin anew, also with a lock that no thread of the parent holds."""
        if self._process != os.getpid():
            self._entries, self._lock, self._process = OrderedDict(), Lock(), os.getpid()

    def __len__(self) -> int:
        self._leave_to_parent()
        return len(self._entries)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a DataKeyCache is not pickled, because it holds data keys in the clear")

    def __repr__(self) -> str:
        return f"<DataKeyCache {len(self)} of {self._capacity}>"
