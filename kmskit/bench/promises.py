"""What the project promises about its speed: a row for each ratio, with its peer and the floor that it shall reach."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import count, islice
from pathlib import Path
from time import perf_counter, process_time
from typing import Any
from unittest.mock import patch

import kmskit
from kmskit import emulator, envelope, softhsm
from kmskit.bench import peers
from kmskit.bench.measure import Timed, Work
from kmskit.bench.places import connect, emulator_process, in_memory
from kmskit.bench.rate import seconds_a_call
from kmskit.bench.ratios import Ratio
from kmskit.bench.targets import FRAME, SEALED_FRAME, Frames, KmsTarget, Library, pyca
from kmskit.quantity import amount, digits, duration
from kmskit.uri import Uri

__all__ = ["promises"]

_AWS, _BEST = "aws-encryption-sdk", "aws-encryption-sdk, its best frame"
_KEPT, _ANEW, _SDK = "python-pkcs11, all kept", "python-pkcs11 that opens, finds, closes", "the vendor's SDK"
_LARGE: dict[str, float | None] = {"bare pyca": 0.9, _AWS: 8, _BEST: 2, "Tink": None, "pyrage": None}
_ROWS: tuple[tuple[str, str, str, int, dict[str, float | None]], ...] = (
    ("software", "encrypt", "AES_256", 1024, {"bare pyca": 0.5, "Tink": None, "Fernet": None, "jwcrypto": None}),
    ("software", "decrypt", "AES_256", 1024, {"bare pyca": None, "Tink": None, "Fernet": None, "jwcrypto": None}),
    ("software", "sign", "EC_P256", 1024, {"bare pyca": 0.9}),
    ("software", "sign", "RSA_2048", 1024, {"bare pyca": 0.9}),
    ("software", "envelope", "AES_256", 1024, {"bare pyca": None, _AWS: None}),
    ("software", "envelope", "AES_256", 64 << 10, {"bare pyca": None}),
    ("software", "envelope", "AES_256", 0, _LARGE),
    ("software", "open_envelope", "AES_256", 0, _LARGE),
    ("SoftHSM", "encrypt", "AES_256", 64, {_KEPT: 0.9, _ANEW: 5, "PyKCS11": None}),
    ("SoftHSM", "decrypt", "AES_256", 64, {_KEPT: 0.9}),
    ("SoftHSM", "sign", "EC_P256", 1024, {_KEPT: 0.9}),
    ("SoftHSM", "sign", "RSA_2048", 1024, {_KEPT: 0.9}),
    ("alibaba", "encrypt", "AES_256", 64, {_SDK: 0.95}),
    ("alibaba", "decrypt", "AES_256", 64, {_SDK: 0.95}),
)
"""Target, operation, spec, bytes (0: the large message), and the peers with the floors of the ratios to them."""

_LATENCY = 0.02
_PEAK_LIMIT = 64 << 20  # The interpreter and all its libraries included.

# Run by a new interpreter, in which nothing is imported or open yet. Each prints a number: seconds, seconds, bytes.
_NOW = "import sys; from time import process_time as now; start = now();"
_IMPORT = f"{_NOW} import kmskit; print(now() - start)"
_OPEN = f"import kmskit; {_NOW} kmskit.connect(sys.argv[1]); print(now() - start)"
_PEAK = """
import pathlib, sys
from kmskit import envelope
keys = [envelope.RawAesKey("bench", "peak", bytes(32))]
getattr(envelope, sys.argv[1])(sys.argv[2], sys.argv[3], keys, overwrite=True)
print(1024 * int(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]))
"""


def promises(stack: ExitStack, size: int = 64 << 20, large: int = 1 << 30, keys: int = 10_000) -> Iterator[Ratio]:
    """All rows.

    Args:
        stack: keeps open what they need.
        size: of the large message, in bytes.
        large: of the file whose memory is measured.
        keys: in the store that is opened; ten times as many are listed.
    """
    folder = stack.enter_context(in_memory())
    kms = stack.enter_context(kmskit.connect("software:?memory=1"))
    tokens = [softhsm.token(folder / name) for name in ("few", "all")]  # Names of one length: files are opened.
    token, crowded = (KmsTarget(stack.enter_context(kmskit.connect(each.uri))) for each in tokens)
    environment = stack.enter_context(emulator_process(folder))
    # The vendor's SDK would send what is meant for loopback to a proxy, too.
    stack.enter_context(patch.dict(os.environ, {name: "" for name in os.environ if name.lower().endswith("_proxy")}))
    targets = {"software": KmsTarget(kms), "SoftHSM": token}
    targets["alibaba"] = cloud = KmsTarget(stack.enter_context(connect(environment)))
    for spec in ("AES_256", "EC_P256", "RSA_2048", "HMAC_256"):  # One of a type: its peers find it by that.
        token.key(spec)
    bare = peers.PythonPkcs11(tokens[0], stack)
    libraries: dict[str, Library] = {"bare pyca": pyca, "Tink": peers.tink, "Fernet": peers.fernet}
    libraries |= {
        "jwcrypto": peers.jwcrypto,
        "pyrage": peers.pyrage,
        _SDK: partial(peers.sdk, environment, cloud.key().id),
    }
    libraries |= {_AWS: peers.aws, _BEST: partial(peers.aws, frame_length=64 << 10)}
    libraries |= {_KEPT: bare.kept, _ANEW: bare.anew, "PyKCS11": bare.pykcs11}
    message = os.urandom(size)
    for name, operation, spec, length, others in _ROWS:
        given = message[:length] if length else message
        ours, what = targets[name].job(operation, spec, given), f"{name}: {operation} {amount(len(given))}, {spec}"
        for peer, floor in others.items():
            yield _timed(what, ours, peer, libraries[peer](spec, given)[operation], floor)
    yield from _envelopes(targets["software"].key(), message, folder)
    yield from _elsewhere(token.key(), crowded, cloud.key(), environment, stack)
    yield from _limits(folder, large, keys)


def _timed(
    what: str, ours: Work, peer: str, theirs: Work, floor: float | None, clock: Callable[[], float] = process_time
) -> Ratio:
    return Ratio(what, peer, Timed(ours, clock=clock), Timed(theirs, clock=clock), floor)


def _envelopes(key: kmskit.Key, message: bytes, folder: Path) -> Iterator[Ratio]:
    """What a table of operations does not have: a context, buffers of one's own, a cache, and files."""
    small, keys, cached = message[:1024], [key], envelope.DataKeyCache()
    bare, context = pyca("AES_256", small)["encrypt"], {"tenant": "acme"}
    encrypt = lambda: key.encrypt(small, context=context)  # noqa: E731 (A partial would copy the keywords each time.)
    yield _timed("software: encrypt 1 KiB, AES_256, one context pair", encrypt, "bare pyca", bare, 0.35)
    once = lambda: envelope.encrypt(small, keys, cache=cached)  # noqa: E731
    yield _timed("software: envelope 1 KiB, AES_256, data keys cached", once, "bare pyca", bare, None)
    frames, length = Frames(message), amount(len(message))
    sealed = memoryview(bytearray(envelope.encrypted_size(len(message), keys)))
    into, back = partial(envelope.encrypt_into, message, sealed, keys), bytearray(message)
    into()
    out = partial(envelope.decrypt_into, bytes(sealed), back, keys)
    bare_into, bare_out = partial(frames.seal_into, frames.sealed), partial(frames.open_into, memoryview(back))
    yield _timed(f"envelope.encrypt_into {length}", into, "bare pyca into the same buffers", bare_into, 0.9)
    yield _timed(f"envelope.decrypt_into {length}", out, "bare pyca into the same buffers", bare_out, 0.9)

    plain, bare_sealed, message_file, target = (folder / name for name in ("plain", "sealed", "message", "target"))
    plain.write_bytes(message)
    # Both written frame by frame, since a file that was written at once is read faster.
    _loop(frames.seal, plain, bare_sealed, FRAME, SEALED_FRAME)
    envelope.encrypt_file(plain, message_file, keys)

    def anew(work: Callable[..., object], *arguments: Any) -> Work:
        """Into a new file each time: to replace one costs something else."""

        def run() -> None:
            work(*arguments)
            target.unlink()

        return run

    ours, bare = (
        anew(envelope.encrypt_file, plain, target, keys),
        anew(_loop, frames.seal, plain, target, FRAME, SEALED_FRAME),
    )
    yield _timed(f"envelope.encrypt_file {length}", ours, "the same loop without the format", bare, 0.9)
    ours = anew(envelope.decrypt_file, message_file, target, keys)
    bare = anew(_loop, frames.open, bare_sealed, target, SEALED_FRAME, FRAME)
    yield _timed(f"envelope.decrypt_file {length}", ours, "the same loop without the format", bare, 0.9)


def _loop(work: Callable[..., object], source: Path, target: Path, read: int, written: int) -> None:
    """From file to file, frame by frame, with two buffers."""
    taken, given = memoryview(bytearray(read)), memoryview(bytearray(written))
    with source.open("rb", buffering=0) as reader, target.open("wb", buffering=0) as writer:
        for number in count():
            if not reader.readinto(taken):
                return
            work(number, taken, given)
            writer.write(given)


def _elsewhere(
    key: kmskit.Key, crowded: KmsTarget, remote: kmskit.Key, environment: Mapping[str, str], stack: ExitStack
) -> Iterator[Ratio]:
    """A crowded token, and the emulator, near and far."""
    for _ in range(399):
        crowded.kms.create_key()
    message, one = os.urandom(64), crowded.key()
    ours, others = partial(one.encrypt, message), partial(key.encrypt, message)
    yield _timed("SoftHSM: encrypt 64 B, a token of 400 keys", ours, "a token of 4", others, 0.9)

    cloud = stack.enter_context(emulator.start())
    far = stack.enter_context(cloud.connect()).create_key()
    cloud.faults.add(delay=_LATENCY, times=None)
    items = [message] * 40
    many, loop = partial(far.encrypt_many, items), lambda: [far.encrypt(item) for item in items]
    yield _timed("alibaba: encrypt_many of 40, 8 threads, 20 ms away", many, "a loop", loop, 3, perf_counter)

    served = partial(seconds_a_call, environment, remote.id, message)
    yield _limit(
        "emulator, one process: Encrypt over HTTPS, 8 connections", served, 0.001, lambda s: f"{digits(1 / s)}/s"
    )


def _limits(folder: Path, large: int, keys: int) -> Iterator[Ratio]:
    """What has no peer."""
    yield _limit("import kmskit, in a new process", partial(_in_new_process, _IMPORT), 0.2)
    query = {"key-file": (folder / "keys.key").as_posix()}
    uri = str(Uri("software", "", (folder / "keys.db").as_posix(), query=query))
    kms = kmskit.connect(uri)
    for number in range(keys):
        kms.create_key(f"key-{number}")
    yield _limit(f"open a store of {keys:,} keys, in a new process", partial(_in_new_process, _OPEN, uri), 0.1)
    yield _limit("kms.key(alias) in it", Timed(partial(kms.key, f"key-{keys // 2}")), 0.001)

    def listed(number: int) -> int:
        """The most bytes that were held at a time."""
        tracemalloc.start()
        try:
            for _ in islice(many.keys(), number):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    many = kmskit.connect("software:?memory=1")
    for _ in range(10 * keys):
        many.create_key()
    listed(keys)  # The first listing also fills caches, which would count as growth.
    grown = max(1.0, float(listed(10 * keys) - listed(keys)))
    yield _limit(f"list {10 * keys:,} keys, memory over that for {keys:,}", lambda: grown, 1e6, amount)
    source = folder / "large"
    with source.open("wb") as file:
        file.truncate(large)
    for function, read, written in (
        ("encrypt_file", source, "large.enc"),
        ("decrypt_file", folder / "large.enc", "out"),
    ):
        peak = _in_new_process(_PEAK, function, str(read), str(folder / written))
        yield _limit(f"envelope.{function} {amount(large)}, memory", partial(float, peak), _PEAK_LIMIT, amount)
    for path in ("large.enc", "out"):
        (folder / path).unlink()


def _limit(what: str, sample: Callable[[], float], most: float, show: Callable[[float], str] = duration) -> Ratio:
    return Ratio(what, "its limit", sample, lambda: most, 1, show)


def _in_new_process(code: str, *arguments: str) -> float:
    command = [sys.executable, "-c", code, *arguments]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300).stdout)  # noqa: S603 (ours)
