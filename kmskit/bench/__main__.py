"""`python -m kmskit.bench`: every figure that the project promises, measured on this machine in one run."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence

import cryptography

import kmskit
from kmskit.bench import emulator, envelope, pkcs11, software, stores
from kmskit.bench.ratios import Figure, Verdict, compare, table


def measure() -> list[Figure]:
    """All figures that can be measured here; it takes less than two minutes."""
    with kmskit.connect("software:?memory=1") as kms:
        found = [*compare(software.ratios(kms)), *stores.figures()]
    if reason := pkcs11.missing():
        sys.stdout.write(f"No figures of the pkcs11 backend: {reason}; make setup brings it.\n")
    else:
        found += pkcs11.figures()
    return [*found, *envelope.figures(), *emulator.figures()]


def report(figures: Sequence[Figure]) -> int:
    """Print the table; 1 if a limit was missed by more than the noise, else 0."""
    versions = f"Python {platform.python_version()}, cryptography {cryptography.__version__}"
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    sys.stdout.write(f"{versions}, {machine}\n\n{table(figures)}\n")
    return int(any(figure.verdict is Verdict.MISSED for figure in figures))


if __name__ == "__main__":
    sys.exit(report(measure()))
