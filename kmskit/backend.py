"""What a backend implements: ids and bytes in, ids and bytes out.

`Kms` and `Key` check arguments, choose algorithms and present results; a backend only does the work. Its methods take
their arguments by position and raise the errors of `kmskit.errors`. A new backend is a subclass, one row in
`kmskit.kms` (or an entry point in the group `kmskit.backends`) and one subclass of `kmskit.testing.BackendConformance`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any, ClassVar, Concatenate, ParamSpec, Protocol, Self, TypeVar

from kmskit.algorithms import Algorithm
from kmskit.assumed import AssumedInfo
from kmskit.batch import Outcome
from kmskit.ciphertext import OVERHEAD
from kmskit.errors import ConfigurationError, InvalidCiphertextError, KmsError, LimitExceededError, UnsupportedError
from kmskit.types import Buffer, KeyFilter, KeyInfo, KeySpec, KeyUsage, Operation, Protection, Signature
from kmskit.uri import Uri, parse

__all__ = ["Backend", "Context", "NewKey", "Support", "operation"]

Context = Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Support:
    """Whether a backend offers an operation for a spec: truthy or falsy.

    Attributes:
        reason: why not, and which backend does; empty if it does.
        max_bytes: the largest input of one call; None where there is no limit.
    """

    supported: bool
    reason: str = ""
    max_bytes: int | None = None

    def __bool__(self) -> bool:
        return self.supported

    def __repr__(self) -> str:
        if not self.supported:
            return f"<Support: no, {self.reason}>"
        return "<Support: yes>" if self.max_bytes is None else f"<Support: yes, up to {self.max_bytes:,} bytes>"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What a key to be created or imported shall be; checked by `Kms`."""

    spec: KeySpec
    usage: KeyUsage
    alias: str | None = None
    description: str = ""
    tags: Mapping[str, str]
    protection: Protection | None = None
    exportable: bool = False


class Backend(ABC):
    """One kind of place where keys live. Thread-safe.

    Attributes:
        name: the backend's name, which is its URI scheme.
        uri: the URI that opens this backend again, also in another process.
        calls: how many requests have left so far.
    """

    name: ClassVar[str]
    uri: str
    calls: int = 0

    # Opening

    @classmethod
    @abstractmethod
    def open(cls, uri: Uri, /, *args: Any, **options: Any) -> Self:
        """Open what the URI names. Unknown options are a TypeError; ConfigurationError, AuthenticationError."""

    @classmethod
    def reopen(cls, uri: Uri, /) -> Self:
        """Open what was pickled, perhaps in another process: nobody is asked for a secret."""
        return cls.open(uri)

    @classmethod
    def split_key_uri(cls, uri: Uri, /) -> tuple[Uri, str]:
        """A key's URI as the backend's URI and the key's id; ConfigurationError if it names no key."""
        key_id = uri.query.get("key")
        if key_id is None:
            raise ConfigurationError("this URI names a backend, not a key", hint="a key's URI is in key.uri")
        return uri.with_query(key=None), key_id

    def key_uri(self, key_id: str, /) -> str:
        """The URI of a key of this backend."""
        return str(parse(self.uri).with_query(key=key_id))

    def check_reopenable(self) -> None:  # noqa: B027  # Most backends can be opened again and have nothing to check.
        """Raise ConfigurationError if the URI cannot open this backend again, so that it is not pickled."""

    # What is there

    @abstractmethod
    def supports(self, spec: KeySpec, operation: Operation, /) -> Support:
        """Whether this backend offers the operation for keys of this spec."""

    @abstractmethod
    def describe(self, id_or_alias: str, /) -> KeyInfo:
        """The key with this id or alias; KeyNotFoundError."""

    def look_up(self, id_or_alias: str, spec: KeySpec | None, version: str | None, /) -> KeyInfo | AssumedInfo:
        """The same for someone who wants to use the key, and perhaps may not describe it: then what they say of it."""
        return self.describe(id_or_alias)

    def known_id(self, name: str, /) -> str:
        """The id of the key that `look_up` was given a name for, as far as it is known."""
        return name

    @abstractmethod
    def keys(self, wanted: KeyFilter, /) -> Iterator[KeyInfo]:
        """The matching keys, oldest first, fetched page by page."""

    def key_of_version(self, version: str, /) -> str | None:
        """The id of the key that a version belongs to, where the backend can tell."""
        return None

    # Lifecycle: each change answers with the key as it is afterwards.

    @abstractmethod
    def create(self, new: NewKey, /) -> KeyInfo: ...

    @abstractmethod
    def import_key(self, new: NewKey, material: bytes, /) -> KeyInfo:
        """`material` is as `kmskit.material.canonical` makes it."""

    @abstractmethod
    def rotate(self, key_id: str, /) -> KeyInfo: ...

    @abstractmethod
    def set_rotation(self, key_id: str, period: timedelta | None, /) -> KeyInfo: ...

    @abstractmethod
    def enable(self, key_id: str, /) -> KeyInfo: ...

    @abstractmethod
    def disable(self, key_id: str, /) -> KeyInfo: ...

    @abstractmethod
    def schedule_deletion(self, key_id: str, days: int, /) -> KeyInfo: ...

    @abstractmethod
    def cancel_deletion(self, key_id: str, /) -> KeyInfo: ...

    @abstractmethod
    def add_alias(self, key_id: str, alias: str, /) -> KeyInfo: ...

    @abstractmethod
    def remove_alias(self, key_id: str, alias: str, /) -> KeyInfo: ...

    @abstractmethod
    def update(self, key_id: str, description: str | None, tags: Mapping[str, str] | None, /) -> KeyInfo: ...

    @abstractmethod
    def purge(self) -> list[str]:
        """Destroy the material of keys whose deletion is due; their ids."""

    def export_material(self, key_id: str, /) -> dict[str, bytes]:
        """Version -> material, oldest first, of a key that was made exportable."""
        raise UnsupportedError(
            f"{self.name} keys cannot be exported", hint="the software backend makes exportable keys"
        )

    # Use: an `algorithm` of None is the default of the key's spec and usage.

    @abstractmethod
    def encrypt(self, key_id: str, plaintext: Buffer, context: Context, algorithm: Algorithm | None, /) -> bytes: ...

    @abstractmethod
    def decrypt(self, key_id: str, ciphertext: Buffer, context: Context, algorithm: Algorithm | None, /) -> bytes: ...

    @abstractmethod
    def sign(self, key_id: str, message: Buffer, algorithm: Algorithm, /) -> Signature: ...

    @abstractmethod
    def sign_digest(self, key_id: str, digest: Buffer, algorithm: Algorithm, /) -> Signature: ...

    @abstractmethod
    def verify(self, key_id: str, message: Buffer, signature: bytes, algorithm: Algorithm, /) -> None: ...

    @abstractmethod
    def verify_digest(self, key_id: str, digest: Buffer, signature: bytes, algorithm: Algorithm, /) -> None: ...

    @abstractmethod
    def mac(self, key_id: str, message: Buffer, algorithm: Algorithm, /) -> bytes: ...

    @abstractmethod
    def verify_mac(self, key_id: str, message: Buffer, tag: Buffer, algorithm: Algorithm, /) -> None: ...

    @abstractmethod
    def public_key(self, key_id: str, version: str | None, /) -> Any:
        """The public half as a pyca/cryptography object."""

    @abstractmethod
    def generate_data_key(self, key_id: str, length: int, context: Context, /) -> tuple[bytearray, bytes]:
        """A new data key: in the clear, and wrapped."""

    def decrypt_data_key(self, key_id: str, ciphertext: Buffer, context: Context, /) -> bytearray:
        return bytearray(self.decrypt(key_id, ciphertext, context, None))

    def wrap_data_key(self, key_id: str, data_key: Buffer, context: Context, /) -> bytes:
        """What `decrypt_data_key` opens."""
        return self.encrypt(key_id, data_key, context, None)

    def wrapped_size(self, length: int, /) -> int:
        """The size of a wrapped data key; here, of the local backends' ciphertext."""
        return length + OVERHEAD

    def check_usable(self, key_id: str, /) -> None:  # noqa: B027  # A service is asked by using it.
        """Raise if it is known without a request that the key may not be used."""

    def reencrypt(
        self, key_id: str, ciphertext: Buffer, context: Context, to_key_id: str, to_context: Context, /
    ) -> bytes:
        """Decrypt, and encrypt under another key of this backend. A service that can do it inside does it there."""
        return self.encrypt(to_key_id, self.decrypt(key_id, ciphertext, context, None), to_context, None)

    def encrypt_many(
        self, key_id: str, items: Sequence[Buffer], context: Context, advance: Callable[[int], object], /
    ) -> list[Outcome]:
        return _attempt_all(self.encrypt, key_id, items, context, advance)

    def decrypt_many(
        self, key_id: str, items: Sequence[Buffer], context: Context, advance: Callable[[int], object], /
    ) -> list[Outcome]:
        return _attempt_all(self.decrypt, key_id, items, context, advance)

    @abstractmethod
    def close(self) -> None:
        """Let go of files, sessions and connections. Closing twice is fine."""


def _attempt_all(
    work: Callable[[str, Buffer, Context, Algorithm | None], bytes],
    key_id: str,
    items: Sequence[Buffer],
    context: Context,
    advance: Callable[[int], object],
) -> list[Outcome]:
    """What an item's bytes can cause is its outcome; anything else is a fault of the whole call."""
    outcomes: list[Outcome] = []
    for item in items:
        try:
            outcomes.append(Outcome(work(key_id, item, context, None)))
        except (InvalidCiphertextError, LimitExceededError) as error:
            outcomes.append(Outcome(error=error))
        advance(1)
    return outcomes


class _HasBackendName(Protocol):
    @property
    def backend(self) -> str: ...


_Self = TypeVar("_Self", bound=_HasBackendName)
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Method = Callable[Concatenate[_Self, _Arguments], _Result]


def operation(name: str) -> Callable[[_Method[_Self, _Arguments, _Result]], _Method[_Self, _Arguments, _Result]]:
    """Decorate a public method so that errors which pass through it name the backend and the operation."""

    def decorate(method: _Method[_Self, _Arguments, _Result]) -> _Method[_Self, _Arguments, _Result]:
        @wraps(method)
        def call(self: _Self, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
            try:
                return method(self, *args, **kwargs)
            except KmsError as error:
                error.located(self.backend, name)
                raise

        return call

    return decorate
