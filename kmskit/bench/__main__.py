"""`python -m kmskit.bench`: every figure that the project promises, measured on this machine in one run."""

from __future__ import annotations

import os
import platform
import sys

import cryptography

import kmskit
from kmskit.bench import software, stores
from kmskit.bench.ratios import Verdict, compare, table


def main() -> int:
    """Print the table; 1 if a limit is missed by more than the noise."""
    with kmskit.connect("software:?memory=1") as kms:
        figures = compare(software.ratios(kms))
    figures += stores.figures()
    sys.stdout.write(
        f"Python {platform.python_version()}, cryptography {cryptography.__version__}, {os.cpu_count()} cores,"
        f" {platform.system()} {platform.machine()}\n\n{table(figures)}\n"
    )
    missed = [figure.name for figure in figures if figure.verdict is Verdict.MISSED]
    if missed:
        sys.stdout.write(f"\nmissed: {'; '.join(missed)}\n")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
