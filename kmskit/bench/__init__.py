"""Measurements of kmskit: `python -m kmskit.bench` prints them and fails if one misses its limit."""

from kmskit.bench.ratios import Bound, Figure, Ratio, Verdict, compare, observe, table

__all__ = ["Bound", "Figure", "Ratio", "Verdict", "compare", "observe", "table"]
