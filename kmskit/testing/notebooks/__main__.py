"""`python -m kmskit.testing.notebooks NOTEBOOK...`: run notebooks and store their outputs."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from time import monotonic

from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import ValidationError
from nbformat.reader import NotJSONError

from kmskit.testing.notebooks.kernel import same_for_everyone
from kmskit.testing.notebooks.store import execute

_EXPECTED = (OSError, NotJSONError, ValidationError, CellExecutionError, CellTimeoutError, DeadKernelError)


def main() -> int:
    parser = ArgumentParser(prog="python -m kmskit.testing.notebooks", description="Run notebooks and store outputs.")
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds that a cell may take (60)")
    parser.add_argument("--uri", help="what the notebooks find in KMSKIT_URI; else nothing")
    arguments = parser.parse_args()
    failed = False
    with same_for_everyone(arguments.uri):
        for path in arguments.notebooks:
            start = monotonic()
            try:
                outcome = "changed" if execute(path, arguments.timeout) else "as it was"
            except _EXPECTED as error:
                outcome, failed = f"not stored\n{type(error).__name__}: {error}", True
            sys.stdout.write(f"{path}: {monotonic() - start:.1f} s, {outcome}\n")
            sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
