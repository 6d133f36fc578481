"""How the tests run the command line: most in this process, and where it matters as the program that users run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import kmskit
from kmskit.cli.commands import kmskit as program

ROOT = Path(kmskit.__file__).parent.parent
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Runs its arguments on a new terminal, copies between that and its own streams, and ends with their status.
ON_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"

PROGRAM = f"{sys.executable} -m kmskit"

Run = Callable[..., Result]
Shell = Callable[..., "subprocess.CompletedProcess[bytes]"]
Terminal = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's folder with nothing in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A key store that is not made yet."""
    return f"software://{tmp_path}/keys.db"


@pytest.fixture
def run(uri: str) -> Run:
    """Run `kmskit` with arguments in this process, on the store `uri`."""

    def invoke(*arguments: str, status: int = 0, data: bytes | str | None = None, **environment: str) -> Result:
        done = CliRunner().invoke(program, arguments, input=data, env={"KMSKIT_URI": uri, **environment})
        assert done.exit_code == status, done.output
        return done

    return invoke


@pytest.fixture
def kms(uri: str) -> Iterator[kmskit.Kms]:
    """The store `uri`, by the library."""
    with kmskit.connect(uri) as kms:
        yield kms


def environment(home: Path, uri: str, /, **more: str) -> dict[str, str]:
    """What a program of a user's needs, and nothing of whoever runs the tests."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {
        "PATH": path,
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "KMSKIT_URI": uri,
    } | more


@pytest.fixture
def shell(home: Path, uri: str, tmp_path: Path) -> Shell:
    """Run a line of sh, in which `$kmskit` is the program, in the folder `tmp_path`."""

    def invoke(line: str, *, status: int = 0, **more: str) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path,
            env=environment(home, uri, kmskit=PROGRAM, **more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, (done.stdout, done.stderr)
        assert b"Traceback" not in done.stderr
        return done

    return invoke


@pytest.fixture
def terminal(home: Path, uri: str, tmp_path: Path) -> Terminal:
    """Start a line of sh on a terminal of its own: the process writes what it shows, and reads what is typed."""

    def start(line: str, **more: str) -> subprocess.Popen[bytes]:
        look = {"TERM": "xterm", "COLUMNS": "100", "kmskit": PROGRAM}
        return subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL, "sh", "-c", line],
            cwd=tmp_path,
            env=environment(home, uri, **look, **more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    return start
