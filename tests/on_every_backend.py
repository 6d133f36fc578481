"""`python -m tests.on_every_backend NOTEBOOK...`: run what shows the same on every backend on a token and a cloud.

The token is SoftHSM's and the cloud is the emulator, in the process that this is; pytest and the kernels are others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from kmskit import ConfigurationError, emulator, softhsm

_ROOT = Path(__file__).parents[1]
_AIM = ("--notebook-aim=15", "--notebook-aim-all=90")


@contextmanager
def token() -> Iterator[tuple[str, Mapping[str, str]]]:
    """A URI, and what its users need in their environment."""
    with TemporaryDirectory() as folder:
        yield softhsm.token(folder).uri, {}


@contextmanager
def cloud() -> Iterator[tuple[str, Mapping[str, str]]]:
    with emulator.start() as started:
        yield started.uri("software"), started.env()


BACKENDS = {"a SoftHSM token": token, "the emulator": cloud}


def run(name: str, arguments: list[str]) -> bool:
    """Whether pytest passes with the notebooks' KMSKIT_URI on that backend. Without SoftHSM only CI fails."""
    try:
        with BACKENDS[name]() as (uri, environment):
            print(f"== the notebooks on {name}", flush=True)
            command = [sys.executable, "-m", "pytest", "-p", "kmskit.testing.notebooks", "--notebook-uri", uri, *_AIM]
            done = subprocess.run([*command, *arguments], cwd=_ROOT, env={**os.environ, **environment}, check=False)
            return done.returncode == 0
    except ConfigurationError as error:
        print(f"== the notebooks do not run on {name}: {error}", flush=True)
        return os.environ.get("CI") != "true"


if __name__ == "__main__":
    passed = {name: run(name, sys.argv[1:]) for name in BACKENDS}
    sys.exit(not all(passed.values()))
