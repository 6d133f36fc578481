"""A seed: what a new cloud begins with. A JSON object; every part may be left out.

    {
      "account": "1234567890123456",
      "instances": {"software": "kst-hzz123", "hardware": "kst-hzz456"},
      "policies": {"read-orders": {"Version": "1", "Statement": […]}},
      "users": [{"name": "app", "policies": ["AliyunKMSCryptoUserAccess"],
                 "access_key_id": "LTAI…", "access_key_secret": "…"}],
      "roles": [{"name": "reader", "policies": ["read-orders"]}],
      "keys": [{"id": "…", "spec": "Aliyun_AES_256", "usage": "ENCRYPT/DECRYPT", "instance": "software",
                "aliases": ["orders"], "description": "…", "tags": {"team": "a"},
                "version": "36 characters", "material": "base64"}],
      "default_key": "main"
    }

A key's `version` and `material` are for known answers; left out, they are made. What is there already, from an earlier
start with the same data folder, stays as it is.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kmskit.emulator.account import Account
from kmskit.emulator.blob import VERSION_SIZE
from kmskit.emulator.default_keys import enable_default_key
from kmskit.emulator.keyring import new_material
from kmskit.emulator.specs import SPECS
from kmskit.emulator.state import Alias, Instance, Key, KeyVersion, Policy, Role, User
from kmskit.errors import ConfigurationError, KmsError

__all__ = ["plant", "read_seed"]

_PARTS = {"account", "instances", "policies", "users", "roles", "keys", "default_key"}
Seed = str | os.PathLike[str] | Mapping[str, Any] | None


def read_seed(seed: Seed) -> Mapping[str, Any]:
    """
    Raises:
        ConfigurationError: the file cannot be read, or is no seed. Nothing of it is repeated, since it holds secrets.
    """
    problem = "is not a JSON object"
    if seed is None:
        return {}
    value: Any = seed
    if not isinstance(seed, Mapping):
        try:
            value = json.loads(Path(seed).read_text("utf-8"))
        except OSError as error:
            value, problem = None, f"cannot be read: {error.strerror}"
        except (ValueError, RecursionError):
            value, problem = None, "is not JSON"
    if isinstance(value, Mapping):
        unknown = sorted(map(str, set(value) - _PARTS))
        if not unknown:
            return value
        problem = f"has unknown parts: {', '.join(unknown)}"
    raise ConfigurationError(f"the seed {problem}", hint=f"its parts are {', '.join(sorted(_PARTS))}")


def plant(account: Account, seed: Seed) -> None:
    """Make what is not there yet."""
    parts = read_seed(seed)
    problem = ""
    try:
        _plant(account, parts)
        return
    except KmsError as error:
        problem = str(error)
    except KeyError as error:
        problem = f"{error.args[0]} is missing or not known"
    except (TypeError, ValueError, AttributeError) as error:
        problem = f"a {type(error).__name__} in its values"
    raise ConfigurationError(f"the seed cannot be used: {problem}", hint="kmskit.emulator.seed shows its form")


def _plant(account: Account, parts: Mapping[str, Any]) -> None:
    state, ram = account.state, account.ram
    with state.lock:
        for model, instance_id in parts.get("instances", {}).items():
            if model not in ("software", "hardware"):
                raise KeyError(model)
            if not any(instance.model == model for instance in state.all(Instance)):
                state.put(Instance(id=instance_id, name=model, model=model, created=account.clock.now()))
        for name, document in parts.get("policies", {}).items():
            if state.get(Policy, name) is None:
                ram.create_policy(name, document)
        for user in parts.get("users", ()):
            if state.get(User, user["name"]) is None:
                ram.create_user(**user)
        for role in parts.get("roles", ()):
            if state.get(Role, role["name"]) is None:
                ram.create_role(**role)
        for key in parts.get("keys", ()):
            _plant_key(account, key)
        if "default_key" in parts:
            enable_default_key(account, parts["default_key"])


def _plant_key(account: Account, wanted: Mapping[str, Any]) -> None:
    state = account.state
    if "id" in wanted and state.get(Key, wanted["id"]) is not None:
        return
    aliases = [name if name.startswith("alias/") else f"alias/{name}" for name in wanted.get("aliases", ())]
    if "id" not in wanted and any(state.get(Alias, name) is not None for name in aliases):
        return
    spec = SPECS[wanted.get("spec", "Aliyun_AES_256")]
    usage = wanted.get("usage", spec.usages[0])
    model = wanted.get("instance", "")
    instance = next((each for each in state.all(Instance) if model and model in (each.model, each.id)), None)
    if usage not in spec.usages:
        raise KeyError(usage)
    if model and instance is None:
        raise ConfigurationError("a key names an instance that the seed does not make")
    now = account.clock.now()
    instance_id = "" if instance is None else instance.id
    key = Key(
        id=wanted.get("id") or account.new_key_id(instance_id),
        number=account.next_number(),
        spec=spec.name,
        usage=usage,
        state="Enabled",
        created=now,
        protection="HSM" if instance is not None and instance.model == "hardware" else "SOFTWARE",
        instance=instance_id,
        description=str(wanted.get("description", "")),
        tags={str(name): str(value) for name, value in wanted.get("tags", {}).items()},
        last_rotation=now if spec.symmetric else None,
    )
    material = wanted.get("material")
    if material is None:
        material = new_material(spec)
    elif not spec.asymmetric and len(b64decode(material, validate=True)) * 8 != spec.bits:
        raise ConfigurationError(f"the material of a {spec.name} key has another length")
    version_id = wanted.get("version") or account.new_version_id(key)
    if len(version_id) != VERSION_SIZE or not version_id.isascii():
        raise ConfigurationError(f"the id of a version has {VERSION_SIZE} characters of ASCII")
    with state.change() as change:
        change.put(KeyVersion(id=version_id, key=key.id, created=now, material=material))
        change.put(replace(key, primary=version_id))
        for name in aliases:
            change.put(Alias(id=name, key=key.id))
