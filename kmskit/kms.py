"""`Kms` and `connect`: from a URI to keys."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from itertools import islice
from types import TracebackType
from typing import Any, Self
from weakref import WeakValueDictionary

from kmskit import markup
from kmskit.algorithms import SPECS, lookup_spec, lookup_usage
from kmskit.assumed import AssumedInfo
from kmskit.backend import Backend, NewKey, Support, operation
from kmskit.capabilities import CapabilityTable
from kmskit.errors import ConfigurationError, KmsError, MissingDependencyError, UnsupportedError
from kmskit.key import Key
from kmskit.material import canonical
from kmskit.names import check_alias, check_tags, strip_alias_prefix
from kmskit.types import OPERATIONS, KeyFilter, KeyInfo, KeySpec, KeyState, KeyUsage, Operation, Protection
from kmskit.undescribed import UndescribedKey
from kmskit.uri import parse

__all__ = ["BACKENDS", "Kms", "connect", "open_backend", "open_key"]

BACKENDS = {
    "software": "kmskit.backends.software:SoftwareBackend",
    "pkcs11": "kmskit.backends.pkcs11:Pkcs11Backend",
    "alibaba": "kmskit.backends.alibaba:AlibabaBackend",
}
"""Scheme -> where its Backend is. It is imported on first use, so that no backend needs another's packages."""

_ENTRY_POINTS = "kmskit.backends"
_SHOWN_KEYS = 20
_reopened: WeakValueDictionary[str, Kms] = WeakValueDictionary()


def connect(uri: str | None = None, **options: Any) -> Kms:
    """Open a backend.

    Args:
        uri: `software:`, `software:///abs/keys.db`, `software:?memory=1`, `pkcs11:token=…?module-path=…`,
            `alibaba://REGION…`; if left out, the environment's KMSKIT_URI, else `software:`, the key store in the
            user's data folder.
        **options: what must not stand in a URI: `passphrase=` and `clock=` (software), `pin=` (pkcs11), `credential=`
            and `timeout=` (alibaba).

    Raises:
        ConfigurationError: the URI or what it points to does not work.
        AuthenticationError: wrong passphrase or PIN.
        TypeError: an option the backend does not know.
    """
    backend = open_backend(uri, **options)
    return Kms(backend.uri, backend)


def open_key(uri: str, **options: Any) -> Key:
    """Open a key by its own URI (`key.uri`).

    Raises:
        KeyNotFoundError: the backend has no such key.
        ConfigurationError, AuthenticationError: as for `connect`.
    """
    parsed = parse(uri)
    of_backend, key_id = _backend_class(parsed.scheme).split_key_uri(parsed)
    return connect(str(of_backend), **options).key(key_id)


def open_backend(uri: str | None = None, **options: Any) -> Backend:
    """The Backend behind a Kms, for those who wrap one in another; `connect` is for everyone else."""
    parsed = parse(uri if uri is not None else os.environ.get("KMSKIT_URI") or "software:")
    return _backend_class(parsed.scheme).open(parsed, **options)


class Kms:
    """Keys of one backend. A context manager; pickles as its URI and opens again on first use.

    Attributes:
        backend: the backend's name, which is its URI's scheme.
        uri: opens the same backend again, also in another process. It holds no secret.
    """

    backend: str
    uri: str
    _backend: Backend  # Set on first use of a Kms that was unpickled.

    def __init__(self, uri: str, backend: Backend | None = None) -> None:
        self.uri = uri
        self.backend = uri.partition(":")[0]
        if backend is not None:
            self._backend = backend

    def __getattr__(self, name: str) -> Any:
        if name != "_backend":
            raise AttributeError(f"a Kms has no attribute {name!r}")
        parsed = parse(self.uri)
        self._backend = _backend_class(parsed.scheme).reopen(parsed)
        return self._backend

    def __reduce__(self) -> tuple[object, ...]:
        self._backend.check_reopenable()
        return (_reopen, (self.uri,))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of files, sessions and connections. Closing twice is fine."""
        if "_backend" in self.__dict__:
            self._backend.close()

    @property
    def calls(self) -> int:
        """How many requests have left this Kms so far: what a cloud would bill, and what an HSM has to do."""
        return self._backend.calls

    # Keys

    @operation("create")
    def create_key(
        self,
        alias: str | None = None,
        spec: str | KeySpec = "AES_256",
        *,
        usage: str | KeyUsage | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        protection: str | Protection | None = None,
        exportable: bool = False,
    ) -> Key:
        """Make a key. Its material is generated by the backend and stays there.

        Args:
            alias: a name for it, unique in the backend.
            spec: what kind of key; see `KeySpec`.
            usage: what for; RSA keys sign unless this says `ENCRYPT_DECRYPT`.
            description: free text.
            tags: text pairs to find it by.
            protection: `SOFTWARE` or `HSM`; the backend's own kind if left out.
            exportable: whether `key.export_material()` and `kmskit.interop.tink` may read it, for good.

        Raises:
            AlreadyExistsError: the alias is taken; nothing was made.
            UnsupportedError: the backend does not offer this spec, usage, protection or export.
        """
        new = self._new("create", alias, spec, usage, description, tags, protection, exportable)
        return self._key(self._backend.create(new))

    @operation("import")
    def import_key(
        self,
        alias: str | None,
        material: Any,
        spec: str | KeySpec,
        *,
        usage: str | KeyUsage | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        exportable: bool = False,
    ) -> Key:
        """Make a key from material of one's own.

        Args:
            material: the secret's bytes for AES, SM4 and HMAC; a pyca/cryptography private key, PEM or DER for the
            others.
            spec: what kind of key the material is.
            alias, usage, description, tags, exportable: as for `create_key`.

        Raises:
            TypeError, ValueError: the material is not of this spec.
            AlreadyExistsError, UnsupportedError: as for `create_key`.
        """
        new = self._new("import", alias, spec, usage, description, tags, None, exportable)
        return self._key(self._backend.import_key(new, canonical(material, SPECS[new.spec])))

    @operation("describe")
    def key(self, id_or_alias: str, *, spec: str | KeySpec | None = None, version: str | None = None) -> Key:
        """The key with this id or alias.

        Args:
            id_or_alias: a key id, or an alias with or without the service's prefix `alias/`.
            spec: what is expected of it; where the user may not describe keys, what is taken for granted.
            version: the version to use where the user may not describe keys; RSA and EC keys need it then.

        Raises:
            KeyNotFoundError: there is none. Where the user may not describe keys it comes at first use.
            ValueError: it has another spec.
        """
        expected = None if spec is None else lookup_spec(spec).name
        info = self._backend.look_up(strip_alias_prefix(id_or_alias), expected, version)
        if isinstance(info, AssumedInfo):
            return UndescribedKey(self, self._backend, info)
        if expected not in (None, info.spec):
            raise ValueError(f"spec: the key is {info.spec}, not {expected}")
        return self._key(info)

    def keys(
        self,
        *,
        spec: str | KeySpec | None = None,
        usage: str | KeyUsage | None = None,
        state: str | KeyState | None = None,
        protection: str | Protection | None = None,
        tag: str | tuple[str, str] | Mapping[str, str] | None = None,
        alias: str | None = None,
    ) -> Iterator[Key]:
        """The keys to which all conditions apply, oldest first, fetched page by page as they are asked for.

        Args:
            tag: a name, a pair (name, value), or a mapping of pairs.
            alias: the alias the key has.
        """
        wanted = KeyFilter(
            spec=None if spec is None else lookup_spec(spec).name,
            usage=None if usage is None else KeyUsage(usage),
            state=None if state is None else KeyState(state),
            protection=None if protection is None else Protection(protection),
            tags=_wanted_tags(tag),
            alias=None if alias is None else strip_alias_prefix(alias),
        )
        return self._list(wanted)

    def _list(self, wanted: KeyFilter) -> Iterator[Key]:
        try:
            for info in self._backend.keys(wanted):
                yield self._key(info)
        except KmsError as error:
            error.located(self.backend, "list")
            raise

    @operation("purge")
    def purge(self) -> list[str]:
        """Destroy the keys whose scheduled deletion is due. Nothing else ever destroys one.

        Returns:
            the ids of the destroyed keys.

        Raises:
            ConfigurationError: the clock runs behind the last time this store recorded.
        """
        return self._backend.purge()

    @operation("describe")
    def key_of_version(self, version: str) -> Key | None:
        """The key that a version id belongs to, where the backend can tell."""
        key_id = self._backend.key_of_version(version)
        return None if key_id is None else self._key(self._backend.describe(key_id))

    # What is offered

    def supports(self, spec: str | KeySpec, operation: str) -> Support:
        """Whether keys of this spec offer an operation here: truthy or falsy, with `.reason` and `.max_bytes`.

        Args:
            spec: a KeySpec.
            operation: `create`, `import`, `encrypt`, `decrypt`, `reencrypt`, `sign`, `verify`, `mac`, `data_key`,
            `rotate`.

        Raises:
            UnsupportedError: no such spec.
            ValueError: no such operation.
        """
        name = lookup_spec(spec).name
        for known in OPERATIONS:
            if known == operation:
                return self._backend.supports(name, known)
        raise ValueError(f"operation: {operation!r} is not known; known are {', '.join(OPERATIONS)}")

    def capabilities(self) -> CapabilityTable:
        """All that `supports` has to say, as a table."""
        specs = list(KeySpec)
        cells: dict[tuple[KeySpec, Operation], Support] = {
            (spec, operation): self._backend.supports(spec, operation) for spec in specs for operation in OPERATIONS
        }
        return CapabilityTable(self.backend, cells)

    # Helpers

    def _new(
        self,
        wanted: Operation,
        alias: str | None,
        spec: str | KeySpec,
        usage: str | KeyUsage | None,
        description: str,
        tags: Mapping[str, str] | None,
        protection: str | Protection | None,
        exportable: bool,
    ) -> NewKey:
        row = lookup_spec(spec)
        support = self._backend.supports(row.name, wanted)
        if not support:
            raise UnsupportedError(f"{row.name} keys: {support.reason}", hint="kms.capabilities() shows what is there")
        if not isinstance(description, str):
            raise TypeError(f"description: text expected, not {type(description).__name__}")
        return NewKey(
            spec=row.name,
            usage=lookup_usage(usage, row),
            alias=None if alias is None else check_alias(alias),
            description=description,
            tags=check_tags(tags),
            protection=None if protection is None else Protection(protection),
            exportable=exportable,
        )

    def _key(self, info: KeyInfo) -> Key:
        return Key(self, info.id, self._backend, info)

    # Display

    def __repr__(self) -> str:
        return f"<Kms {self.backend} {markup.volatile_text(parse(self.uri).redacted())}>"

    def _repr_html_(self) -> str:
        title = f"Kms: {self.backend}"
        try:
            keys = list(islice(self.keys(), _SHOWN_KEYS + 1))
        except KmsError as error:
            return markup.card(title, {"keys": f"not shown: {type(error).__name__}"})
        if not keys:
            return markup.card(title, {"keys": 'none yet: kms.create_key("my-first-key")'})
        headers = ("key", "spec", "usage", "state", "versions", "tags")
        rows = [
            (key.title_html(), key.spec, key.usage, markup.badge(key.state), len(key.versions), markup.pairs(key.tags))
            for key in keys[:_SHOWN_KEYS]
        ]
        more = f"the first {_SHOWN_KEYS}; kms.keys() goes through all" if len(keys) > _SHOWN_KEYS else None
        return markup.table(headers, rows, note=more)


def _wanted_tags(tag: str | tuple[str, str] | Mapping[str, str] | None) -> dict[str, str | None]:
    if tag is None:
        return {}
    if isinstance(tag, str):
        return {tag: None}
    return dict(tag) if isinstance(tag, Mapping) else dict([tag])


def _backend_class(scheme: str) -> type[Backend]:
    """The class that serves a scheme: a built-in one, else one that an installed package brings as an entry point."""
    if scheme in BACKENDS:
        module, _, name = BACKENDS[scheme].partition(":")
        try:
            return getattr(import_module(module), name)  # type: ignore[no-any-return]
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"the {scheme} backend needs the package {error.name}", hint=f'pip install "kmskit[{scheme}]"'
            ) from error
    for entry in entry_points(group=_ENTRY_POINTS, name=scheme):
        return entry.load()  # type: ignore[no-any-return]
    others = sorted({*BACKENDS, *entry_points(group=_ENTRY_POINTS).names})
    raise ConfigurationError(f"there is no backend for {scheme}: URIs", hint=f"known schemes: {', '.join(others)}")


def _reopen(text: str) -> Kms:
    """What unpickling calls: one Kms a URI in each process, however many keys arrive. It opens on first use."""
    kms = _reopened.get(text)
    if kms is None:
        kms = _reopened[text] = Kms(text)
    return kms
