"""The fuzzers' checks hold for their seeds and for damaged ones, within the memory that `make fuzz` allows."""

from __future__ import annotations

import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from tests.fuzz.parsers import PARSERS

ROOT = Path(__file__).parents[2]


def damaged(seed: bytes, source: random.Random) -> bytes:
    """A seed with a piece of it, or of nothing sensible, in another place."""
    data = bytearray(seed)
    for _ in range(source.randint(1, 3)):
        left, right = sorted(source.choices(range(len(data) + 1), k=2))
        piece = source.choice([data[left:right], source.randbytes(source.randint(0, 8)), b"\xff" * 4, b""])
        at = source.randint(0, len(data))
        data[at : at + source.choice([0, len(piece)])] = piece
    return bytes(data)


@pytest.mark.parametrize("name", PARSERS)
def test_damaged_seeds_are_refused_by_name(name: str) -> None:
    check, seeds = PARSERS[name]
    source = random.Random(1)
    for seed in seeds:
        check(seed)
        for _ in range(1000 // len(seeds)):
            check(damaged(seed, source))


def test_no_claim_of_a_header_takes_memory() -> None:
    check, (seed, *_) = PARSERS["envelope"]
    claims = [seed[:at] + b"\xff" * size + seed[at + size :] for at in range(len(seed)) for size in (2, 4)]
    tracemalloc.start()
    for claim in claims:
        check(claim)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**22


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="atheris has no release for this Python")
def test_the_fuzzer_runs(tmp_path: Path) -> None:
    def fuzzed(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.fuzz", *arguments]
        environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)

    done = fuzzed("envelope", "-runs=300")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / ".cache" / "fuzz" / "envelope").iterdir())) >= len(PARSERS["envelope"].seeds)
    assert "usage" in fuzzed("nonsense").stderr
