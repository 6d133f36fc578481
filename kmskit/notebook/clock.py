"""`Clock`: time that a notebook moves by hand, so that a lesson about years takes no time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["Clock"]

_START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is advanced: `kms = scratch(clock=clock)`.

    Args:
        start: where it begins, an aware datetime; 1 January 2026 UTC if left out, so that dates are the same each run.

    Attributes:
        now: the time it shows.
    """

    def __init__(self, start: datetime = _START) -> None:
        if start.tzinfo is None:
            raise ValueError("start: an aware datetime expected; give it a tzinfo")
        self.now = start

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> Clock:
        """Move on by a duration, in the words of `timedelta`: `clock.advance(days=30)`.

        Raises:
            TypeError: not a word of `timedelta`.
            ValueError: the duration is negative.
        """
        step = timedelta(**duration)
        if step < timedelta():
            raise ValueError("duration: a clock is only advanced, not set back")
        self.now += step
        return self

    def __repr__(self) -> str:
        return f"<Clock {self.now:%Y-%m-%d %H:%M} {self.now.tzname()}>"
