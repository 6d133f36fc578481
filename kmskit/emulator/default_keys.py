"""Default keys: those of cloud products, and the one a region's owner enables. No API makes them."""

from __future__ import annotations

from dataclasses import replace

from kmskit.emulator.account import Account
from kmskit.emulator.keyring import new_material
from kmskit.emulator.operations.aliases import ALIAS
from kmskit.emulator.specs import ENCRYPT, SPECS
from kmskit.emulator.state import Alias, Key
from kmskit.errors import AlreadyExistsError

__all__ = ["enable_default_key", "service_key"]

_SPEC = SPECS["Aliyun_AES_256"]


def enable_default_key(account: Account, alias: str) -> str:
    """The id of the region's default key. There is one; a second call gives it the alias too."""
    name = alias if alias.startswith("alias/") else f"alias/{alias}"
    if not ALIAS.fullmatch(name) or name.startswith("alias/acs"):
        raise ValueError("alias: letters, digits, _ - and / expected")
    with account.state.lock:
        found = [key for key in account.all_keys() if key.is_default]
        taken = account.state.get(Alias, name)
        if taken is not None and (not found or taken.key != found[0].id):
            raise AlreadyExistsError(f"the alias {alias!r} is taken", hint="choose another one")
        return found[0].id if found and taken else _make(account, "default", name, found[0] if found else None)


def service_key(account: Account, product: str) -> str:
    """The id of a cloud product's key, such as `alias/acs/ecs`; made when the product first needs it."""
    name = f"alias/acs/{product}"
    with account.state.lock:
        alias = account.state.get(Alias, name)
        return alias.key if alias is not None else _make(account, product, name, None)


def _make(account: Account, creator: str, alias: str, key: Key | None) -> str:
    now = account.clock.now()
    with account.state.change() as change:
        if key is None:
            key = Key(
                id=account.new_key_id(""),
                number=account.next_number(),
                spec=_SPEC.name,
                usage=ENCRYPT,
                state="Enabled",
                created=now,
                creator=creator,
                last_rotation=now,
            )
            version = account.new_version(change, key, now, new_material(_SPEC))
            key = replace(key, primary=version.id)
            change.put(key)
        change.put(Alias(id=alias, key=key.id))
    return key.id
