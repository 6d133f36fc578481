"""What can be measured: a Kms, and bare libraries that do the same work. Each gives jobs: calls that do it once."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import kmskit
from kmskit import envelope
from kmskit.algorithms import ALGORITHMS, lookup_spec
from kmskit.bench.measure import Work
from kmskit.types import KeyUsage
from kmskit.uri import parse

__all__ = ["FRAME", "SEALED_FRAME", "USAGES", "Frames", "KmsTarget", "Library", "pyca"]

Library: TypeAlias = Callable[[str, bytes], Mapping[str, Work]]
"""`(spec, message)` -> operation -> the call, without what the library lacks."""

_CRYPT, _SIGN = KeyUsage.ENCRYPT_DECRYPT, KeyUsage.SIGN_VERIFY
USAGES = dict.fromkeys(("encrypt", "decrypt", "generate_data_key", "envelope", "open_envelope"), _CRYPT)
USAGES |= {"sign": _SIGN, "verify": _SIGN, "mac": KeyUsage.GENERATE_VERIFY_MAC}
"""Operation -> the usage of the key that it needs."""

FRAME, SEALED_FRAME = 256 << 10, (256 << 10) + 16
_DATA_KEY = ("generate_data_key", "envelope", "open_envelope")
_NONCE = bytes(12)


class KmsTarget:
    """A Kms, with keys that it makes for this.

    Attributes:
        emulated: whether the emulator answers, on loopback.
    """

    def __init__(self, kms: kmskit.Kms) -> None:
        self.kms, uri = kms, parse(kms.uri)
        hosts = (uri.authority, uri.query.get("endpoint"), uri.query.get("instance-endpoint"))
        loopback = ("127.0.0.1", "localhost", "[::1]")
        self.emulated = uri.scheme == "alibaba" and any(host and host.startswith(loopback) for host in hosts)
        self._keys: dict[tuple[str, KeyUsage], kmskit.Key] = {}

    def key(self, spec: str = "AES_256", usage: KeyUsage | None = None) -> kmskit.Key:
        usage = usage or lookup_spec(spec).default_usage
        if (spec, usage) not in self._keys:
            self._keys[spec, usage] = self.kms.create_key(spec=spec, usage=usage, description="kmskit.bench")
        return self._keys[spec, usage]

    def job(self, operation: str, spec: str, message: bytes) -> Work:
        """A call that does the operation once.

        Raises:
            UnsupportedError, LimitExceededError: it cannot be done here; the error says why.
        """
        support = self.kms.supports(spec, "data_key" if operation in _DATA_KEY else operation)
        if not support:
            raise kmskit.UnsupportedError(support.reason)
        if support.max_bytes is not None and len(message) > support.max_bytes and operation not in _DATA_KEY:
            raise kmskit.LimitExceededError(f"takes at most {support.max_bytes:,} bytes a call")
        key = self.key(spec, USAGES[operation])
        match operation:
            case "decrypt":
                return partial(key.decrypt, key.encrypt(message))
            case "verify":
                return partial(key.verify, message, key.sign(message))
            case "generate_data_key":
                return partial(key.generate_data_key, len(message))
            case "envelope":
                return partial(envelope.encrypt, message, [key])
            case "open_envelope":
                return partial(envelope.decrypt, envelope.encrypt(message, [key]), [key])
        call: Callable[[bytes], object] = getattr(key, operation)
        return partial(call, message)

    def close(self) -> None:
        """Schedule the deletion of the keys that were made."""
        while self._keys:
            self._keys.popitem()[1].schedule_deletion(7)


class Frames:
    """AES-GCM in frames of 256 KiB under counted nonces, and no format: what an envelope does below.

    Attributes:
        seal, open: `(number, frame, out)`, for one frame.
        plain, sealed: the message, and a buffer that is filled.
    """

    def __init__(self, message: bytes) -> None:
        cipher, self.plain = AESGCM(os.urandom(32)), memoryview(message)
        self.seal: Callable[..., object] = lambda n, frame, out: cipher.encrypt_into(n.to_bytes(12), frame, None, out)
        self.open: Callable[..., object] = lambda n, frame, out: cipher.decrypt_into(n.to_bytes(12), frame, None, out)
        self._number = max(1, -(-len(message) // FRAME))
        self.sealed = memoryview(bytearray(len(message) + 16 * self._number))
        self.seal_into(self.sealed)

    def seal_into(self, out: memoryview) -> None:
        for n in range(self._number):
            frame = self.plain[n * FRAME : (n + 1) * FRAME]
            self.seal(n, frame, out[n * SEALED_FRAME : (n + 1) * SEALED_FRAME])

    def open_into(self, out: memoryview) -> None:
        for n in range(self._number):
            sealed = self.sealed[n * SEALED_FRAME : (n + 1) * SEALED_FRAME]
            self.open(n, sealed, out[n * FRAME : (n + 1) * FRAME])


def _returned(size: int, fill: Callable[[memoryview], object]) -> bytes:
    """New bytes, by the cheapest way that Python has: nothing is written or copied twice."""
    out = io.BytesIO(bytes(size))
    with out.getbuffer() as buffer:
        fill(buffer)
    return out.getvalue()


def pyca(name: str, message: bytes) -> Mapping[str, Work]:
    """Bare pyca/cryptography, which does the software backend's work below it."""
    spec = lookup_spec(name)
    private: Any
    how: tuple[Any, ...] = ()
    row = ALGORITHMS[spec.algorithms[spec.default_usage][0]]
    digest: Any = getattr(hashes, row.digest)() if row.digest else None
    if spec.family == "AES":
        cipher, frames = AESGCM(os.urandom(spec.bits // 8)), Frames(message)
        return {
            "encrypt": lambda: cipher.encrypt(os.urandom(12), message, None),
            "decrypt": partial(cipher.decrypt, _NONCE, cipher.encrypt(_NONCE, message, None), None),
            "generate_data_key": lambda: cipher.encrypt(os.urandom(12), os.urandom(len(message)), None),
            "envelope": partial(_returned, len(frames.sealed), frames.seal_into),
            "open_envelope": partial(_returned, len(message), frames.open_into),
        }
    if spec.family == "RSA":
        private, how = rsa.generate_private_key(65537, spec.bits), (padding.PSS(padding.MGF1(digest), 32), digest)
    elif spec.pyca_curve:
        private, how = ec.generate_private_key(getattr(ec, spec.pyca_curve)()), (ec.ECDSA(digest),)
    elif spec.family == "EDWARDS":
        private = ed25519.Ed25519PrivateKey.generate()
    elif spec.family == "HMAC":
        return {"mac": partial(_mac, os.urandom(spec.bits // 8), digest, message)}
    else:
        return {}
    verify = partial(private.public_key().verify, private.sign(message, *how), message, *how)
    return {"sign": partial(private.sign, message, *how), "verify": verify}


def _mac(key: bytes, digest: hashes.HashAlgorithm, message: bytes) -> bytes:
    state = hmac.HMAC(key, digest)
    state.update(message)
    return state.finalize()
