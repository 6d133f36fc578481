"""What the service can do: one function an action, in modules by what the actions are about."""

from kmskit.emulator.operations import (
    aliases,
    asymmetric,
    data_keys,
    encryption,
    general,
    imports,
    instances,
    keys,
    lifecycle,
    mac,
    policies,
    rotation,
    secret_values,
    secrets,
    sts,
    tags,
)
from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.registry import OPERATIONS, Operation

__all__ = ["OPERATIONS", "Call", "Operation"]

# Importing a module enters its actions into the table.
_MODULES = (
    aliases,
    asymmetric,
    data_keys,
    encryption,
    general,
    imports,
    instances,
    keys,
    lifecycle,
    mac,
    policies,
    rotation,
    secret_values,
    secrets,
    sts,
    tags,
)
