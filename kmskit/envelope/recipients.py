"""Who can open an envelope: keys of a backend, and raw keys for a safe or for other AWS Encryption SDK programs.

A recipient wraps the message's data key. Reading tries those whose provider and info match a key it was given.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping
from struct import Struct
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding as asymmetric_padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kmskit.context import canonical
from kmskit.envelope.header import MAX_RECIPIENTS, Recipient
from kmskit.envelope.suite import DATA_KEY_SIZE
from kmskit.errors import InvalidCiphertextError, LimitExceededError, UnsupportedError
from kmskit.key import Key
from kmskit.names import check_bytes

__all__ = ["PROVIDER", "EnvelopeKey", "KeyRecipient", "RawAesKey", "RawRsaKey", "Wrapper", "title", "wrappers"]

PROVIDER = "kmskit"
"""The provider id of keys of a backend."""
_RESERVED = (PROVIDER, "aws-kms")
_AES_INFO = Struct(">II12s")  # tag bits | iv length | iv
_AES_LENGTHS = _AES_INFO.pack(128, 12, b"")[:8]
_MIN_RSA_BITS = 2048
_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "OAEP_SHA_1": hashes.SHA1,
    "OAEP_SHA_256": hashes.SHA256,
    "OAEP_SHA_384": hashes.SHA384,
    "OAEP_SHA_512": hashes.SHA512,
}


class Wrapper(Protocol):
    """What wraps and unwraps data keys."""

    @property
    def identity(self) -> Hashable:
        """Equal for two wrappers only if they are the same key through the same Kms: a cache tells them apart by it."""

    def generate(self, context: Mapping[str, str]) -> tuple[bytearray, Recipient]:
        """A new data key, and how it stands in the header."""

    def wrap(self, data_key: bytearray, context: Mapping[str, str]) -> Recipient: ...

    def matches(self, recipient: Recipient) -> bool: ...

    def unwrap(self, recipient: Recipient, context: Mapping[str, str]) -> bytes | bytearray: ...

    def placeholder(self) -> Recipient:
        """A recipient of the size that `wrap` will have."""

    def check_usable(self) -> None:
        """Raise if it is known, without a request, that the key may not be used."""


class KeyRecipient:
    """A Key of any backend. Provider id `kmskit`; provider info `scheme:key id`."""

    def __init__(self, key: Key) -> None:
        self.key = key

    @property
    def _info(self) -> bytes:
        # Asked anew each time: of a key that may not be described the id is known only after its first use.
        return f"{self.key.kms.backend}:{self.key.id}".encode()

    @property
    def identity(self) -> Hashable:
        return (self.key.kms, self.key.id)

    def generate(self, context: Mapping[str, str]) -> tuple[bytearray, Recipient]:
        data_key = self.key.generate_data_key(DATA_KEY_SIZE, context=context)
        return data_key.plaintext, Recipient(PROVIDER, self._info, data_key.ciphertext)

    def wrap(self, data_key: bytearray, context: Mapping[str, str]) -> Recipient:
        return Recipient(PROVIDER, self._info, self.key.wrap_data_key(data_key, context=context))

    def matches(self, recipient: Recipient) -> bool:
        return recipient.provider == PROVIDER and recipient.info == self._info

    def unwrap(self, recipient: Recipient, context: Mapping[str, str]) -> bytearray:
        return self.key.decrypt_data_key(recipient.wrapped, context=context).plaintext

    def placeholder(self) -> Recipient:
        return Recipient(PROVIDER, self._info, bytes(self.key.wrapped_size(DATA_KEY_SIZE)))

    def check_usable(self) -> None:
        self.key.check_usable()


class _RawKey(ABC):
    """What raw keys share: a name that others know them by, and no service behind them."""

    def __init__(self, namespace: str, name: str) -> None:
        for argument, value in (("namespace", namespace), ("name", name)):
            if not isinstance(value, str):
                raise TypeError(f"{argument}: text expected, not {type(value).__name__}")
        if not namespace or namespace in _RESERVED:
            raise ValueError(f"namespace: any text but {', '.join(_RESERVED)} and nothing")
        self.namespace = namespace
        self.name = name

    @property
    def identity(self) -> Hashable:
        return self

    @abstractmethod
    def wrap(self, data_key: bytearray, context: Mapping[str, str]) -> Recipient: ...

    def generate(self, context: Mapping[str, str]) -> tuple[bytearray, Recipient]:
        data_key = bytearray(os.urandom(DATA_KEY_SIZE))
        return data_key, self.wrap(data_key, context)

    def check_usable(self) -> None:  # noqa: B027  # A raw key has no state that could forbid it.
        """Never refuses."""

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError(f"a {type(self).__name__} is not pickled, because it holds a key in the clear")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.namespace!r} {self.name!r}>"


class RawAesKey(_RawKey):
    """An AES key of one's own, as the AWS Encryption SDK's raw AES keyring has it.

    Wraps with AES-GCM under the context. Provider info: name | tag bits u32 | iv length u32 | iv 12.

    Args:
        namespace: the provider id that both sides agree on.
        name: which key of that namespace.
        material: 16, 24 or 32 bytes. Use it for at most 2**32 messages in all, since each draws a random iv
            (NIST SP 800-38D, 8.3).
    """

    def __init__(self, namespace: str, name: str, material: bytes | bytearray | memoryview) -> None:
        super().__init__(namespace, name)
        secret = bytes(check_bytes("material", material))
        if len(secret) not in (16, 24, 32):
            raise ValueError(f"material: 16, 24 or 32 bytes expected, not {len(secret)}")
        self._aead = AESGCM(secret)
        self._prefix = name.encode()

    def wrap(self, data_key: bytearray, context: Mapping[str, str]) -> Recipient:
        iv = os.urandom(12)
        info = self._prefix + _AES_INFO.pack(128, 12, iv)
        return Recipient(self.namespace, info, self._aead.encrypt(iv, data_key, canonical(context)))

    def matches(self, recipient: Recipient) -> bool:
        head, tail = recipient.info[: -_AES_INFO.size], recipient.info[-_AES_INFO.size :]
        return recipient.provider == self.namespace and head == self._prefix and tail[:8] == _AES_LENGTHS

    def unwrap(self, recipient: Recipient, context: Mapping[str, str]) -> bytes:
        try:
            return self._aead.decrypt(recipient.info[-12:], recipient.wrapped, canonical(context))
        except InvalidTag:
            pass
        raise _unwrapped()

    def placeholder(self) -> Recipient:
        return Recipient(self.namespace, self._prefix + bytes(_AES_INFO.size), bytes(DATA_KEY_SIZE + 16))


class RawRsaKey(_RawKey):
    """An RSA key of one's own, as the AWS Encryption SDK's raw RSA keyring has it. OAEP does not bind the context.

    Args:
        namespace, name: as for RawAesKey; the provider info is the name.
        key: a pyca/cryptography public or private key of at least 2,048 bits, or PEM; only a private one opens.
        padding: `OAEP_SHA_1`, `OAEP_SHA_256`, `OAEP_SHA_384` or `OAEP_SHA_512`.
    """

    def __init__(self, namespace: str, name: str, key: Any, padding: str = "OAEP_SHA_256") -> None:
        super().__init__(namespace, name)
        if padding not in _HASHES:
            raise ValueError(f"padding: {', '.join(_HASHES)} are possible, not {padding!r}")
        if isinstance(key, str | bytes):
            key = _load_pem(key.encode() if isinstance(key, str) else key)
        self._private = key if isinstance(key, rsa.RSAPrivateKey) else None
        self._public = key.public_key() if isinstance(key, rsa.RSAPrivateKey) else key
        if not isinstance(self._public, rsa.RSAPublicKey):
            raise TypeError(f"key: an RSA key expected, not {type(key).__name__}")
        if self._public.key_size < _MIN_RSA_BITS:
            raise ValueError(f"key: at least {_MIN_RSA_BITS:,} bits expected, not {self._public.key_size:,}")
        digest: hashes.HashAlgorithm = _HASHES[padding]()
        self._padding = asymmetric_padding.OAEP(asymmetric_padding.MGF1(digest), digest, None)

    def wrap(self, data_key: bytearray, context: Mapping[str, str]) -> Recipient:
        return Recipient(self.namespace, self.name.encode(), self._public.encrypt(bytes(data_key), self._padding))

    def matches(self, recipient: Recipient) -> bool:
        return recipient.provider == self.namespace and recipient.info == self.name.encode()

    def unwrap(self, recipient: Recipient, context: Mapping[str, str]) -> bytes:
        if self._private is None:
            raise UnsupportedError("only the public half of this RSA key is here", hint="the private one opens")
        try:
            return self._private.decrypt(recipient.wrapped, self._padding)
        except ValueError:
            pass
        raise _unwrapped()

    def placeholder(self) -> Recipient:
        return Recipient(self.namespace, self.name.encode(), bytes(self._public.key_size // 8))


EnvelopeKey = Key | RawAesKey | RawRsaKey


def wrappers(keys: Iterable[EnvelopeKey], argument: str = "keys") -> list[Wrapper]:
    """Keys as they are given, as wrappers.

    Raises:
        TypeError: something else than a list of keys.
        ValueError: none.
        LimitExceededError: more than 8.
    """
    if isinstance(keys, EnvelopeKey | str) or not isinstance(keys, Iterable):
        raise TypeError(f"{argument}: a list of keys expected, not {type(keys).__name__}")
    found: list[Wrapper] = []
    for key in keys:
        if isinstance(key, Key):
            found.append(KeyRecipient(key))
        elif isinstance(key, RawAesKey | RawRsaKey):
            found.append(key)
        else:
            raise TypeError(f"{argument}: Key, RawAesKey or RawRsaKey expected, not {type(key).__name__}")
    if not found:
        raise ValueError(f"{argument}: at least one key expected")
    if len(found) > MAX_RECIPIENTS:
        raise LimitExceededError(f"{argument}: at most {MAX_RECIPIENTS} recipients, not {len(found)}")
    return found


def title(recipient: Recipient) -> str:
    """How a recipient is called, as text: `kmskit software:…`, `safe 2026`. It is what the header says, no more."""
    info = recipient.info
    if info[-_AES_INFO.size :][:8] == _AES_LENGTHS:
        info = info[: -_AES_INFO.size]
    return f"{recipient.provider} {info.decode(errors='backslashreplace')}"


def _unwrapped() -> InvalidCiphertextError:
    return InvalidCiphertextError(
        "the wrapped data key does not open under this key and context", hint="another key of the same name, or changed"
    )


def _load_pem(data: bytes) -> Any:
    load = (
        (lambda: serialization.load_pem_private_key(data, None))
        if b"PRIVATE KEY" in data
        else (lambda: serialization.load_pem_public_key(data))
    )
    try:
        return load()
    except (ValueError, TypeError):
        pass
    raise ValueError("key: no RSA key in PEM could be read; an encrypted one must be decrypted first")
