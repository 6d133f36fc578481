"""Children of the test process: forked, bounded in time, with an answer, and killable."""

from __future__ import annotations

import multiprocessing
import os
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import kmskit

__all__ = ["NOBODY", "Child", "as_an_ordinary_user", "in_child"]

_fork = multiprocessing.get_context("fork")
NOBODY = 65534
SECONDS = 60.0


class Child:
    """A forked process that does one thing and answers with what it returned or raised."""

    def __init__(self, work: Callable[..., object], *arguments: object) -> None:
        self._answer, answer = _fork.Pipe(duplex=False)
        self._process = _fork.Process(target=_run, args=(answer, work, arguments), daemon=True)
        with warnings.catch_warnings():
            # Python 3.12 warns of a fork in a process with threads. Whether that works is what some tests are about.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process.start()
        answer.close()

    def result(self) -> Any:
        """What the work returned; raises what it raised."""
        try:
            assert self._answer.poll(SECONDS), f"the child has no answer after {SECONDS:.0f} seconds"
            returned, value = self._answer.recv()
        finally:
            self.kill()
        if not returned:
            raise value
        return value

    def kill(self) -> None:
        """SIGKILL: what a power cut or the kernel's memory killer does to a process."""
        self._process.kill()
        self._process.join(SECONDS)
        self._process.close()
        self._answer.close()


def in_child(work: Callable[..., object], *arguments: object) -> Any:
    """What `work` returns, or raises, in a process of its own."""
    return Child(work, *arguments).result()


def as_an_ordinary_user(work: Callable[..., object], *arguments: object) -> Any:
    """The same without root's right to read and write everything."""
    return in_child(_as_nobody, work, *arguments)


def _as_nobody(work: Callable[..., object], *arguments: object) -> object:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    return work(*arguments)


def _run(answer: Connection, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    try:
        message = (True, work(*arguments))
    except kmskit.KmsError as error:
        message = (False, error)
    except BaseException:  # noqa: BLE001  # Whatever it is, the parent shows it; pytest's own errors cannot be pickled.
        message = (False, AssertionError(f"in the child:\n{traceback.format_exc()}"))
    answer.send(message)
    answer.close()
