"""What the service tells of a key, as a KeyInfo; and what is left where a user may not ask.

A description takes four requests: the key, its versions, aliases and tags. Only the first is indispensable: whoever may
not list the others still gets the key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from kmskit.backends.alibaba import wire
from kmskit.errors import AccessDeniedError, UnsupportedError
from kmskit.types import KeyFilter, KeyInfo, KeyState, Origin, Protection

__all__ = ["Call", "aliases_of", "collect", "filters", "from_metadata", "pages", "tags_of", "versions_of"]

Call: TypeAlias = Callable[[str, dict[str, str]], dict[str, Any]]
"""An action and its parameters to the answer."""

PAGE = 100
_T = TypeVar("_T")


def collect(call: Call, metadata: Mapping[str, Any]) -> KeyInfo:
    """The KeyInfo for a KeyMetadata, with what the other requests tell."""
    key_id = str(metadata["KeyId"])
    return from_metadata(
        metadata,
        versions=_allowed(lambda: versions_of(call, key_id, metadata.get("PrimaryKeyVersion"))) or (),
        aliases=_allowed(lambda: aliases_of(call, key_id)) or (),
        tags=_allowed(lambda: tags_of(call, key_id)) or {},
    )


def from_metadata(
    metadata: Mapping[str, Any], *, versions: tuple[str, ...], aliases: tuple[str, ...], tags: Mapping[str, str]
) -> KeyInfo:
    spec = wire.spec_of(str(metadata.get("KeySpec")))
    state = wire.state_of(str(metadata.get("KeyState")))
    primary = str(metadata.get("PrimaryKeyVersion") or "") or (versions[-1] if versions else "")
    rotates = metadata.get("AutomaticRotation") in ("Enabled", "Suspended")
    return KeyInfo(
        id=str(metadata["KeyId"]),
        spec=spec,
        usage=wire.usage_of(str(metadata.get("KeyUsage")), spec),
        state=state,
        versions=versions or ((primary,) if primary else ()),
        primary_version=primary,
        created=wire.moment(metadata.get("CreationDate")) or datetime.fromtimestamp(0, UTC),
        aliases=aliases,
        description=str(metadata.get("Description") or ""),
        tags=MappingProxyType(dict(tags)),
        protection=Protection.HSM if metadata.get("ProtectionLevel") == "HSM" else Protection.SOFTWARE,
        origin=Origin.IMPORTED if metadata.get("Origin") == "EXTERNAL" else Origin.GENERATED,
        rotation_period=wire.period(metadata.get("RotationInterval")) if rotates else None,
        next_rotation=wire.moment(metadata.get("NextRotationDate")) if rotates else None,
        deletion_date=wire.moment(metadata.get("DeleteDate")) if state is KeyState.PENDING_DELETION else None,
    )


def versions_of(call: Call, key_id: str, primary: str | None = None) -> tuple[str, ...]:
    """Oldest first, whichever way the service lists them: its times are whole seconds, and say it only in part."""
    listed = list(pages(call, "ListKeyVersions", {"KeyId": key_id}, "KeyVersions", "KeyVersion"))
    if listed and listed[0]["KeyVersionId"] == primary:
        listed.reverse()
    listed.sort(key=lambda version: str(version.get("CreationDate")))
    return tuple(str(version["KeyVersionId"]) for version in listed)


def aliases_of(call: Call, key_id: str) -> tuple[str, ...]:
    listed = pages(call, "ListAliasesByKeyId", {"KeyId": key_id}, "Aliases", "Alias")
    return tuple(str(alias["AliasName"]).removeprefix(wire.ALIAS) for alias in listed)


def tags_of(call: Call, key_id: str) -> dict[str, str]:
    tags = call("ListResourceTags", {"KeyId": key_id}).get("Tags") or {}
    return {str(tag["TagKey"]): str(tag.get("TagValue") or "") for tag in tags.get("Tag") or ()}


def pages(call: Call, action: str, parameters: dict[str, str], outer: str, inner: str) -> Iterator[dict[str, Any]]:
    """The items of a list, page by page."""
    number, seen = 1, 0
    while True:
        answer = call(action, {**parameters, "PageNumber": str(number), "PageSize": str(PAGE)})
        items = (answer.get(outer) or {}).get(inner) or []
        yield from items
        seen += len(items)
        if not items or seen >= int(answer.get("TotalCount") or 0):
            return
        number += 1


def filters(wanted: KeyFilter, instance: str | None) -> list[tuple[str, str]]:
    """What of a filter the service can do; `KeyFilter.matches` does the rest, such as pairing tag names with values."""
    found: list[tuple[str, str]] = []
    if wanted.state is not None:
        found.append(("KeyState", wire.STATES[wanted.state]))
    if wanted.protection is not None:
        found.append(("ProtectionLevel", wanted.protection))
    if instance is not None:
        found.append(("DKMSInstanceId", instance))
    if wanted.tags:
        found.append(("TagKey", next(iter(wanted.tags))))
    return found


def _allowed(ask: Callable[[], _T]) -> _T | None:
    try:
        return ask()
    except AccessDeniedError:
        return None
    except UnsupportedError as error:
        if error.code is None:
            raise
        return None
