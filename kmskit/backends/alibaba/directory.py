"""The keys as the service tells of them, and what was told so far: versions, ARNs, the ids behind aliases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from kmskit import refusals
from kmskit.algorithms import SPECS
from kmskit.assumed import AssumedInfo
from kmskit.backends.alibaba import keyinfo, wire
from kmskit.backends.alibaba.asymmetric import KeyPair
from kmskit.backends.alibaba.keyinfo import Call
from kmskit.errors import AccessDeniedError, KeyNotFoundError, KmsError, UnsupportedError
from kmskit.names import is_key_id
from kmskit.types import KeyFilter, KeyInfo, KeySpec, KeyState

__all__ = ["Directory", "told"]

_ARN = "acs:kms:"


class Directory:
    """Keys of one user.

    Attributes:
        pairs: id -> RSA or EC key, as far as they were described: their calls name a version.
    """

    def __init__(self, manage: Call, crypto: Call, instance: str | None) -> None:
        self._manage = manage
        self._crypto = crypto
        self._instance = instance
        self.pairs: dict[str, KeyPair] = {}
        self._arns: dict[str, str] = {}
        self._real: dict[str, str] = {}
        self._versions: dict[str, str] = {}

    def describe(self, id_or_alias: str) -> KeyInfo:
        return self.remember(keyinfo.collect(self._manage, self.metadata(id_or_alias)))

    def metadata(self, name: str) -> dict[str, Any]:
        address = self._named(name)
        problem = None
        try:
            metadata: dict[str, Any] = self._manage("DescribeKey", {"KeyId": address})["KeyMetadata"]
        except (KeyNotFoundError, UnsupportedError) as error:
            if not isinstance(error, KeyNotFoundError) and error.code not in ("InvalidParameter", "MissingParameter"):
                raise
            problem = error
        else:
            if name.startswith(_ARN):
                self._arns[metadata["KeyId"]] = name
            return metadata
        raise told(refusals.key_not_found(name), problem)

    def _named(self, name: str) -> str:
        """A key as the service's parameter KeyId names it; KeyNotFoundError if no key can have this name."""
        if is_key_id(name) or name.startswith(_ARN):
            return self._arns.get(name, name)
        if wire.names_no_alias(name):
            raise refusals.key_not_found(name)
        return wire.alias_name(name)

    def look_up(self, id_or_alias: str, spec: KeySpec | None, version: str | None) -> KeyInfo | AssumedInfo:
        try:
            return self.describe(id_or_alias)
        except AccessDeniedError:
            reason = "this user may not describe it"
        except UnsupportedError as error:
            if error.code is None:
                raise
            reason = "this gateway does not describe keys"
        name = self._named(id_or_alias)
        if name.startswith(_ARN) and ":key/" in name:
            key_id = name.rpartition("/")[2]
            self._arns[key_id] = name
            name = key_id
        spec = spec or KeySpec.AES_256
        if SPECS[spec].asymmetric:
            versions = (version,) if version else ()
            self.pairs[name] = KeyPair(self._arns.get(name, name), SPECS[spec], versions)
        return AssumedInfo(name, spec, version, reason)

    def known_id(self, name: str) -> str:
        """The id behind an alias, as far as it is known."""
        return self._real.get(name, name)

    def id(self, name: str) -> str:
        """The id behind an alias: whoever may use a key without describing it learns the id from any answer."""
        if not name.startswith(wire.ALIAS):
            return name
        found = self._real.get(name)
        if found is None:
            pair = self.pairs.get(name)
            if pair is None:
                answer = self._crypto("GenerateDataKeyWithoutPlaintext", {"KeyId": name, "NumberOfBytes": "1"})
            else:
                answer = self._crypto("GetPublicKey", pair.parameters())
            self._real[name] = found = str(answer["KeyId"])
        return found

    def address(self, name: str) -> str:
        """What a call names the key by: the id, or the ARN if the key was opened by that, perhaps another account's."""
        return self._arns.get(name, name)

    def state(self, key_id: str) -> KeyState:
        return wire.state_of(str(self.metadata(key_id).get("KeyState")))

    def has_version(self, key_id: str, version: str | None) -> bool:
        """Whether a version is known to be this key's; False also for a user who may not ask."""
        if version is not None and version not in self._versions:
            with suppress(AccessDeniedError, UnsupportedError):
                for found in keyinfo.versions_of(self._manage, key_id):
                    self._versions[found] = key_id
        return version is not None and self._versions.get(version) == key_id

    def pair(self, key_id: str) -> KeyPair:
        """An RSA or EC key, described now if it was not before."""
        if key_id not in self.pairs:
            self.describe(key_id)
        if key_id in self.pairs:
            return self.pairs[key_id]
        raise UnsupportedError("this key has no public half", hint="RSA and EC keys have one")

    def keys(self, wanted: KeyFilter) -> Iterator[KeyInfo]:
        if wanted.alias is not None:
            with suppress(KeyNotFoundError):
                info = self.describe(wanted.alias)
                if wanted.matches(info):
                    yield info
            return
        asked = keyinfo.filters(wanted, self._instance)
        parameters = {"Filters": wire.filters_json(asked)} if asked else {}
        seen: set[str] = set()
        for key in keyinfo.pages(self._manage, "ListKeys", parameters, "Keys", "Key"):
            key_id = str(key["KeyId"])
            if key_id not in seen:  # A key that is made or deleted meanwhile shifts the pages.
                seen.add(key_id)
                with suppress(KeyNotFoundError, UnsupportedError):  # Deleted just now, or of a spec kmskit has not.
                    info = self.describe(key_id)
                    if wanted.matches(info):
                        yield info

    def key_of_version(self, version: str) -> str | None:
        """Of the keys that this object was told about. The service itself does not tell without decrypting."""
        return self._versions.get(version)

    def remember(self, info: KeyInfo) -> KeyInfo:
        """Note what the key's calls need."""
        for version in info.versions:
            self._versions[version] = info.id
        if SPECS[info.spec].asymmetric:
            versions = info.versions
            if info.primary_version and versions[-1:] != (info.primary_version,):
                versions = (*(version for version in versions if version != info.primary_version), info.primary_version)
            self.pairs[info.id] = KeyPair(self._arns.get(info.id, info.id), SPECS[info.spec], versions)
        return info


def told(error: KmsError, by: KmsError) -> KmsError:
    """An error with the code and request id of the service's."""
    error.code, error.request_id, error.recommend = by.code, by.request_id, by.recommend
    return error
