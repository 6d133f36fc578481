"""The states of keys."""

from __future__ import annotations

from dataclasses import replace

from kmskit.emulator.errors import ServiceError, missing, unsupported
from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.registry import Answer, operation
from kmskit.emulator.state import Instance, Key

_DAY = 86_400


def _own_key(call: Call) -> Key:
    """A key that its owner may disable and delete: service keys belong to their cloud product."""
    key = call.key(alias=False)
    if key.is_service_key:
        raise unsupported("This key belongs to a cloud product.")
    return key


@operation("EnableKey", writes=True)
def enable_key(call: Call) -> Answer:
    key = _own_key(call)
    call.account.require_state(key, "Enabled", "Disabled")
    call.state.put(replace(key, state="Enabled"))
    return {}


@operation("DisableKey", writes=True)
def disable_key(call: Call) -> Answer:
    key = _own_key(call)
    call.account.require_state(key, "Enabled", "Disabled")
    call.state.put(replace(key, state="Disabled"))
    return {}


@operation("ScheduleKeyDeletion", writes=True, note="the code for a protected key is emulator-defined")
def schedule_key_deletion(call: Call) -> Answer:
    key = _own_key(call)
    days = call.integer("PendingWindowInDays", 7, 366)
    if key.is_default:
        raise unsupported("A default key is not deleted.")
    if key.protected:
        raise ServiceError(
            409, "Rejected.UnsupportedOperation", "The key is under deletion protection; lift that first."
        )
    call.account.require_state(key, "Enabled", "Disabled", "PendingImport")
    call.state.put(replace(key, state="PendingDeletion", delete_at=call.now + days * _DAY))
    return {}


@operation("CancelKeyDeletion", writes=True)
def cancel_key_deletion(call: Call) -> Answer:
    """The key is Enabled afterwards, even if it was Disabled before; without material it awaits that."""
    key = _own_key(call)
    call.account.require_state(key, "PendingDeletion")
    lacks = any(not version.material for version in call.state.versions(key))
    call.state.put(replace(key, state="PendingImport" if lacks else "Enabled", delete_at=None))
    return {}


@operation("SetDeletionProtection", writes=True, evidence="SDK source")
def set_deletion_protection(call: Call) -> Answer:
    """Of a key, named by its id or ARN, or of an instance."""
    enable = call.boolean("EnableDeletionProtection")
    note = call.optional("DeletionProtectionDescription", most=1024)
    if call.parameters.get("KmsInstanceId"):
        call.authorize("kmsInstance")
        instance = call.state.get(Instance, call.text("KmsInstanceId"))
        if instance is None:
            raise ServiceError(403, "Forbidden.DKMSInstanceNotFound", "The specified DKMS Instance is not found.")
        call.state.put(replace(instance, protected=enable, protection_note=note if enable else ""))
        return {}
    if not call.parameters.get("KeyId") and not call.parameters.get("ProtectedResourceArn"):
        raise missing("ProtectedResourceArn")
    key = call.key("KeyId" if call.parameters.get("KeyId") else "ProtectedResourceArn", alias=False)
    call.account.require_state(key, "Enabled", "Disabled", "PendingImport")
    call.state.put(replace(key, protected=enable, protection_note=note if enable else ""))
    return {}
