"""One call of an action: its parameters, who makes it, which key it is about, and whether that is allowed."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from kmskit.emulator.clock import timestamp
from kmskit.emulator.errors import ServiceError, forbidden, invalid, missing, not_found, rejected, unsupported
from kmskit.emulator.specs import SPECS, Spec
from kmskit.emulator.state import Alias, Instance, Key, KeyVersion, State

if TYPE_CHECKING:
    from kmskit.emulator.account import Account
    from kmskit.emulator.ram.decision import Principal

__all__ = ["Call"]

_INTEGER = re.compile(r"[0-9]{1,15}")
_ARN = re.compile(r"acs:kms:([^:]*):([^:]*):(key|alias)/(.+)")
_MAX_PAGE = 100


@dataclass
class Call:
    """
    Attributes:
        parameters: decoded; no repr shows them.
        gateway: the id of the instance whose own gateway it came over; empty for the shared one.
        keys: ids of the keys it has used, for the trail.
    """

    account: Account
    principal: Principal
    action: str
    parameters: Mapping[str, str] = field(repr=False)
    gateway: str = ""
    source: str = ""
    keys: list[str] = field(default_factory=list)
    dry_run: bool = False

    @property
    def state(self) -> State:
        return self.account.state

    @cached_property
    def now(self) -> float:
        return self.account.clock.now()

    # Parameters

    def text(self, name: str, *, most: int = 1 << 20) -> str:
        """A required parameter. Empty is missing, as it is for the service."""
        value = self.parameters.get(name)
        if not value:
            raise missing(name)
        if len(value) > most:
            raise invalid(name, f"It has more than {most} characters.")
        return value

    def optional(self, name: str, default: str = "", *, most: int = 1 << 20) -> str:
        return self.text(name, most=most) if self.parameters.get(name) else default

    def choice(self, name: str, *known: str, default: str | None = None) -> str:
        value = self.text(name) if default is None else self.optional(name, default)
        if value not in known:
            raise invalid(name, f"Known are {', '.join(known)}." if known else "")
        return value

    def integer(self, name: str, least: int, most: int, default: int | None = None) -> int:
        value = self.parameters.get(name)
        if not value:
            if default is None:
                raise missing(name)
            return default
        if not _INTEGER.fullmatch(value) or not least <= int(value) <= most:
            raise invalid(name, f"A whole number from {least} to {most} is expected.")
        return int(value)

    def boolean(self, name: str, default: bool | None = None) -> bool:
        value = self.parameters.get(name, "").lower()
        if not value:
            if default is None:
                raise missing(name)
            return default
        if value not in ("true", "false"):
            raise invalid(name, "true or false is expected.")
        return value == "true"

    def binary(self, name: str) -> bytes:
        """Base64."""
        text = self.text(name)
        try:
            return b64decode(text, validate=True)
        except ValueError:
            pass
        raise invalid(name, "Base64 is expected.")

    def page(self, total: int) -> tuple[slice, dict[str, int]]:
        """Which items a list answers with, and what it says of its pages."""
        number = self.integer("PageNumber", 1, 1 << 31, 1)
        size = self.integer("PageSize", 1, _MAX_PAGE, 10)
        start = (number - 1) * size
        return slice(start, start + size), {"PageNumber": number, "PageSize": size, "TotalCount": total}

    # Permission

    def arn(self, resource: str) -> str:
        """The ARN of `key/ID`, `alias/NAME`, `key` and so on."""
        return f"acs:kms:{self.account.region}:{self.account.id}:{resource}"

    def authorize(self, resource: str, *, permission: str | None = None, key: Key | None = None) -> None:
        """
        Args:
            resource: `key/ID`, `alias/NAME`, or a kind of thing such as `key`.
            permission: without `kms:`; the action's own name if left out.

        Raises:
            ServiceError: Forbidden.NoPermission.
        """
        principal = self.principal
        if principal.kind == "Root" and not (key and key.policy):
            return  # Nothing limits it, and nothing is to be looked up.
        decision = self.account.ram.decide(
            principal,
            f"kms:{permission or self.action}",
            self.arn(resource),
            context=self.context(key),
            key=key,
        )
        if not decision:
            raise forbidden(self.arn(resource), decision.detail(principal))

    def context(self, key: Key | None = None) -> dict[str, str]:
        """What the conditions of policies can ask about."""
        context = {
            "acs:CurrentTime": timestamp(self.now),
            "acs:SecureTransport": "true",
            "acs:SourceIp": self.source,
            "acs:MFAPresent": "false",
        }
        if self.parameters.get("Algorithm"):
            context["kms:EncryptionAlgorithm"] = self.parameters["Algorithm"]
        if key is not None:
            context |= {f"kms:tag/{name}": value for name, value in key.tags.items()}
        return context

    # Keys

    def key(self, name: str = "KeyId", *, alias: bool = True, permission: str | None = None) -> Key:
        """The key that a parameter names by its id, ARN or alias, if the caller may do this with it.

        A key that is not there is told as such only to whoever may do this with a key of that name.
        """
        named = self.text(name, most=512)
        found = self._find(named, alias)
        if found is None:
            kind, known_as = _kind(named)
            self.authorize(f"{kind}/{known_as}", permission=permission)
            raise not_found("Alias" if kind == "alias" and alias else "Key")
        self.authorize(f"key/{found.id}", permission=permission, key=found)
        if self.gateway and found.instance != self.gateway:
            raise not_found("Key")
        self.keys.append(found.id)
        return found

    def _find(self, named: str, alias: bool) -> Key | None:
        arn = _ARN.fullmatch(named)
        if arn is not None:
            if (arn[1], arn[2]) != (self.account.region, self.account.id):
                return None
            named = arn[4] if arn[3] == "key" else f"alias/{arn[4]}"
        if named.startswith("alias/"):
            target = self.state.get(Alias, named) if alias else None
            if target is None:
                return None
            named = target.key
        return self.account.current(named)

    def usable_key(self, usage: str, *, name: str = "KeyId", permission: str | None = None) -> Key:
        """The key for a cryptographic call, if its kind, state and usage allow that."""
        key = self.key(name, permission=permission)
        self.require_use(key)
        if key.usage != usage:
            raise unsupported(f"The key is for {key.usage}.")
        return key

    def symmetric_key(self, name: str = "KeyId", *, permission: str | None = None) -> Key:
        key = self.key(name, permission=permission)
        self.require_use(key)
        if not self.spec(key).symmetric:
            raise unsupported("A symmetric key is needed.")
        return key

    def require_use(self, key: Key) -> None:
        """Default keys serve cloud products only; an instance may keep its keys to its own gateway."""
        if key.creator != "user" and self.principal.kind != "Service":
            raise unsupported("A default key is for server-side encryption by cloud products.")
        if key.instance and not self.gateway:
            instance = self.state.get(Instance, key.instance)
            if instance is None or not instance.public:
                raise unsupported("The instance's keys are not open to the shared gateway.")
        if key.state != "Enabled":
            raise rejected(key.state)

    def spec(self, key: Key) -> Spec:
        return SPECS[key.spec]

    def primary(self, key: Key) -> KeyVersion:
        version = self.state.get(KeyVersion, key.primary)
        if version is None:
            raise rejected(key.state)
        return version

    def version(self, key: Key, name: str = "KeyVersionId") -> KeyVersion:
        version = self.state.get(KeyVersion, self.text(name, most=64))
        if version is None or version.key != key.id:
            raise not_found("KeyVersion")
        return version

    def algorithm(self, key: Key, name: str = "Algorithm") -> str:
        algorithm = self.text(name, most=64)
        if algorithm not in self.spec(key).algorithms.get(key.usage, ()):
            raise invalid(name)
        return algorithm

    # DryRun

    def ready(self) -> None:
        """Everything was checked. A dry run ends here, in the words that the SDK's comments give it."""
        if self.dry_run:
            raise ServiceError(400, "DryRunOperationError", "The request would have succeeded, but DryRun was set.")


def _kind(named: str) -> tuple[str, str]:
    arn = _ARN.fullmatch(named)
    if arn is not None:
        return arn[3], arn[4]
    return ("alias", named.removeprefix("alias/")) if named.startswith("alias/") else ("key", named)
