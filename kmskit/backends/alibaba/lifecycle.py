"""The life of keys in the service: made, imported, named, tagged, rotated, disabled, deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from kmskit import refusals
from kmskit.algorithms import SPECS
from kmskit.assumed import AssumedInfo
from kmskit.backend import NewKey
from kmskit.backends.alibaba import importing, keyinfo, wire
from kmskit.backends.alibaba.directory import Directory, told
from kmskit.backends.alibaba.keyinfo import Call
from kmskit.backends.alibaba.offer import InstanceKind
from kmskit.errors import AccessDeniedError, AlreadyExistsError, KeyNotFoundError, KmsError, UnsupportedError
from kmskit.types import KeyInfo, KeySpec, Protection

__all__ = ["Lifecycle"]

_DELETION_DAYS = 7


class Lifecycle:
    """Changes of keys, all over the shared gateway."""

    def __init__(self, manage: Call, directory: Directory, instance: str | None) -> None:
        self._manage = manage
        self._directory = directory
        self._instance = instance

    def create(self, new: NewKey, kind: InstanceKind | None) -> KeyInfo:
        self._check_new(new, kind)
        return self._finish(new, self._create(new))

    def import_key(self, new: NewKey, material: bytes, kind: InstanceKind | None) -> KeyInfo:
        self._check_new(new, kind)
        metadata = self._create(new, {"Origin": "EXTERNAL"})
        key_id = str(metadata["KeyId"])

        def take_in() -> None:
            answer = self._manage("GetParametersForImport", {"KeyId": key_id, **importing.WRAPPING})
            self._manage("ImportKeyMaterial", {"KeyId": key_id, **importing.wrapped(material, answer)})

        self._or_delete(key_id, take_in)
        self._finish(new, metadata)
        return self._directory.describe(key_id)

    def _check_new(self, new: NewKey, kind: InstanceKind | None) -> None:
        """What can be refused before anything is made."""
        if new.exportable:
            raise UnsupportedError(
                "the service's keys are never exportable", hint="the software backend makes exportable keys"
            )
        if kind in ("software", "hardware"):
            own = Protection.SOFTWARE if kind == "software" else Protection.HSM
            if new.protection not in (None, own):
                raise UnsupportedError(
                    f"keys of this {kind} instance have the protection {own}",
                    hint="connect to an instance of the other kind",
                )
        if new.alias is not None:
            self._check_alias(new.alias)
            with suppress(KeyNotFoundError, AccessDeniedError):
                self._directory.metadata(new.alias)
                raise refusals.alias_taken(new.alias)

    @staticmethod
    def _check_alias(alias: str) -> None:
        if reason := wire.takes_no_alias(alias):
            raise ValueError(f"alias: {reason}")

    def _create(self, new: NewKey, more: Mapping[str, str] | None = None) -> dict[str, Any]:
        parameters = {"KeySpec": str(SPECS[new.spec].alibaba), **(more or {})}
        if new.usage in wire.USAGES:
            parameters["KeyUsage"] = wire.USAGES[new.usage]
        if self._instance is not None:
            parameters["DKMSInstanceId"] = self._instance
        if new.protection is not None:
            parameters["ProtectionLevel"] = new.protection
        if new.description:
            parameters["Description"] = new.description
        if new.tags:
            parameters["Tags"] = wire.tags_json(new.tags)
        metadata: dict[str, Any] = self._manage("CreateKey", parameters)["KeyMetadata"]
        return metadata

    def _finish(self, new: NewKey, metadata: dict[str, Any]) -> KeyInfo:
        key_id, alias = str(metadata["KeyId"]), new.alias
        if alias is not None:
            self._or_delete(
                key_id, lambda: self._manage("CreateAlias", {"AliasName": wire.alias_name(alias), "KeyId": key_id})
            )
        versions: tuple[str, ...] = ()
        if not metadata.get("PrimaryKeyVersion"):
            with suppress(AccessDeniedError):
                versions = keyinfo.versions_of(self._manage, key_id)
        aliases = (alias,) if alias is not None else ()
        return self._directory.remember(
            keyinfo.from_metadata(metadata, versions=versions, aliases=aliases, tags=new.tags)
        )

    def _or_delete(self, key_id: str, step: Callable[[], object]) -> None:
        """A later step of making a key. If it fails the key is of no use to anyone, and costs money."""
        try:
            step()
        except KmsError as error:
            try:
                self._manage("ScheduleKeyDeletion", {"KeyId": key_id, "PendingWindowInDays": str(_DELETION_DAYS)})
                outcome = f"was made, and is scheduled for deletion in {_DELETION_DAYS} days"
            except KmsError:
                outcome = "was made, and could not be scheduled for deletion"
            error.args = (f"{error}; the key {key_id} {outcome}",)
            raise

    def rotate(self, key_id: str) -> KeyInfo:
        return self._change(key_id, "CreateKeyVersion")

    def set_rotation(self, key_id: str, period: timedelta | None) -> KeyInfo:
        if period is None:
            return self._change(key_id, "UpdateRotationPolicy", EnableAutomaticRotation="false")
        wanted = wire.interval(period)
        return self._change(key_id, "UpdateRotationPolicy", EnableAutomaticRotation="true", RotationInterval=wanted)

    def enable(self, key_id: str) -> KeyInfo:
        return self._change(key_id, "EnableKey")

    def disable(self, key_id: str) -> KeyInfo:
        return self._change(key_id, "DisableKey")

    def schedule_deletion(self, key_id: str, days: int) -> KeyInfo:
        return self._change(key_id, "ScheduleKeyDeletion", PendingWindowInDays=str(days))

    def cancel_deletion(self, key_id: str) -> KeyInfo:
        return self._change(key_id, "CancelKeyDeletion")

    def _change(self, key_id: str, action: str, **parameters: str) -> KeyInfo:
        self._manage(action, {"KeyId": self._directory.id(key_id), **parameters})
        return self._afterwards(key_id)

    def _afterwards(self, key_id: str) -> KeyInfo:
        """The key after a change; whoever may change keys and not describe them has done so all the same."""
        try:
            return self._directory.describe(self._directory.id(key_id))
        except AccessDeniedError as error:
            return AssumedInfo(key_id, KeySpec.AES_256, None, str(error)).as_info

    def add_alias(self, key_id: str, alias: str) -> KeyInfo:
        self._check_alias(alias)
        key_id = self._directory.id(key_id)
        taken: AlreadyExistsError | None = None
        try:
            self._manage("CreateAlias", {"AliasName": wire.alias_name(alias), "KeyId": key_id})
        except AlreadyExistsError as error:
            taken = error
        info = self._afterwards(key_id)
        if taken is not None and alias not in info.aliases:
            raise told(refusals.alias_taken(alias), taken)
        return info

    def remove_alias(self, key_id: str, alias: str) -> KeyInfo:
        key_id = self._directory.id(key_id)
        if alias not in keyinfo.aliases_of(self._manage, key_id):
            raise refusals.no_such_alias(alias)
        self._manage("DeleteAlias", {"AliasName": wire.alias_name(alias)})
        return self._afterwards(key_id)

    def update(self, key_id: str, description: str | None, tags: Mapping[str, str] | None) -> KeyInfo:
        key_id = self._directory.id(key_id)
        if description is not None:
            self._manage("UpdateKeyDescription", {"KeyId": key_id, "Description": description})
        if tags is not None:
            before = keyinfo.tags_of(self._manage, key_id)
            if gone := [name for name in before if name not in tags]:
                self._manage("UntagResource", {"KeyId": key_id, "TagKeys": wire.to_json(gone)})
            if changed := {name: value for name, value in tags.items() if before.get(name) != value}:
                self._manage("TagResource", {"KeyId": key_id, "Tags": wire.tags_json(changed)})
        return self._afterwards(key_id)
