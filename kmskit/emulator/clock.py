"""The emulator's clock: it runs with the computer's and can be advanced, so that rotations and deletions come due."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

__all__ = ["Clock", "timestamp"]

_LATEST = datetime(9900, 1, 1, tzinfo=UTC).timestamp()  # Dates that lie ahead of it still have four digits.


class Clock:
    """Two times. `now()` is the service's, by which keys rotate and tokens expire. `watch()` is what the gateway holds
    a request's date against: it does not follow `advance`, or all clients would be out of date from then on.
    """

    def __init__(self, ahead: float = 0.0, save: Callable[[float], object] = lambda ahead: None) -> None:
        self._ahead = ahead
        self._save = save
        self._skew = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._ahead

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC)

    def watch(self) -> float:
        return time.time() + self._skew

    def advance(self, by: timedelta | float | None = None, /, **parts: float) -> None:
        """Set the service's time ahead, for good: `advance(days=365)`, `advance(timedelta(hours=1))`, or seconds.

        Raises:
            ValueError: back in time, where keys that are gone would not have been made yet; or beyond the year 9900,
                after which dates would soon not fit into four digits.
        """
        step = by if isinstance(by, timedelta) else timedelta(seconds=by or 0.0)
        seconds = (step + timedelta(**parts)).total_seconds()
        if seconds < 0:
            raise ValueError("by: the clock only goes forward")
        ahead = self._ahead + seconds
        if time.time() + ahead > _LATEST:
            raise ValueError("by: the clock ends in the year 9900")
        self._save(ahead)
        self._ahead = ahead

    def skew(self, by: timedelta | float, /) -> None:
        """Make the gateway's watch run ahead of its clients' or behind: beyond 15 minutes it refuses their requests."""
        self._skew = by.total_seconds() if isinstance(by, timedelta) else float(by)

    def __repr__(self) -> str:
        return f"<Clock {timestamp(self.now())}>"


def timestamp(seconds: float | None) -> str:
    """As the service writes dates; empty where there is none."""
    return "" if seconds is None else _written(int(seconds))


@lru_cache(maxsize=256)
def _written(second: int) -> str:
    """Each call asks for the current second at least once."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
