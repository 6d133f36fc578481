"""Fuzz one parser, by default for a minute. A failure leaves its input in .cache/fuzz."""

from __future__ import annotations

import hashlib
import resource
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["kmskit"]):
    from tests.fuzz.parsers import PARSERS

SECONDS, MEBIBYTES = 1, 64
"""What one input may take."""


def main(name: str, *flags: str) -> None:
    folder = Path(".cache", "fuzz")
    corpus = folder / name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in PARSERS[name].seeds:
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    own = [f"-timeout={SECONDS}", f"-rss_limit_mb={taken + MEBIBYTES}", f"-artifact_prefix={folder}/{name}-"]
    bounds = ["-max_total_time=60", "-max_len=4096", "-verbosity=0", "-print_final_stats=1", *own]
    atheris.Setup([sys.argv[0], *bounds, *flags, str(corpus)], PARSERS[name].check)
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in PARSERS:
        sys.exit(f"usage: python -m tests.fuzz {'|'.join(PARSERS)} [libFuzzer's flags, such as -max_total_time=60]")
    main(*sys.argv[1:])
