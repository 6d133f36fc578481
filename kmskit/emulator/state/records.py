"""The emulator's records: frozen, plain values that survive JSON. A change makes a new record.

Times are seconds since 1970 by the emulator's clock. Specs, usages and states have the service's own names. No repr
shows key material or a secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Self

__all__ = [
    "AccessKey",
    "Alias",
    "Credentials",
    "ImportParameters",
    "Instance",
    "Key",
    "KeyVersion",
    "Policy",
    "Record",
    "Role",
    "Secret",
    "SecretValue",
    "Setting",
    "User",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One thing with an id."""

    kind: ClassVar[str]
    id: str

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        values: dict[str, Any] = json.loads(text)
        plain: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in values.items()}
        return cls(**plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key(Record):
    """
    Attributes:
        number: the order in which keys were made, which is the order of ListKeys.
        instance: the id of the KMS instance it lives in; empty for a key of the shared service.
        creator: `user`, or the name of the cloud product whose service key it is, or `default` for the default key.
        state: Enabled, Disabled, PendingDeletion or PendingImport.
        policy: the key policy as JSON; empty for the default one.
    """

    kind: ClassVar[str] = "key"
    number: int
    spec: str
    usage: str
    state: str
    created: float
    origin: str = "Aliyun_KMS"
    protection: str = "SOFTWARE"
    instance: str = ""
    creator: str = "user"
    description: str = ""
    primary: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    rotation_seconds: int | None = None
    last_rotation: float | None = None
    next_rotation: float | None = None
    delete_at: float | None = None
    protected: bool = False
    protection_note: str = ""
    material_expires: float | None = None
    material_mark: str = ""
    """Hash of imported material, by which a second import is seen to be the same."""
    policy: str = ""

    @property
    def is_default(self) -> bool:
        return self.creator == "default"

    @property
    def is_service_key(self) -> bool:
        return self.creator not in ("user", "default")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyVersion(Record):
    """`material` is the base64 of the secret, or of a PKCS#8 private key."""

    kind: ClassVar[str] = "version"
    key: str
    created: float
    material: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias(Record):
    """Its id is the whole name, `alias/` included."""

    kind: ClassVar[str] = "alias"
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportParameters(Record):
    """What GetParametersForImport gave out. Its id is a hash of the token."""

    kind: ClassVar[str] = "import"
    key: str
    algorithm: str
    expires: float
    private_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Record):
    """A RAM user. Its id is its name."""

    kind: ClassVar[str] = "user"
    number: str
    policies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey(Record):
    """A permanent access key; `user` is empty for the account's root."""

    kind: ClassVar[str] = "access-key"
    user: str
    secret: str = field(repr=False)
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Role(Record):
    """A RAM role. `trust` is its trust policy, or the name of the cloud product that may assume it."""

    kind: ClassVar[str] = "role"
    number: str
    trust: str
    policies: tuple[str, ...] = ()
    max_seconds: int = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials(Record):
    """What AssumeRole gave out: a temporary access key. `policy` is the session policy as JSON, or empty."""

    kind: ClassVar[str] = "credentials"
    role: str
    session: str
    expires: float
    secret: str = field(repr=False)
    token: str = field(repr=False)
    policy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(Record):
    """A custom RAM policy. Its id is its name."""

    kind: ClassVar[str] = "policy"
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance(Record):
    """A KMS instance.

    Attributes:
        model: `software` or `hardware`.
        public: whether its keys may also be used over the shared gateway.
    """

    kind: ClassVar[str] = "instance"
    name: str
    model: str
    created: float
    public: bool = True
    vpc: str = ""
    vswitches: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    bound: str = ""
    """BindVpcs, as UpdateKmsInstanceBindVpc was given it."""
    protected: bool = False
    protection_note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret(Record):
    """A secret of the type Generic. Its id is its name; `key` wraps its values."""

    kind: ClassVar[str] = "secret"
    key: str
    created: float
    updated: float
    instance: str = ""
    description: str = ""
    config: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    delete_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretValue(Record):
    """One version of a secret. Its id is the secret's name, a colon and the version's; `blob` is the value, sealed."""

    kind: ClassVar[str] = "secret-value"
    secret: str
    version: str
    created: float
    data_type: str
    blob: str = field(repr=False)
    stages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Record):
    """One of the emulator's own values, such as the region or how far its clock was advanced."""

    kind: ClassVar[str] = "setting"
    value: str = field(repr=False)
