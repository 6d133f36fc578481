"""Forks: whatever must not be carried into a child half-done is brought to rest before, and taken up again after.

The parent's thread takes every lock first, so that no other thread is inside what is copied. `os.register_at_fork`
knows no order but that of the imports, and locks that are taken in two orders wait for each other forever; so there is
one handler, and each guarded object says where it stands.
"""

from __future__ import annotations

import os
from enum import IntEnum
from threading import RLock, local
from typing import Protocol
from weakref import WeakSet

__all__ = ["Guarded", "Order", "guard"]


class Order(IntEnum):
    """Which locks are taken first: those under which a thread may still wait for the others."""

    FILE = 0
    REGISTRY = 1
    TOKEN = 2


class Guarded(Protocol):
    """What is told of a fork."""

    fork_order: Order

    def before_fork(self) -> None:
        """Wait until no other thread is inside, and let none in."""

    def after_fork(self, *, in_child: bool) -> None:
        """Let threads in again. It is called only if `before_fork` was, and did not fail."""


class _Held(local):
    """What the thread that forks has brought to rest."""

    def __init__(self) -> None:
        self.things: list[Guarded] = []


_guarded: WeakSet[Guarded] = WeakSet()
_held = _Held()
_turn = RLock()
"""Of two threads that fork at the same time one waits: else each may hold what the other wants."""


def guard(thing: Guarded) -> None:
    """Tell `thing` of forks as long as it lives."""
    _guarded.add(thing)


def _in_order() -> list[Guarded]:
    while True:
        try:
            return sorted(_guarded, key=lambda thing: thing.fork_order)
        except RuntimeError:  # Another thread has added one meanwhile.
            continue


def _before() -> None:
    _turn.acquire()
    for thing in _in_order():
        thing.before_fork()
        _held.things.append(thing)


def _after(*, in_child: bool) -> None:
    while _held.things:
        _held.things.pop().after_fork(in_child=in_child)
    _turn.release()


def _after_in_parent() -> None:
    _after(in_child=False)


def _after_in_child() -> None:
    _after(in_child=True)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
