"""Time that a notebook moves by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kmskit.notebook import Clock


def test_it_begins_at_the_same_moment_every_time_and_stands_still() -> None:
    clock = Clock()
    assert clock() == clock.now == datetime(2026, 1, 1, tzinfo=UTC) == Clock()()


def test_it_moves_by_what_timedelta_takes() -> None:
    clock = Clock()
    clock.advance(days=30).advance(hours=1.5)
    assert clock() - Clock()() == timedelta(days=30, hours=1.5)
    assert repr(clock) == "<Clock 2026-01-31 01:30 UTC>"


def test_it_starts_where_it_is_told() -> None:
    assert Clock(datetime(2030, 6, 1, tzinfo=UTC)).now.year == 2030


def test_it_refuses_a_start_without_a_zone_and_going_back() -> None:
    with pytest.raises(ValueError, match="start: an aware datetime"):
        Clock(datetime(2026, 1, 1))  # noqa: DTZ001
    clock = Clock()
    with pytest.raises(ValueError, match="not set back"):
        clock.advance(days=-1)
    with pytest.raises(TypeError, match="fortnights"):
        clock.advance(fortnights=1)
    assert clock.now == Clock().now
