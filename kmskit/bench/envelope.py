"""Envelopes beside the bare cipher, and beside other people's formats.

The bare peer of a row does the same work without a format: AES-GCM in frames of 256 KiB under one key, with nonces that
are counted. Both sides read the same bytes, and both write into a buffer that was used before, return new bytes, or
write a new file, as the row says. New bytes cost more memory management than encryption: kmskit asks the system for
huge pages, and a plain loop does not.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import kmskit
from kmskit import envelope
from kmskit.bench.ratios import Bound, Figure, Ratio, compare, observe

__all__ = ["figures"]

_FRAME = 256 << 10
_SEALED_FRAME = _FRAME + 16
_MOST_RESIDENT = 64 << 20  # The interpreter and all its libraries included.
_AWS_FRAMES = {"its default frame, 4 KiB": (4096, 8.0), "its best frame, 64 KiB": (65536, 2.0)}

# Run by a new interpreter. It prints the most bytes that were resident: as /proc has them, since getrusage would count
# what the process was forked from, too.
_PEAK = """
import pathlib, sys
from kmskit import envelope
source, target, direction = sys.argv[1:]
key = envelope.RawAesKey("bench", "peak", bytes(32))
(envelope.encrypt_file if direction == "encrypt" else envelope.decrypt_file)(source, target, [key])
status = pathlib.Path("/proc/self/status").read_text()
print(1024 * int(status.partition("VmHWM:")[2].split()[0]))
"""


def figures(size: int = 64 << 20, large: int = 1 << 30, turns: int = 9) -> Iterator[Figure]:
    """The rows, group by group.

    Args:
        size: of the messages, in bytes: so many frames of 256 KiB.
        large: of the file whose memory is measured.
        turns: how often each row is measured.
    """
    with kmskit.connect("software:?memory=1") as kms, TemporaryDirectory() as folder:
        key = kms.create_key()
        plaintext = os.urandom(size)
        yield from compare([*_into(key, plaintext), *_fresh(key, plaintext)], turns)
        yield from compare(_files(key, plaintext, Path(folder)), turns)
        yield from compare([*_peers(key, plaintext)], turns)
        yield from compare([*_small(key)], turns)
        if sys.platform == "linux":
            yield from _resident(Path(folder), large)


class _Bare:
    """AES-GCM and no format."""

    def __init__(self, plaintext: bytes) -> None:
        self.plaintext = memoryview(plaintext)
        self.frames = len(plaintext) // _FRAME
        self._cipher = AESGCM(os.urandom(32))
        self.sealed = memoryview(bytearray(self.frames * _SEALED_FRAME))
        self.opened = memoryview(bytearray(plaintext))
        self.encrypt_into(self.sealed)

    def encrypt_frame(self, number: int, plaintext: memoryview, out: memoryview) -> None:
        self._cipher.encrypt_into(number.to_bytes(12), plaintext, None, out)

    def decrypt_frame(self, number: int, sealed: memoryview, out: memoryview) -> None:
        self._cipher.decrypt_into(number.to_bytes(12), sealed, None, out)

    def encrypt_into(self, out: memoryview) -> None:
        for number in range(self.frames):
            at, to = number * _FRAME, number * _SEALED_FRAME
            self.encrypt_frame(number, self.plaintext[at : at + _FRAME], out[to : to + _SEALED_FRAME])

    def decrypt_into(self, out: memoryview) -> None:
        for number in range(self.frames):
            at, to = number * _SEALED_FRAME, number * _FRAME
            self.decrypt_frame(number, self.sealed[at : at + _SEALED_FRAME], out[to : to + _FRAME])

    def encrypt(self) -> bytes:
        return _returned(len(self.sealed), self.encrypt_into)

    def decrypt(self) -> bytes:
        return _returned(len(self.plaintext), self.decrypt_into)


def _returned(size: int, fill: Callable[[memoryview], None]) -> bytes:
    """New bytes, by the cheapest way that Python has: nothing is written or copied twice."""
    out = io.BytesIO(bytes(size))
    with out.getbuffer() as buffer:
        fill(buffer)
    return out.getvalue()


def _mib(data: bytes) -> str:
    return f"{len(data) >> 20} MiB"


def _into(key: kmskit.Key, plaintext: bytes) -> list[Ratio]:
    bare = _Bare(plaintext)
    sealed, opened = bytearray(envelope.encrypted_size(len(plaintext), [key])), bytearray(plaintext)
    envelope.encrypt_into(plaintext, sealed, [key])
    message = bytes(sealed)
    return [
        Ratio(
            f"envelope.encrypt_into {_mib(plaintext)}, over bare AES-GCM",
            lambda: envelope.encrypt_into(plaintext, sealed, [key]),
            lambda: bare.encrypt_into(bare.sealed),
            floor=0.9,
        ),
        Ratio(
            f"envelope.decrypt_into {_mib(plaintext)}, over bare AES-GCM",
            lambda: envelope.decrypt_into(message, opened, [key]),
            lambda: bare.decrypt_into(bare.opened),
            floor=0.9,
        ),
    ]


def _fresh(key: kmskit.Key, plaintext: bytes) -> list[Ratio]:
    bare, message = _Bare(plaintext), envelope.encrypt(plaintext, [key])
    return [
        Ratio(
            f"envelope.encrypt {_mib(plaintext)}, over a bare loop that returns bytes",
            lambda: envelope.encrypt(plaintext, [key]),
            bare.encrypt,
            floor=0.9,
        ),
        Ratio(
            f"envelope.decrypt {_mib(plaintext)}, over a bare loop that returns bytes",
            lambda: envelope.decrypt(message, [key]),
            bare.decrypt,
            floor=0.9,
        ),
    ]


def _files(key: kmskit.Key, plaintext: bytes, folder: Path) -> list[Ratio]:
    bare = _Bare(plaintext)
    source, sealed, message, target = (folder / name for name in ("source", "sealed", "message", "target"))
    source.write_bytes(plaintext)
    # Both written frame by frame, since a file that was written at once is read faster.
    _pass(source, sealed, _FRAME, _SEALED_FRAME, bare.encrypt_frame)
    envelope.encrypt_file(source, message, [key])

    def into_a_new_file(work: Callable[[], object]) -> Callable[[], object]:
        """Without the removal each turn would replace a file, which costs something else."""

        def run() -> None:
            work()
            target.unlink()

        return run

    return [
        Ratio(
            f"envelope.encrypt_file {_mib(plaintext)}, over a bare loop",
            into_a_new_file(lambda: envelope.encrypt_file(source, target, [key])),
            into_a_new_file(lambda: _pass(source, target, _FRAME, _SEALED_FRAME, bare.encrypt_frame)),
            floor=0.9,
        ),
        Ratio(
            f"envelope.decrypt_file {_mib(plaintext)}, over a bare loop",
            into_a_new_file(lambda: envelope.decrypt_file(message, target, [key])),
            into_a_new_file(lambda: _pass(sealed, target, _SEALED_FRAME, _FRAME, bare.decrypt_frame)),
            floor=0.9,
        ),
    ]


def _pass(
    source: Path, target: Path, read: int, written: int, work: Callable[[int, memoryview, memoryview], None]
) -> None:
    """From file to file, frame by frame, with two buffers."""
    taken, given = memoryview(bytearray(read)), memoryview(bytearray(written))
    with source.open("rb", buffering=0) as reader, target.open("wb", buffering=0) as writer:
        number = 0
        while reader.readinto(taken):
            work(number, taken, given)
            writer.write(given)
            number += 1


def _peers(key: kmskit.Key, plaintext: bytes) -> Iterator[Ratio]:
    """Other formats, as far as their packages are installed."""
    for of_one in (_aws, _tink, _age):
        with suppress(ModuleNotFoundError):
            yield from of_one(key, plaintext)


def _aws(key: kmskit.Key, plaintext: bytes) -> list[Ratio]:
    """The same suite, and a raw AES key on both sides."""
    secret = os.urandom(32)
    ours, client = envelope.RawAesKey("bench", "aws", secret), _AwsClient("bench", "aws", secret)
    rows = []
    for frame, (length, floor) in _AWS_FRAMES.items():
        message, theirs = envelope.encrypt(plaintext, [ours]), client.encrypt(plaintext, length)
        rows += [
            Ratio(
                f"envelope.encrypt {_mib(plaintext)}, over aws-encryption-sdk, {frame}",
                lambda: envelope.encrypt(plaintext, [ours]),
                lambda length=length: client.encrypt(plaintext, length),  # type: ignore[misc]
                floor=floor,
            ),
            Ratio(
                f"envelope.decrypt {_mib(plaintext)}, over aws-encryption-sdk, {frame}",
                lambda message=message: envelope.decrypt(message, [ours]),  # type: ignore[misc]
                lambda theirs=theirs: client.decrypt(theirs),  # type: ignore[misc]
                floor=floor,
            ),
        ]
    return rows


class _AwsClient:
    """aws-encryption-sdk with a raw AES keyring."""

    def __init__(self, namespace: str, name: str, secret: bytes) -> None:
        sdk = import_module("aws_encryption_sdk")
        identifiers = import_module("aws_encryption_sdk.identifiers")
        providers = import_module("aws_cryptographic_material_providers.mpl")
        config = import_module("aws_cryptographic_material_providers.mpl.config")
        models = import_module("aws_cryptographic_material_providers.mpl.models")
        library = providers.AwsCryptographicMaterialProviders(config=config.MaterialProvidersConfig())
        self._keyring = library.create_raw_aes_keyring(
            input=models.CreateRawAesKeyringInput(
                key_namespace=namespace,
                key_name=name,
                wrapping_key=secret,
                wrapping_alg=models.AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
            )
        )
        policy = identifiers.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
        self._client = sdk.EncryptionSDKClient(commitment_policy=policy)
        self._suite = identifiers.AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY

    def encrypt(self, plaintext: bytes, frame_length: int) -> bytes:
        message, _ = self._client.encrypt(
            source=plaintext, keyring=self._keyring, algorithm=self._suite, frame_length=frame_length
        )
        return bytes(message)

    def decrypt(self, message: bytes) -> bytes:
        plaintext, _ = self._client.decrypt(source=message, keyring=self._keyring)
        return bytes(plaintext)


def _tink(key: kmskit.Key, plaintext: bytes) -> list[Ratio]:
    """Tink's streaming AEAD in segments of 1 MiB. It has no recipients: its key is there in the clear."""
    tink, streaming = import_module("tink"), import_module("tink.streaming_aead")
    streaming.register()
    template = streaming.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
    primitive: Any = tink.new_keyset_handle(template).primitive(streaming.StreamingAead)

    class Kept(io.BytesIO):
        """Tink closes what it writes to."""

        value = b""

        def close(self) -> None:
            self.value = self.value or self.getvalue()
            super().close()

    def encrypt() -> bytes:
        out = Kept()
        with primitive.new_encrypting_stream(out, b"") as stream:
            stream.write(plaintext)
        return out.value

    def decrypt() -> bytes:
        with primitive.new_decrypting_stream(io.BytesIO(theirs), b"") as stream:
            return bytes(stream.read())

    theirs, message = encrypt(), envelope.encrypt(plaintext, [key])
    return [
        Ratio(f"envelope.encrypt {_mib(plaintext)}, over tink", lambda: envelope.encrypt(plaintext, [key]), encrypt),
        Ratio(f"envelope.decrypt {_mib(plaintext)}, over tink", lambda: envelope.decrypt(message, [key]), decrypt),
    ]


def _age(key: kmskit.Key, plaintext: bytes) -> list[Ratio]:
    """age, by pyrage: X25519 and ChaCha20-Poly1305."""
    age: Any = import_module("pyrage")
    identity = age.x25519.Identity.generate()
    recipients, message = [identity.to_public()], envelope.encrypt(plaintext, [key])
    theirs = age.encrypt(plaintext, recipients)
    return [
        Ratio(
            f"envelope.encrypt {_mib(plaintext)}, over pyrage",
            lambda: envelope.encrypt(plaintext, [key]),
            lambda: age.encrypt(plaintext, recipients),
        ),
        Ratio(
            f"envelope.decrypt {_mib(plaintext)}, over pyrage",
            lambda: envelope.decrypt(message, [key]),
            lambda: age.decrypt(theirs, [identity]),
        ),
    ]


def _small(key: kmskit.Key) -> Iterator[Ratio]:
    """Small messages beside a call of the bare cipher, which shows what the format and the key's wrapping cost."""
    cipher, cache = AESGCM(os.urandom(32)), envelope.DataKeyCache()
    for size, name in ((1 << 10, "1 KiB"), (64 << 10, "64 KiB")):
        plaintext = os.urandom(size)
        message, sealed = envelope.encrypt(plaintext, [key]), cipher.encrypt(bytes(12), plaintext, None)

        def bare(plaintext: bytes = plaintext) -> bytes:
            return cipher.encrypt(os.urandom(12), plaintext, None)

        def bare_opening(sealed: bytes = sealed) -> bytes:
            return cipher.decrypt(bytes(12), sealed, None)

        def ours(plaintext: bytes = plaintext) -> bytes:
            return envelope.encrypt(plaintext, [key])

        def ours_cached(plaintext: bytes = plaintext) -> bytes:
            return envelope.encrypt(plaintext, [key], cache=cache)

        def ours_opening(message: bytes = message) -> bytes:
            return envelope.decrypt(message, [key])

        yield Ratio(f"envelope.encrypt {name}, over bare AES-GCM", ours, bare)
        yield Ratio(f"envelope.encrypt {name} with a data-key cache, over bare AES-GCM", ours_cached, bare)
        yield Ratio(f"envelope.decrypt {name}, over bare AES-GCM", ours_opening, bare_opening)
    with suppress(ModuleNotFoundError):
        yield from _small_aws()


def _small_aws() -> list[Ratio]:
    secret, plaintext = os.urandom(32), os.urandom(1 << 10)
    ours, client = envelope.RawAesKey("bench", "aws", secret), _AwsClient("bench", "aws", secret)
    message = envelope.encrypt(plaintext, [ours])
    return [
        Ratio(
            "envelope.encrypt 1 KiB, over aws-encryption-sdk",
            lambda: envelope.encrypt(plaintext, [ours]),
            lambda: client.encrypt(plaintext, 4096),
        ),
        Ratio(
            "envelope.decrypt 1 KiB, over aws-encryption-sdk",
            lambda: envelope.decrypt(message, [ours]),
            lambda: client.decrypt(message),
        ),
    ]


def _resident(folder: Path, size: int) -> Iterator[Figure]:
    """The interpreter and all its libraries included. The source is a sparse file."""
    source, message, target = (folder / name for name in ("large", "large.enc", "large.out"))
    with source.open("wb") as file:
        file.truncate(size)
    for direction, read, written in (("encrypt", source, message), ("decrypt", message, target)):

        def peak(direction: str = direction, read: Path = read, written: Path = written) -> float:
            command = [sys.executable, "-c", _PEAK, str(read), str(written), direction]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=300)  # noqa: S603
            return float(done.stdout) / 1e6

        name = f"resident memory of envelope.{direction}_file, {size >> 20:,} MiB"
        yield observe(Bound(name, peak, ceiling=_MOST_RESIDENT / 1e6, unit="MB"), turns=1)
