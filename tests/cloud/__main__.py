"""`python -m tests.cloud`: say what a run on the service will make, ask, run, and clear away.

It needs KMSKIT_CLOUD=real and an alibaba:// URI in KMSKIT_URI. Credentials that lie in the environment never suffice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import kmskit
from kmskit import Kms, KmsError, doctor
from kmskit.uri import parse
from tests.cloud.journal import JOURNAL, Journal

ROOT = Path(__file__).parent.parent.parent
KEYS = 200
"""About as many as the suite makes."""
_NEUTRAL = "0[0-5]-*.ipynb"
"""The notebooks that run on whatever KMSKIT_URI names. Those on the cloud itself make users and read the trail, which
stands for the console: they keep to the emulator."""


def main(arguments: list[str]) -> int:
    uri = os.environ.get("KMSKIT_URI", "")
    if not uri.startswith("alibaba://") or os.environ.get("KMSKIT_CLOUD") != "real":
        print("Set KMSKIT_CLOUD=real and KMSKIT_URI=alibaba://REGION?instance=kst-…; nothing was sent.")
        return 2
    journal_path = Path(os.environ.get("KMSKIT_TEST_CLOUD_JOURNAL", ROOT / JOURNAL)).absolute()
    try:
        with kmskit.connect(uri) as kms:
            return clear(kms, journal_path) if arguments == ["--clear"] else run(kms, uri, journal_path)
    except KmsError as error:
        print(f"{type(error).__name__}: {error}\n{error.hint or ''}")
        return 1


def clear(kms: Kms, journal_path: Path) -> int:
    """Schedule what an earlier run has left for deletion."""
    left = Journal(journal_path).clear(kms)
    print(f"to be deleted by hand: {' '.join(left)}" if left else "nothing is left")
    return 1 if left else 0


def run(kms: Kms, uri: str, journal_path: Path) -> int:
    who = identity(uri)
    if who is None:
        return 1
    parsed = parse(uri)
    print(f"identity:  {who}")
    print(f"place:     {parsed.authority}, instance {parsed.query.get('instance', 'none')}")
    print(f"will make: about {KEYS} keys with aliases and tags, and schedule each for deletion in 7 days")
    print("cost:      they count against the quota of keys until they are deleted; the console tells prices")
    if waiting := Journal(journal_path).ids:
        print(f"besides:   {len(waiting)} keys of an earlier run will be scheduled for deletion")
    print("Type `real` to go on: ", end="", flush=True)
    if sys.stdin.readline().strip() != "real":
        print("Nothing was made.")
        return 1
    clear(kms, journal_path)
    failed = suite(uri, journal_path) | notebooks(uri)
    return failed | clear(kms, journal_path)


def identity(uri: str) -> str | None:
    """Who calls, as the doctor finds out; None after it has told what is wrong."""
    findings = [finding for finding in doctor.examine(uri) if finding.topic.startswith("URI")]
    for finding in findings:
        if finding.state == "problem":
            print(f"{finding.topic}: {finding.text}\n{finding.cure}")
            return None
    return next((finding.text for finding in findings if finding.topic == "URI identity"), "unknown")


def suite(uri: str, journal_path: Path) -> int:
    settings = {"URI": uri, "WORD": "real", "JOURNAL": str(journal_path)}
    environment = {**os.environ, **{f"KMSKIT_TEST_CLOUD_{name}": value for name, value in settings.items()}}
    command = [sys.executable, "-m", "pytest", "-m", "cloud", "--timeout=600", "tests/cloud"]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def notebooks(uri: str) -> int:
    """Run copies of notebooks on the service. They clear away what they make; those of the course stay as they are."""
    with TemporaryDirectory() as folder:
        place = Path(folder, "notebooks")
        place.mkdir()
        shutil.copytree(ROOT / "data", Path(folder, "data"))
        copies = [shutil.copy(path, place) for path in sorted((ROOT / "notebooks").glob(_NEUTRAL))]
        command = [sys.executable, "-m", "kmskit.testing.notebooks", "--timeout=600", "--uri", uri, *map(str, copies)]
        return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
