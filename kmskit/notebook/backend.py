"""`scratch`: a Kms for a notebook, which leaves nothing behind and shows the same in any store."""

from __future__ import annotations

import atexit
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, cast

from kmskit import markup
from kmskit.assumed import AssumedInfo
from kmskit.backend import Backend, NewKey
from kmskit.batch import Outcome
from kmskit.errors import KeyNotFoundError, KmsError
from kmskit.kms import Kms, open_backend
from kmskit.names import is_key_id
from kmskit.types import KeyFilter, KeyInfo, KeySpec

__all__ = ["ScratchBackend", "scratch"]

_MEMORY = "software:?memory=1"
_DELETION_DAYS = 7  # The least that any backend takes.
_Result = TypeVar("_Result")


def scratch(**options: Any) -> Kms:
    """A Kms to play with: in the backend that the environment's KMSKIT_URI names, else in memory.

    It lists only what was made through it. Its aliases carry a random prefix in the store, `nb-1a2b3c4d-orders`, that
    is dimmed and volatile where a key is displayed; a notebook says `orders` throughout. Its errors are `neutral`, so
    that their cards hold for every backend. What was made in a shared store is scheduled for deletion when the Kms is
    closed or the kernel ends.

    Args:
        **options: as for `kmskit.connect`. With a `clock` the keys are always in memory: a clock that is moved by hand
            must not let keys of others come due.

    Raises:
        ConfigurationError, AuthenticationError, TypeError: as for `kmskit.connect`.
    """
    uri = _MEMORY if "clock" in options else os.environ.get("KMSKIT_URI") or _MEMORY
    inner = open_backend(uri, **options)
    backend = ScratchBackend(inner, shared=inner.uri != _MEMORY)
    return Kms(backend.uri, cast("Backend", backend))


class Alias(str):
    """An alias as the store holds it, whose repr marks the random prefix as volatile."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(markup.alias_text(self))


class ScratchBackend:
    """Another backend, seen through a prefix; whatever is not said here is that backend's.

    Args:
        inner: the backend that does the work.
        shared: whether others use its store, so that the keys made here must be cleared away.
    """

    def __init__(self, inner: Backend, *, shared: bool) -> None:
        self._inner = inner
        self._shared = shared
        self._prefix = f"nb-{secrets.token_hex(4)}-"
        self._made: dict[str, None] = {}  # Ids in the order of creation.
        self._process = os.getpid()
        if shared:
            atexit.register(self.close)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        return partial(self._call, attribute) if callable(attribute) else attribute

    def create(self, new: NewKey, /) -> KeyInfo:
        return self._make(self._inner.create, new)

    def import_key(self, new: NewKey, material: bytes, /) -> KeyInfo:
        return self._make(self._inner.import_key, new, material)

    def _make(self, make: Callable[..., KeyInfo], new: NewKey, *material: bytes) -> KeyInfo:
        info = self._call(make, replace(new, alias=new.alias and self._stored(new.alias)), *material)
        self._made[info.id] = None
        return info

    def describe(self, id_or_alias: str, /) -> KeyInfo:
        return self._call(self._inner.describe, self._stored(id_or_alias))

    def look_up(self, id_or_alias: str, spec: KeySpec | None, version: str | None, /) -> KeyInfo | AssumedInfo:
        return self._call(self._inner.look_up, self._stored(id_or_alias), spec, version)

    def keys(self, wanted: KeyFilter, /) -> Iterator[KeyInfo]:
        """Asked for one by one, since a shared store may hold far more keys than a notebook makes."""
        wanted = replace(wanted, alias=wanted.alias and self._stored(wanted.alias))
        for key_id in list(self._made):
            with suppress(KeyNotFoundError):  # It was purged.
                info = self.describe(key_id)
                if wanted.matches(info):
                    yield info

    def add_alias(self, key_id: str, alias: str, /) -> KeyInfo:
        return self._call(self._inner.add_alias, key_id, self._stored(alias))

    def remove_alias(self, key_id: str, alias: str, /) -> KeyInfo:
        return self._call(self._inner.remove_alias, key_id, self._stored(alias))

    def purge(self) -> list[str]:
        """In a shared store none: under the true clock a notebook's keys are never due, so all that are are others'."""
        return [] if self._shared else self._inner.purge()

    def close(self) -> None:
        """Schedule what was made for deletion, as far as that is possible, and close the backend."""
        if self._shared and os.getpid() == self._process:
            atexit.unregister(self.close)
            while self._made:
                key_id, _ = self._made.popitem()
                with suppress(Exception):  # The store may be gone, the key pending: neither concerns the reader.
                    self._inner.schedule_deletion(key_id, _DELETION_DAYS)
        self._inner.close()

    def _stored(self, name: str) -> str:
        """The name in the store; ids stay, and so does an alias that was read from a key."""
        is_stored = name in self._made or is_key_id(name) or name.startswith(self._prefix)
        return name if is_stored else self._prefix + name

    def _call(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """Aliases come back marked, errors as a notebook shows them."""
        try:
            result = work(*arguments)
        except KmsError as error:
            self._adapt(error)
            raise
        if isinstance(result, list):
            for outcome in result:
                if isinstance(outcome, Outcome) and outcome.error is not None:
                    self._adapt(outcome.error)
        return replace(result, aliases=tuple(map(Alias, result.aliases))) if isinstance(result, KeyInfo) else result

    def _adapt(self, error: KmsError) -> None:
        """Name aliases as the notebook does, so that a hint can be followed there, and look alike on every backend."""
        error.neutral = True
        error.args = tuple(map(self._plain, error.args))
        error.hint = self._plain(error.hint)
        error.__notes__ = list(map(self._plain, getattr(error, "__notes__", ())))

    def _plain(self, text: Any) -> Any:
        return text.replace(self._prefix, "") if isinstance(text, str) else text
