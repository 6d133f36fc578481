"""Measurements of kmskit: `throughput` of anything, and `python -m kmskit.bench`, which fails if a limit is missed."""

from kmskit.bench.table import Row, ThroughputTable
from kmskit.bench.targets import USAGES, Library
from kmskit.bench.throughput import Target, throughput

__all__ = ["USAGES", "Library", "Row", "Target", "ThroughputTable", "throughput"]
