"""What the emulator remembers: records in memory, written through to one SQLite file."""

from kmskit.emulator.state.records import (
    AccessKey,
    Alias,
    Credentials,
    ImportParameters,
    Instance,
    Key,
    KeyVersion,
    Policy,
    Record,
    Role,
    Secret,
    SecretValue,
    Setting,
    User,
)
from kmskit.emulator.state.store import Change, State

__all__ = [
    "AccessKey",
    "Alias",
    "Change",
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
    "State",
    "User",
]
