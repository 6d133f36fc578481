"""`python -m kmskit.bench` measures the ratios: the status is 1 if a floor is missed by more than the noise.

`python -m kmskit.bench record FOLDER` writes what notebook 10 reads: `throughput.csv` and `scale.csv`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import kmskit
from kmskit.bench.measure import machine
from kmskit.bench.places import connect, emulator_process, in_memory
from kmskit.bench.promises import promises
from kmskit.bench.ratios import Verdict, compare, table
from kmskit.bench.scale import grow
from kmskit.bench.table import Row, ThroughputTable
from kmskit.bench.throughput import throughput

# Operations, specs, sizes, numbers of threads.
_RECORDED = (
    (("encrypt", "decrypt"), ("AES_256",), (64, 1 << 10, 4 << 10, 64 << 10), (1,)),
    (("envelope", "open_envelope"), ("AES_256",), (64, 1 << 10, 64 << 10, 1 << 20, 16 << 20), (1,)),
    (("sign", "verify"), ("EC_P256", "RSA_2048"), (64,), (1,)),
    (("mac", "generate_data_key"), ("AES_256", "HMAC_256"), (64,), (1,)),
    (("sign",), ("RSA_2048",), (64,), (2, 8)),
    (("encrypt",), ("AES_256",), (64,), (2, 8)),
)
# The mean in the sample output of its benchmark tool (aliyun/alibabacloud-kms-python-sdk), and all that it publishes.
_LATENCY = 0.013, "the vendor's sample, 13 ms a call"


def _recorded(folder: Path) -> Iterator[Row]:
    with ExitStack() as stack:
        cloud = stack.enter_context(emulator_process(folder))
        token = kmskit.softhsm.token(folder / "token").uri
        targets = {"pyca": "pyca", "software": "software:?memory=1", "SoftHSM": token, "emulator": connect(cloud)}
        for operations, specs, sizes, threads in _RECORDED:
            yield from throughput(targets, operations, sizes, 1, specs=specs, threads=threads, latency=_LATENCY)


def record(folder: Path) -> None:
    with in_memory() as scratch:
        ThroughputTable(_recorded(scratch)).to_csv(folder / "throughput.csv", machine())
        grow(scratch).to_csv(folder / "scale.csv", machine())


def judge() -> bool:
    """Print the ratios. Whether a floor is missed by more than the noise."""
    with ExitStack() as stack:
        figures = compare([*promises(stack)])
    sys.stdout.write(f"{machine()}\n\n{table(figures)}\n")
    return any(figure.verdict is Verdict.MISSED for figure in figures)


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"]:
        record(Path(sys.argv[2]))
    else:
        sys.exit(judge())
