"""Aliases: names of keys, unique in the account and region."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kmskit.emulator.errors import ServiceError, invalid, not_found, rejected, unsupported
from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.registry import Answer, operation
from kmskit.emulator.state import Alias

__all__ = ["ALIAS"]

ALIAS = re.compile(r"alias/[A-Za-z0-9_/-]{1,249}")
_OF_PRODUCTS = "alias/acs"


def _name(call: Call) -> str:
    name = call.text("AliasName", most=255)
    if not ALIAS.fullmatch(name) or name.startswith(_OF_PRODUCTS):
        raise invalid("AliasName", "alias/ and letters, digits, _ - / are expected, and not alias/acs.")
    return name


def _told(call: Call, aliases: Iterable[Alias]) -> list[dict[str, str]]:
    return [{"KeyId": alias.key, "AliasName": alias.id, "AliasArn": call.arn(alias.id)} for alias in aliases]


@operation("CreateAlias", writes=True)
def create_alias(call: Call) -> Answer:
    name = _name(call)
    call.text("KeyId")
    call.authorize(name)
    key = call.key(alias=False)
    if key.is_service_key:
        raise unsupported("This key belongs to a cloud product.")
    if key.state == "PendingDeletion":
        call.account.require_state(key, "Enabled", "Disabled", "PendingImport")
    if call.state.get(Alias, name) is not None:
        raise ServiceError(400, "AliasAlreadyExists", "The specified Alias already exists.")
    call.account.quotas.require_room_for_alias(call.account)
    call.state.put(Alias(id=name, key=key.id))
    return {}


@operation("UpdateAlias", writes=True)
def update_alias(call: Call) -> Answer:
    name = _name(call)
    call.text("KeyId")
    call.authorize(name)
    key = call.key(alias=False)
    if call.state.get(Alias, name) is None:
        raise not_found("Alias")
    if key.is_service_key:
        raise unsupported("This key belongs to a cloud product.")
    if key.state == "PendingDeletion":
        raise rejected(key.state)
    call.state.put(Alias(id=name, key=key.id))
    return {}


@operation("DeleteAlias", writes=True)
def delete_alias(call: Call) -> Answer:
    name = _name(call)
    call.authorize(name)
    alias = call.state.get(Alias, name)
    if alias is None:
        raise not_found("Alias")
    key = call.account.current(alias.key)
    call.authorize(f"key/{alias.key}", key=key)
    with call.state.change() as change:
        change.drop(alias)
    return {}


@operation("ListAliases")
def list_aliases(call: Call) -> Answer:
    call.authorize("alias")
    for _ in call.account.all_keys():
        pass  # A key whose deletion was due takes its aliases along.
    aliases = call.state.all(Alias)
    shown, pages = call.page(len(aliases))
    return {"Aliases": {"Alias": _told(call, aliases[shown])}, **pages}


@operation("ListAliasesByKeyId")
def list_aliases_by_key_id(call: Call) -> Answer:
    key = call.key()
    aliases = [alias for alias in call.state.all(Alias) if alias.key == key.id]
    shown, pages = call.page(len(aliases))
    return {"Aliases": {"Alias": _told(call, aliases[shown])}, **pages}
