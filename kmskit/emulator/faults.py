"""Faults that someone puts in, to see what a client makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from threading import Lock
from typing import Literal

__all__ = ["Fault", "Faults"]

_CODES = {
    400: "InvalidParameter",
    403: "Forbidden.NoPermission",
    404: "Forbidden.KeyNotFound",
    409: "Rejected.Unavailable",
    429: "Rejected.Throttling",
    500: "InternalFailure",
    503: "ServiceUnavailableTemporary",
}


@dataclass(slots=True)
class Fault:
    """
    Attributes:
        action: the actions it strikes, with `*` and `?`.
        status: of the answer; None to answer as usual.
        code: the answer's.
        delay: seconds before anything is done.
        drop: `request` closes the connection and nothing was done; `answer` does the work and then closes it.
        retry_after: milliseconds that the answer asks to wait.
        left: how many calls it still strikes; None for all.
    """

    action: str
    status: int | None
    code: str
    delay: float
    drop: Literal["request", "answer"] | None
    retry_after: int | None
    left: int | None


class Faults:
    def __init__(self) -> None:
        self._lock = Lock()
        self._faults: list[Fault] = []

    def add(
        self,
        action: str = "*",
        *,
        status: int | None = None,
        code: str | None = None,
        delay: float = 0.0,
        drop: Literal["request", "answer"] | None = None,
        retry_after: int | None = None,
        times: int | None = 1,
    ) -> Fault:
        """Strike the next `times` calls of an action (None: until `clear`). The first fault that fits strikes.

        `add("Encrypt", status=503)`, `add(delay=2, times=None)`, `add("CreateKey", drop="answer")`
        """
        if drop not in (None, "request", "answer"):
            raise ValueError("drop: 'request' or 'answer' expected")
        if status is not None and not 400 <= status < 600:
            raise ValueError("status: 400 to 599 expected")
        chosen = code or _CODES.get(status or 0, "InternalFailure")
        fault = Fault(action, status if status or code is None else 400, chosen, delay, drop, retry_after, times)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def strike(self, action: str) -> Fault | None:
        """The fault for this call, which has one call less left now."""
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if fnmatchcase(action, fault.action):
                    if fault.left is not None:
                        fault.left -= 1
                        if fault.left <= 0:
                            self._faults.remove(fault)
                    return fault
        return None

    def __len__(self) -> int:
        return len(self._faults)

    def __repr__(self) -> str:
        return f"<Faults: {len(self)} waiting>"
