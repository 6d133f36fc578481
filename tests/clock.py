"""A clock that a test sets."""

from __future__ import annotations

import time
from datetime import timedelta

DAY = timedelta(days=1).total_seconds()


class Clock:
    """Seconds since 1970, some days ahead of the real time, or behind it."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead

    def advance(self, days: float) -> None:
        self._ahead += days * DAY
