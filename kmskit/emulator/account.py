"""The account's keys in one region: the state, and what comes due in it with time."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import uuid4

from kmskit.emulator.clock import Clock
from kmskit.emulator.errors import ServiceError
from kmskit.emulator.keyring import Keyring, new_material
from kmskit.emulator.quotas import Quotas
from kmskit.emulator.ram.directory import Ram
from kmskit.emulator.specs import SPECS
from kmskit.emulator.state import Alias, Change, ImportParameters, Key, KeyVersion, Secret, SecretValue, State

__all__ = ["Account"]

_LETTERS = {"cn-hangzhou": "hzz", "cn-shanghai": "shh", "cn-beijing": "bjj", "cn-shenzhen": "szz"}
"""Only the first was seen; the others, and those of other regions, are made up."""
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


class Account:
    """
    Attributes:
        id: sixteen digits.
        region: such as cn-hangzhou.
        instance_ca: the CA of an instance's own gateway in PEM, which whoever runs the gateways knows.
    """

    def __init__(self, state: State, clock: Clock, account_id: str, region: str) -> None:
        self.state = state
        self.clock = clock
        self.id = account_id
        self.region = region
        self.ram = Ram(state, clock, account_id, region)
        self.keyring = Keyring()
        self.quotas = Quotas()
        self.instance_ca: Callable[[str], str] = lambda instance: ""
        self._number = max((key.number for key in state.all(Key)), default=0)

    def current(self, key_id: str) -> Key | None:
        """A key as it is now: with the rotation that was due, or without its expired material; None once its deletion
        was due. A service does these at their time; here whoever looks first does."""
        key = self.state.get(Key, key_id)
        if key is None:
            return None
        now = self.clock.now()
        due = (
            (key.delete_at is not None and key.delete_at <= now)
            or (key.material_expires is not None and key.material_expires <= now)
            or (key.next_rotation is not None and key.next_rotation <= now and key.state == "Enabled")
        )
        return self._settle(key_id, now) if due else key

    def all_keys(self) -> Iterator[Key]:
        """All of them, in the order in which they were made."""
        for key in self.state.all(Key):
            found = self.current(key.id)
            if found is not None:
                yield found

    def secret(self, name: str) -> Secret | None:
        """A secret as it is now; None once its deletion was due."""
        secret = self.state.get(Secret, name)
        if secret is None or secret.delete_at is None or secret.delete_at > self.clock.now():
            return secret
        with self.state.change() as change:
            self.delete_secret(change, secret)
        return None

    def secret_values(self, secret: Secret) -> list[SecretValue]:
        """Its versions, oldest first."""
        return [value for value in self.state.all(SecretValue) if value.secret == secret.id]

    def delete_secret(self, change: Change, secret: Secret) -> None:
        change.drop(secret)
        for value in self.secret_values(secret):
            change.drop(value)

    def _settle(self, key_id: str, now: float) -> Key | None:
        with self.state.change() as change:
            key = self.state.get(Key, key_id)  # Again, as another thread may have been faster.
            if key is None:
                return None
            if key.delete_at is not None and key.delete_at <= now:
                self._delete(change, key)
                return None
            if key.material_expires is not None and key.material_expires <= now:
                key = self.without_material(change, key)
            if key.next_rotation is not None and key.next_rotation <= now and key.state == "Enabled":
                key = self.rotated(change, key, at=key.next_rotation)
                # However many intervals have passed, there is one new version, as nobody has used the others.
                missed = (now - (key.last_rotation or now)) // (key.rotation_seconds or 1)
                if missed > 0 and key.rotation_seconds:
                    last = (key.last_rotation or now) + missed * key.rotation_seconds
                    key = replace(key, last_rotation=last, next_rotation=last + key.rotation_seconds)
                    change.put(key)
            return key

    def _delete(self, change: Change, key: Key) -> None:
        change.drop(key)
        for version in self.state.versions(key):
            change.drop(version)
            self.keyring.forget(version)
        for alias in self.state.all(Alias):
            if alias.key == key.id:
                change.drop(alias)
        for given in self.state.all(ImportParameters):
            if given.key == key.id:
                change.drop(given)

    def without_material(self, change: Change, key: Key) -> Key:
        """An imported key whose material is taken away, and which awaits the same material again."""
        for version in self.state.versions(key):
            change.put(replace(version, material=""))
            self.keyring.forget(version)
        state = "PendingImport" if key.state != "PendingDeletion" else key.state
        key = replace(key, state=state, material_expires=None)
        change.put(key)
        return key

    def rotated(self, change: Change, key: Key, *, at: float) -> Key:
        """The key with a new primary version."""
        version = self.new_version(change, key, at)
        due = None if key.rotation_seconds is None else at + key.rotation_seconds
        key = replace(key, primary=version.id, last_rotation=at, next_rotation=due)
        change.put(key)
        return key

    def new_version(self, change: Change, key: Key, at: float, material: str | None = None) -> KeyVersion:
        secret = new_material(SPECS[key.spec]) if material is None else material
        version = KeyVersion(id=self.new_version_id(key), key=key.id, created=at, material=secret)
        change.put(version)
        return version

    def new_key_id(self, instance: str) -> str:
        """A UUID, or as instances give them: `key-`, letters of the region, and digits and letters."""
        if not instance:
            return str(uuid4())
        letters = _LETTERS.get(self.region) or re.sub(r"[^a-z]", "", self.region)[:3].ljust(3, "x")
        return f"key-{letters}{_random(18)}"

    def new_version_id(self, key: Key) -> str:
        """36 characters, as a blob begins with it. The form for keys of instances is emulator-defined."""
        if not key.instance or len(key.id) != 25:
            return str(uuid4())
        return f"{key.id}-{_random(10)}"

    def next_number(self) -> int:
        with self.state.lock:
            self._number += 1
            return self._number

    def require_state(self, key: Key, *allowed: str) -> None:
        if key.state not in allowed:
            raise ServiceError(
                409,
                "Rejected.StateModifiedFailed",
                f"The request was rejected because the key state is {key.state}.",
            )


def _random(length: int) -> str:
    return "".join(secrets.choice(_BASE36) for _ in range(length))
