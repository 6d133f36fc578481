"""How many calls a second the emulator answers, signatures checked, over HTTPS that is kept alive."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode

from kmskit import emulator
from kmskit.bench.ratios import Bound, Figure, observe

__all__ = ["figures"]

_CALLS = 1000
_CEILING = 1 / 1000
"""The shared gateway's published quota is 1,000 calls a second."""


def figures() -> list[Figure]:
    """The time of one Encrypt call. The client is a process of its own, as clients are."""
    with emulator.start() as cloud:
        key = cloud.connect().create_key()

        def encrypt() -> float:
            task = {
                "host": cloud.endpoint,
                "ca_path": cloud.ca_path,
                "access_key_id": cloud.ram.root.access_key_id,
                "secret": cloud.ram.root.access_key_secret,
                "action": "Encrypt",
                "parameters": {"KeyId": key.id, "Plaintext": b64encode(bytes(32)).decode()},
                "calls": _CALLS,
            }
            done = subprocess.run(
                [sys.executable, "-m", "kmskit.bench.presigned"],
                input=json.dumps(task),
                capture_output=True,
                text=True,
                check=True,
            )
            return float(done.stdout) / _CALLS

        return [observe(Bound("emulator: one Encrypt call of 32 bytes over HTTPS", encrypt, ceiling=_CEILING), turns=5)]
