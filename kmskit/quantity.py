"""How measured quantities are written: with two digits that count, since the others are noise."""

from __future__ import annotations

__all__ = ["amount", "digits", "duration"]

_TIMES = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}


def amount(size: float) -> str:
    """Bytes: `64 B`, `4 KiB`."""
    unit = max(0, min(3, (int(size).bit_length() - 1) // 10))
    return f"{size / 1024**unit:.4g} {('B', 'KiB', 'MiB', 'GiB')[unit]}"


def digits(value: float) -> str:
    """A number: `0.58`, `3.4`, `12,000`."""
    short = float(f"{value:.2g}")
    return f"{short:,.0f}" if abs(short) >= 10 else f"{short:.10f}".rstrip("0").rstrip(".")


def duration(seconds: float) -> str:
    """Seconds: `4.1 µs`, `13 ms`."""
    unit = next((unit for unit, size in _TIMES.items() if seconds >= size), "ns")
    return f"{digits(seconds / _TIMES[unit])} {unit}"
