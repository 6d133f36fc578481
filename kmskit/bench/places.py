"""Where measurements take place: a folder in memory, and an emulator in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import kmskit
from kmskit.uri import Uri

__all__ = ["connect", "emulator_process", "in_memory"]


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder whose files lie in memory if there is such a place, so that a busy disk is not what is measured."""
    memory = "/dev/shm"  # noqa: S108 (a folder of its own in it)
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@contextmanager
def emulator_process(folder: Path) -> Iterator[dict[str, str]]:
    """An emulator in a process of its own, as a program under test has it: its environment.

    Its user is a RAM user, so that each call's signature is checked and its policies decided.
    """
    told, user = folder / "cloud.env", "bench:AliyunKMSFullAccess"
    command = [sys.executable, "-m", "kmskit", "emulator", "--env-file", str(told), "--user", user]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 (our own program)
    try:
        while not told.exists():
            if process.poll() is not None:
                raise RuntimeError("the emulator did not start")
            time.sleep(0.02)
        yield dict(line.split("=", 1) for line in told.read_text().splitlines())
    finally:
        process.terminate()
        process.wait()


def connect(environment: Mapping[str, str]) -> kmskit.Kms:
    """The emulator's shared gateway, as its user."""
    uri = Uri("alibaba", environment["KMSKIT_SHARED_ENDPOINT"], query={"ca": environment["KMSKIT_SHARED_CA"]})
    key = (environment["ALIBABA_CLOUD_ACCESS_KEY_ID"], environment["ALIBABA_CLOUD_ACCESS_KEY_SECRET"])
    return kmskit.connect(str(uri), credential=key)
