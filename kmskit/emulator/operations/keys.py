"""Making keys and telling of them."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from kmskit.emulator.clock import timestamp
from kmskit.emulator.errors import ServiceError, unsupported
from kmskit.emulator.keyring import new_material
from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.documents import key_policy, matches, read_filters, read_tags
from kmskit.emulator.operations.registry import Answer, operation
from kmskit.emulator.operations.rotation import may_rotate, read_interval
from kmskit.emulator.specs import SPECS, Model, Spec
from kmskit.emulator.state import Instance, Key

__all__ = ["metadata"]

_MAX_DESCRIPTION = 8192
_FILTERS = (
    "KeyState",
    "KeySpec",
    "KeyUsage",
    "ProtectionLevel",
    "CreatorType",
    "DKMSInstanceId",
    "keyId",
    "KeyId",
    "AliasName",
    "Creator",
    "TagKey",
    "TagValue",
)


def metadata(call: Call, key: Key) -> dict[str, str]:
    rotation = "Disabled"
    if key.rotation_seconds is not None:
        rotation = "Enabled" if key.state == "Enabled" else "Suspended"
    return {
        "KeyId": key.id,
        "Arn": call.arn(f"key/{key.id}"),
        "KeyState": key.state,
        "KeySpec": key.spec,
        "KeyUsage": key.usage,
        "Origin": key.origin,
        "ProtectionLevel": key.protection,
        "Creator": key.creator if key.is_service_key else call.account.id,
        "CreationDate": timestamp(key.created),
        "Description": key.description,
        "PrimaryKeyVersion": key.primary,
        "AutomaticRotation": rotation,
        "RotationInterval": "" if key.rotation_seconds is None else f"{key.rotation_seconds}s",
        "LastRotationDate": timestamp(key.last_rotation),
        "NextRotationDate": timestamp(key.next_rotation),
        "MaterialExpireTime": timestamp(key.material_expires),
        "DeleteDate": timestamp(key.delete_at),
        "DeletionProtection": "Enabled" if key.protected else "Disabled",
        "DeletionProtectionDescription": key.protection_note,
        "DKMSInstanceId": key.instance,
    }


@operation("CreateKey", slow=True, quota=10, note="spec names and usage of keys for MACs are emulator-defined")
def create_key(call: Call) -> Answer:
    call.authorize("key")
    instance = _instance(call)
    model = cast("Model", "shared" if instance is None else instance.model)
    spec = SPECS[call.choice("KeySpec", *SPECS, default="Aliyun_AES_256")]
    if model not in spec.models:
        raise unsupported(f"A {model} instance has no {spec.name} keys.")
    usage = call.choice("KeyUsage", *spec.usages, default=spec.usages[0])
    origin = call.choice("Origin", "Aliyun_KMS", "EXTERNAL", default="Aliyun_KMS")
    if origin == "EXTERNAL" and (not spec.symmetric or model == "software"):
        raise unsupported("Material is imported for symmetric keys, and not into a software instance.")
    protection = call.choice("ProtectionLevel", "SOFTWARE", "HSM", default="SOFTWARE")
    call.choice("KeyStorageMechanism", "HsmInternal", "HsmEncryptedDatabase", default="HsmInternal")
    if instance is not None:  # The instance's kind says it, whatever was asked for.
        protection = "HSM" if model == "hardware" else "SOFTWARE"
    interval = read_interval(call, required=True) if call.boolean("EnableAutomaticRotation", False) else None
    policy = key_policy(call, call.text("Policy"), instance) if call.parameters.get("Policy") else ""
    key = Key(
        id=call.account.new_key_id("" if instance is None else instance.id),
        number=call.account.next_number(),
        spec=spec.name,
        usage=usage,
        state="Enabled" if origin == "Aliyun_KMS" else "PendingImport",
        created=call.now,
        origin=origin,
        protection=protection,
        instance="" if instance is None else instance.id,
        description=call.optional("Description", most=_MAX_DESCRIPTION),
        tags=read_tags(call, call.optional("Tags")),
        rotation_seconds=interval,
        next_rotation=None if interval is None else call.now + interval,
        policy=policy,
    )
    if interval is not None and not may_rotate(call, key):
        raise unsupported("Keys of this kind are not rotated automatically.")
    call.account.quotas.require_room_for_key(call.account)
    return {"KeyMetadata": metadata(call, _make(call, key, spec))}


def _make(call: Call, key: Key, spec: Spec) -> Key:
    """An RSA key takes its time, and nobody else has to wait meanwhile."""
    material = new_material(spec) if key.origin == "Aliyun_KMS" else ""
    with call.state.change() as change:
        version = call.account.new_version(change, key, key.created, material)
        key = replace(key, primary=version.id, last_rotation=key.created if spec.symmetric else None)
        change.put(key)
    call.keys.append(key.id)
    return key


def _instance(call: Call) -> Instance | None:
    named = call.optional("DKMSInstanceId", most=128)
    if not named:
        return None
    instance = call.state.get(Instance, named)
    if instance is None:
        raise ServiceError(403, "Forbidden.DKMSInstanceNotFound", "The specified DKMS Instance is not found.")
    return instance


@operation("DescribeKey")
def describe_key(call: Call) -> Answer:
    return {"KeyMetadata": metadata(call, call.key())}


@operation("UpdateKeyDescription", writes=True)
def update_key_description(call: Call) -> Answer:
    key = call.key(alias=False)
    if "Description" not in call.parameters:
        call.text("Description")
    call.state.put(replace(key, description=call.optional("Description", most=_MAX_DESCRIPTION)))
    return {}


@operation("ListKeys")
def list_keys(call: Call) -> Answer:
    call.authorize("key")
    filters = read_filters(call, _FILTERS)
    keys = [key for key in call.account.all_keys() if matches(call, key, filters)]
    shown, pages = call.page(len(keys))
    listed = [{"KeyId": key.id, "KeyArn": call.arn(f"key/{key.id}")} for key in keys[shown]]
    return {"Keys": {"Key": listed}, **pages}
