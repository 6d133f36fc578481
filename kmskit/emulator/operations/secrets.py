"""Secrets of the type Generic: made, told of, deleted. Their values are the neighbour module's.

The key that wraps a secret for which none is named, and the answer for a secret that is to be deleted, are
emulator-defined.
"""

from __future__ import annotations

import re
from dataclasses import replace

from kmskit.emulator.blob import seal_blob
from kmskit.emulator.clock import timestamp
from kmskit.emulator.default_keys import service_key
from kmskit.emulator.errors import ServiceError, invalid, not_found, unsupported
from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.documents import read_filters, read_tags
from kmskit.emulator.operations.registry import Answer, operation
from kmskit.emulator.state import Instance, Key, KeyVersion, Secret, SecretValue

__all__ = ["CURRENT", "PREVIOUS", "found", "new_value", "usable", "version_id"]

CURRENT, PREVIOUS = "ACSCurrent", "ACSPrevious"
_NAME = re.compile(r"[A-Za-z0-9_/+=.@-]{1,64}")
_MAX_DATA = 30_720
_DAY = 86_400
_FILTERS = ("SecretName", "Description", "TagKey", "TagValue", "SecretType", "DKMSInstanceId")
_PRODUCT = "secretsmanager"


def found(call: Call) -> Secret:
    name = call.text("SecretName", most=64)
    secret = call.account.secret(name)
    call.authorize(f"secret/{name}")
    if secret is None or (call.gateway and secret.instance != call.gateway):
        raise not_found("Resource")
    return secret


def usable(call: Call) -> Secret:
    """A secret that is not about to be deleted."""
    secret = found(call)
    if secret.delete_at is not None:
        raise ServiceError(409, "Rejected.ResourceInDeleteWindow", "The resource is in its deletion window.")
    return secret


def version_id(call: Call) -> str:
    return call.text("VersionId", most=64)


def new_value(call: Call, secret: Secret, version: str, stages: tuple[str, ...]) -> SecretValue:
    """SecretData, sealed under the secret's key."""
    data = call.text("SecretData")
    if len(data.encode()) > _MAX_DATA:
        raise invalid("SecretData", f"It is larger than {_MAX_DATA} bytes.")
    data_type = call.choice("SecretDataType", "text", "binary", default="text")
    if data_type == "binary":
        call.binary("SecretData")
    key = call.account.current(secret.key)
    primary = None if key is None else call.state.get(KeyVersion, key.primary)
    if key is None or primary is None or key.state != "Enabled":
        raise ServiceError(409, "Rejected.Unavailable", "The key that wraps the secret cannot be used.")
    blob = seal_blob(primary.id, call.account.keyring.cipher(key, primary), data, secret.id.encode())
    return SecretValue(
        id=f"{secret.id}:{version}",
        secret=secret.id,
        version=version,
        created=call.now,
        data_type=data_type,
        blob=blob,
        stages=stages,
    )


@operation(
    "CreateSecret", writes=True, quota=10, partly="secret types that rotate, and policies", evidence="SDK source"
)
def create_secret(call: Call) -> Answer:
    name = call.text("SecretName")
    if not _NAME.fullmatch(name):
        raise invalid("SecretName", "1 to 64 letters, digits and _ / + = . @ - are expected.")
    call.authorize("secret")
    if call.optional("SecretType", "Generic") != "Generic" or call.boolean("EnableAutomaticRotation", False):
        raise unsupported("Only secrets of the type Generic are built.")
    if call.parameters.get("Policy"):
        raise unsupported("Policies of secrets are not built.")
    version = version_id(call)
    there = call.account.secret(name)
    if there is not None:
        code = "ResourceExist" if there.delete_at is None else "ResourceInDeleteWindow"
        raise ServiceError(409, f"Rejected.{code}", "The resource already exists.")
    instance = call.optional("DKMSInstanceId")
    if instance and call.state.get(Instance, instance) is None:
        raise ServiceError(403, "Forbidden.DKMSInstanceNotFound", "The specified DKMS Instance is not found.")
    secret = Secret(
        id=name,
        key=_wrapping_key(call, instance),
        created=call.now,
        updated=call.now,
        instance=instance,
        description=call.optional("Description", most=8192),
        config=call.optional("ExtendedConfig", most=1024),
        tags=read_tags(call, call.optional("Tags")),
    )
    with call.state.change() as change:
        change.put(new_value(call, secret, version, (CURRENT,)))
        change.put(secret)
    return {
        "Arn": call.arn(f"secret/{name}"),
        "SecretName": name,
        "VersionId": version,
        "SecretType": "Generic",
        "AutomaticRotation": "Disabled",
        "DKMSInstanceId": instance,
        "ExtendedConfig": secret.config,
        "RotationInterval": "",
        "NextRotationDate": "",
    }


def _wrapping_key(call: Call, instance: str) -> str:
    if not call.parameters.get("EncryptionKeyId"):
        return service_key(call.account, _PRODUCT)
    key: Key = call.symmetric_key("EncryptionKeyId", permission="GenerateDataKey")
    if key.instance != instance:
        raise invalid("EncryptionKeyId", "Key and secret are in the same instance.")
    return key.id


@operation("DescribeSecret", quota=450, evidence="SDK source")
def describe_secret(call: Call) -> Answer:
    secret = found(call)
    answer: Answer = {
        "Arn": call.arn(f"secret/{secret.id}"),
        "SecretName": secret.id,
        "SecretType": "Generic",
        "Description": secret.description,
        "EncryptionKeyId": secret.key,
        "DKMSInstanceId": secret.instance,
        "ExtendedConfig": secret.config,
        "CreateTime": timestamp(secret.created),
        "UpdateTime": timestamp(secret.updated),
        "PlannedDeleteTime": timestamp(secret.delete_at),
        "AutomaticRotation": "Disabled",
        "RotationInterval": "",
        "LastRotationDate": "",
        "NextRotationDate": "",
        "OwingService": "",
    }
    if call.boolean("FetchTags", False):
        answer["Tags"] = {"Tag": _tags(secret)}
    return answer


def _tags(secret: Secret) -> list[dict[str, str]]:
    return [{"TagKey": name, "TagValue": value} for name, value in secret.tags.items()]


@operation("UpdateSecret", writes=True, quota=40, evidence="SDK source")
def update_secret(call: Call) -> Answer:
    secret = usable(call)
    changed = replace(
        secret,
        description=call.optional("Description", secret.description, most=8192),
        config=call.optional("ExtendedConfig", secret.config, most=1024),
        updated=call.now,
    )
    call.state.put(changed)
    return {"SecretName": secret.id}


@operation("DeleteSecret", writes=True, quota=10, evidence="SDK source")
def delete_secret(call: Call) -> Answer:
    secret = usable(call)
    if call.boolean("ForceDeleteWithoutRecovery", False):
        with call.state.change() as change:
            call.account.delete_secret(change, secret)
        return {"SecretName": secret.id, "PlannedDeleteTime": timestamp(call.now)}
    days = call.integer("RecoveryWindowInDays", 7, 30, 30)
    due = call.now + days * _DAY
    call.state.put(replace(secret, delete_at=due))
    return {"SecretName": secret.id, "PlannedDeleteTime": timestamp(due)}


@operation("RestoreSecret", writes=True, quota=40, evidence="SDK source")
def restore_secret(call: Call) -> Answer:
    secret = found(call)
    call.state.put(replace(secret, delete_at=None))
    return {"SecretName": secret.id}


@operation("ListSecrets", quota=40, evidence="SDK source")
def list_secrets(call: Call) -> Answer:
    call.authorize("secret")
    filters = read_filters(call, _FILTERS)
    there = [call.account.secret(secret.id) for secret in call.state.all(Secret)]
    secrets = [secret for secret in there if secret is not None and _matches(secret, filters)]
    shown, pages = call.page(len(secrets))
    fetch_tags = call.boolean("FetchTags", False)
    listed = [
        {
            "SecretName": secret.id,
            "SecretType": "Generic",
            "CreateTime": timestamp(secret.created),
            "UpdateTime": timestamp(secret.updated),
            "PlannedDeleteTime": timestamp(secret.delete_at),
            "OwingService": "",
            **({"Tags": {"Tag": _tags(secret)}} if fetch_tags else {}),
        }
        for secret in secrets[shown]
    ]
    return {"SecretList": {"Secret": listed}, **pages}


def _matches(secret: Secret, filters: dict[str, set[str]]) -> bool:
    facts = {
        "SecretName": {secret.id},
        "Description": {secret.description},
        "SecretType": {"Generic"},
        "DKMSInstanceId": {secret.instance},
        "TagKey": set(secret.tags),
        "TagValue": set(secret.tags.values()),
    }
    return all(facts[name] & wanted for name, wanted in filters.items())
