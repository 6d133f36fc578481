"""The emulator's own speed, and the alibaba backend beside the vendor's SDK, all over HTTPS on loopback.

The emulator is a process of its own, as a program under test has it, and its user is a RAM user: each call's signature
and nonce are checked and its policies decided.

How many calls it serves is asked by a client that must not be the limit itself. So requests are signed beforehand, and
several connections always have one waiting: that client computes a fifth of what the emulator does.

The backend and the SDK wait for the same emulator equally long, so they are compared by what this process computes.
That is the harder test, and other programs disturb it little. A batch on threads is there to wait less, and goes by the
clock on the wall.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from time import perf_counter
from typing import Any
from uuid import uuid4

import kmskit
from kmskit.bench.presigned import Line, serve, signed
from kmskit.bench.ratios import Bound, Figure, Ratio, compare, observe

__all__ = ["figures", "missing"]

_PACKAGES = {"alibabacloud_kms20160120": "alibaba", "starlette": "emulator", "uvicorn": "emulator"}
_POLICIES = ["AliyunKMSCryptoUserAccess", "AliyunKMSReadOnlyAccess"]
_CONNECTIONS = 8
_MESSAGE_SIZE = 64
_LATENCY = 0.02

# Run by a new interpreter. A line in is a seed first and then a delay in seconds; a line out tells how it stands.
_EMULATOR = """
import json, sys
from time import process_time
from kmskit import emulator

def tell(**more):
    with open("/proc/self/status") as status:
        resident = int(status.read().partition("VmRSS:")[2].split()[0])
    print(json.dumps({"computed": process_time(), "resident": 1024 * resident, **more}), flush=True)

with emulator.start(seed=json.loads(sys.stdin.readline())) as cloud:
    tell(uri=cloud.uri(), endpoint=cloud.endpoint, ca=cloud.ca_path)
    for delay in sys.stdin:
        cloud.faults.clear()
        if float(delay):
            cloud.faults.add(delay=float(delay), times=None)
        tell()
"""


def missing() -> str:
    """Which of the packages that the rows need is not here; empty if all are."""
    for package, extra in _PACKAGES.items():
        if find_spec(package) is None:
            return f'{package} is not installed (the extra "{extra}")'
    return ""


def figures(calls: int = 500, items: int = 40, turns: int = 31) -> Iterator[Figure]:
    """The rows, group by group.

    Args:
        calls: how many the emulator serves in a turn.
        items: how many `encrypt_many` is given.
        turns: how often the ratios to the SDK are measured; the others are measured a fourth as often.
    """
    few = max(1, turns // 4)
    with ExitStack() as stack:
        stack.enter_context(_no_proxies())
        emulator = stack.enter_context(closing(_Emulator()))
        yield from _rates(emulator, calls, few)
        kms = stack.enter_context(emulator.connect())
        key = kms.key(emulator.aes)
        yield from compare(_backend(key, _Sdk(emulator)), turns)
        emulator.delay(_LATENCY)
        yield from compare([_many(key, items)], few)
        yield from _costs(emulator, few)


# The emulator


class _Emulator:
    """One in a process of its own, which ends when its standard input does.

    Attributes:
        aes, pair: ids of an AES key and an EC P-256 key.
        version: the pair's only version.
    """

    def __init__(self) -> None:
        self.aes, self.pair, self.version = (str(uuid4()) for _ in range(3))
        self.access_key, self.secret = f"LTAI{secrets.token_hex(8)}", secrets.token_hex(15)
        user = {"access_key_id": self.access_key, "access_key_secret": self.secret, "policies": _POLICIES}
        seed = {
            "users": [{"name": "app", **user}],
            "keys": [{"id": self.aes}, {"id": self.pair, "version": self.version, "spec": "EC_P256"}],
        }
        command = [sys.executable, "-c", _EMULATOR]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
        told = self._ask(json.dumps(seed))
        self.endpoint, self.ca, self.uri = (told[name] for name in ("endpoint", "ca", "uri"))

    def delay(self, seconds: float) -> dict[str, float]:
        """Let each call wait; 0 to answer at once. Returns how many seconds it has computed so far (`computed`), and
        how many bytes are resident (`resident`)."""
        return self._ask(str(seconds))

    def computed(self) -> float:
        return self.delay(0)["computed"]

    def resident(self) -> float:
        return self.delay(0)["resident"]

    def _ask(self, line: str) -> dict[str, Any]:
        to, answers = self._process.stdin, self._process.stdout
        if to is None or answers is None:
            raise RuntimeError("the emulator was started without pipes")
        to.write(f"{line}\n")
        to.flush()
        answer: dict[str, Any] = json.loads(answers.readline())
        return answer

    def request(self, action: str, parameters: Mapping[str, str]) -> bytes:
        return signed(self.endpoint, self.access_key, self.secret, action, parameters)

    def line(self) -> Line:
        return Line(self.endpoint, self.ca)

    def connect(self) -> kmskit.Kms:
        return kmskit.connect(self.uri, credential=(self.access_key, self.secret))

    def close(self) -> None:
        self._process.communicate(timeout=30)


def _actions(emulator: _Emulator) -> dict[str, dict[str, str]]:
    """The actions that are measured, and their parameters."""
    text = b64encode(os.urandom(_MESSAGE_SIZE)).decode()
    encrypted = {"KeyId": emulator.aes, "Plaintext": text}
    with closing(emulator.line()) as line:
        (answer,) = serve([line], [emulator.request("Encrypt", encrypted)])
    digest = {"Algorithm": "ECDSA_SHA_256", "Digest": b64encode(sha256(answer).digest()).decode()}
    return {
        "Encrypt": encrypted,
        "Decrypt": {"CiphertextBlob": json.loads(answer)["CiphertextBlob"]},
        "GenerateDataKey": {"KeyId": emulator.aes, "NumberOfBytes": "32"},
        "AsymmetricSign": {"KeyId": emulator.pair, "KeyVersionId": emulator.version, **digest},
    }


def _rates(emulator: _Emulator, calls: int, turns: int) -> Iterator[Figure]:
    with ExitStack() as stack:
        lines = [stack.enter_context(closing(emulator.line())) for _ in range(_CONNECTIONS)]
        for action, parameters in _actions(emulator).items():

            def served(clock: Callable[[], float], action: str = action, given: dict[str, str] = parameters) -> float:
                requests = [emulator.request(action, given) for _ in range(calls)]
                start = clock()
                serve(lines, requests)
                return (clock() - start) / calls

            name, floor = f"emulator, {action} calls a second, {_CONNECTIONS} connections", None
            if action == "Encrypt":
                floor = 1000.0
                computed = Bound("emulator, computed for an Encrypt", partial(served, emulator.computed))
                yield observe(computed, turns)
            yield observe(Bound(name, lambda: 1 / served(perf_counter), floor=floor, unit="/s"), turns)


def _costs(emulator: _Emulator, turns: int) -> Iterator[Figure]:
    def started() -> float:
        with closing(_Emulator()) as another:
            return another.computed()

    yield observe(Bound("emulator, start in a new process", started), turns)
    yield observe(Bound("emulator, resident memory after all this", lambda: emulator.resident() / 1e6, unit="MB"), 1)


# The backend


class _Sdk:
    """The vendor's client as its documents use it: a request object in, an answer object out, base64 in between."""

    def __init__(self, emulator: _Emulator) -> None:
        from alibabacloud_kms20160120 import models
        from alibabacloud_kms20160120.client import Client
        from alibabacloud_tea_openapi.models import Config

        key = {"access_key_id": emulator.access_key, "access_key_secret": emulator.secret}
        self._models, self._key = models, emulator.aes
        self._client = Client(Config(**key, endpoint=emulator.endpoint, ca=emulator.ca))

    def encrypt(self, message: bytes) -> bytes:
        text = b64encode(message).decode()
        answer = self._client.encrypt(self._models.EncryptRequest(key_id=self._key, plaintext=text))
        return str(answer.body.ciphertext_blob).encode()

    def decrypt(self, ciphertext: bytes) -> bytes:
        answer = self._client.decrypt(self._models.DecryptRequest(ciphertext_blob=ciphertext.decode()))
        return b64decode(answer.body.plaintext)


def _backend(key: kmskit.Key, sdk: _Sdk) -> list[Ratio]:
    message = os.urandom(_MESSAGE_SIZE)
    ciphertext = key.encrypt(message)
    name = f"{_MESSAGE_SIZE} B, over the vendor's SDK"
    computed = [
        Ratio(f"alibaba encrypt {name}", lambda: key.encrypt(message), lambda: sdk.encrypt(message), floor=0.95),
        Ratio(f"alibaba decrypt {name}", lambda: key.decrypt(ciphertext), lambda: sdk.decrypt(ciphertext), floor=0.95),
    ]
    waited = (replace(row, name=f"{row.name}, on the wall", floor=None, clock=perf_counter) for row in computed)
    return [*computed, *waited]


def _many(key: kmskit.Key, items: int) -> Ratio:
    messages = [os.urandom(_MESSAGE_SIZE) for _ in range(items)]
    return Ratio(
        f"alibaba encrypt_many of {items}, 8 threads, over a loop, latency {_LATENCY * 1000:.0f} ms",
        lambda: key.encrypt_many(messages).values(),
        lambda: [key.encrypt(message) for message in messages],
        floor=3,
        clock=perf_counter,
    )


@contextmanager
def _no_proxies() -> Iterator[None]:
    """The vendor's SDK would send what is meant for loopback to a proxy as well."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.lower().endswith("_proxy")}
    try:
        yield
    finally:
        os.environ.update(kept)
