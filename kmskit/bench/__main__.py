"""`python -m kmskit.bench`: every figure that the project promises, measured on this machine in one run."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence

import cryptography

import kmskit
from kmskit.bench import cloud, envelope, pkcs11, software, stores
from kmskit.bench.ratios import Figure, Verdict, compare, table


def measure() -> list[Figure]:
    """All figures that can be measured here; it takes two to three minutes."""
    with kmskit.connect("software:?memory=1") as kms:
        found = [*compare(software.ratios(kms)), *stores.figures()]
    for name, group in (("pkcs11", pkcs11), ("alibaba", cloud)):
        if reason := group.missing():
            sys.stdout.write(f"No figures of the {name} backend: {reason}; make setup brings it.\n")
        else:
            found += group.figures()
    return [*found, *envelope.figures()]


def report(figures: Sequence[Figure]) -> int:
    """Print the table; 1 if a limit was missed by more than the noise, else 0."""
    versions = f"Python {platform.python_version()}, cryptography {cryptography.__version__}"
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    sys.stdout.write(f"{versions}, {machine}\n\n{table(figures)}\n")
    return int(any(figure.verdict is Verdict.MISSED for figure in figures))


if __name__ == "__main__":
    sys.exit(report(measure()))
