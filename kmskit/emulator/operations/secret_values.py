"""The values of secrets: their versions, the stages that name them, and passwords to put there."""

from __future__ import annotations

import secrets as randomness
import string
from dataclasses import replace

from kmskit.emulator.blob import version_of
from kmskit.emulator.clock import timestamp
from kmskit.emulator.errors import ServiceError, invalid, missing, not_found, unsupported
from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.documents import read_list
from kmskit.emulator.operations.registry import Answer, operation
from kmskit.emulator.operations.secrets import CURRENT, PREVIOUS, found, new_value, usable, version_id
from kmskit.emulator.state import Change, KeyVersion, Secret, SecretValue

_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def _opened(call: Call, value: SecretValue) -> str:
    version, rest = version_of(value.blob)
    found_version = call.state.get(KeyVersion, version)
    key = None if found_version is None else call.account.current(found_version.key)
    if found_version is None or key is None or key.state != "Enabled":
        raise ServiceError(409, "Rejected.Unavailable", "The key that wraps the secret cannot be used.")
    return call.account.keyring.open(key, found_version, rest, value.secret.encode())


def _told(call: Call, secret: Secret, value: SecretValue) -> Answer:
    return {
        "SecretName": secret.id,
        "SecretType": "Generic",
        "SecretData": _opened(call, value),
        "SecretDataType": value.data_type,
        "VersionId": value.version,
        "VersionStages": {"VersionStage": list(value.stages)},
        "CreateTime": timestamp(value.created),
        "AutomaticRotation": "Disabled",
        "RotationInterval": "",
        "LastRotationDate": "",
        "NextRotationDate": "",
        "ExtendedConfig": secret.config if call.boolean("FetchExtendedConfig", False) else "",
    }


@operation(
    "GetSecretValue",
    evidence="SDK source",
    data_plane=True,
    dry_run=True,
    quota=450,
    partly="Recipient (attested enclaves)",
    note="kms:GetSecretValue is enough, as on the service's shared gateway",
)
def get_secret_value(call: Call) -> Answer:
    if call.parameters.get("Recipient"):
        raise unsupported("Recipient is not built.")
    secret = usable(call)
    version, stage = call.optional("VersionId"), call.optional("VersionStage", CURRENT)
    for value in call.account.secret_values(secret):
        wanted = value.version == version if version else stage in value.stages
        if wanted and (not call.parameters.get("VersionStage") or stage in value.stages):
            call.ready()
            return _told(call, secret, value)
    raise not_found("Resource")


@operation("BatchGetSecretValue", evidence="SDK source", quota=40, note="a list of names, as JSON: emulator-defined")
def batch_get_secret_value(call: Call) -> Answer:
    values, errors = [], []
    for name in read_list("SecretsList", call.text("SecretsList")):
        if not isinstance(name, str):
            raise invalid("SecretsList", "A list of names is expected.")
        one = _for_one(call, name)
        try:
            values.append(get_secret_value(one))
        except ServiceError as error:
            errors.append(
                {"SecretName": name, "Code": error.code, "Message": error.message, "HttpStatus": error.status}
            )
    return {"SecretValues": values, "Errors": errors}


def _for_one(call: Call, name: str) -> Call:
    return replace(call, action="GetSecretValue", parameters={"SecretName": name})


@operation("PutSecretValue", writes=True, quota=40, evidence="SDK source")
def put_secret_value(call: Call) -> Answer:
    """The same version with the same data again is fine, as after an answer that was lost."""
    secret, version = usable(call), version_id(call)
    stages = _stages(call)
    value = new_value(call, secret, version, stages)
    there = call.state.get(SecretValue, value.id)
    if there is not None:
        if _opened(call, there) != _opened(call, value):
            raise ServiceError(409, "Rejected.ResourceExist", "The resource already exists.")
        value = there
    else:
        with call.state.change() as change:
            for stage in stages:
                _take(call, change, secret, stage)
            change.put(value)
            change.put(replace(secret, updated=call.now))
    return {
        "SecretName": secret.id,
        "VersionId": version,
        "VersionStages": {"VersionStage": list(value.stages)},
    }


def _stages(call: Call) -> tuple[str, ...]:
    text = call.optional("VersionStages")
    stages = read_list("VersionStages", text) if text else [CURRENT]
    if not all(isinstance(stage, str) and 0 < len(stage) <= 64 for stage in stages) or PREVIOUS in stages:
        raise invalid("VersionStages", "A list of names is expected, and not ACSPrevious.")
    return tuple(dict.fromkeys(stages))


def _take(call: Call, change: Change, secret: Secret, stage: str) -> None:
    """Take a stage from the version that has it. Who was current is previous then, and no other."""
    values = {value.id: value for value in call.account.secret_values(secret)}
    losing = [value for value in values.values() if stage in value.stages]
    if stage == CURRENT and losing:
        for value in values.values():
            if PREVIOUS in value.stages:
                values[value.id] = replace(value, stages=tuple(each for each in value.stages if each != PREVIOUS))
    for value in losing:
        kept = tuple(each for each in values[value.id].stages if each != stage)
        values[value.id] = replace(value, stages=(*kept, PREVIOUS) if stage == CURRENT else kept)
    for value in values.values():
        change.put(value)


@operation("UpdateSecretVersionStage", writes=True, quota=40, evidence="SDK source")
def update_secret_version_stage(call: Call) -> Answer:
    secret, stage = usable(call), call.text("VersionStage", most=64)
    remove, move = call.optional("RemoveFromVersion"), call.optional("MoveToVersion")
    if not (remove or move):
        raise missing("MoveToVersion")
    holder = next((value for value in call.account.secret_values(secret) if stage in value.stages), None)
    if remove and (holder is None or holder.version != remove):
        raise ServiceError(400, "Rejected.InvalidRequest", "The version does not have this stage.")
    if stage == CURRENT and not move:
        raise ServiceError(400, "Rejected.UnsupportedOperation", "A secret has a current version.")
    target = call.state.get(SecretValue, f"{secret.id}:{move}") if move else None
    if move and target is None:
        raise not_found("Resource")
    if target is not None and stage in target.stages:
        return {"SecretName": secret.id}
    with call.state.change() as change:
        _take(call, change, secret, stage)
        if target is not None:
            now = change.puts[SecretValue.kind, target.id]
            stages = now.stages if isinstance(now, SecretValue) else ()
            kept = tuple(each for each in stages if not (stage == CURRENT and each == PREVIOUS))
            change.put(replace(target, stages=(*kept, stage)))
    return {"SecretName": secret.id}


@operation("ListSecretVersionIds", quota=40, evidence="SDK source")
def list_secret_version_ids(call: Call) -> Answer:
    secret = found(call)
    deprecated = call.boolean("IncludeDeprecated", False)
    values = [value for value in call.account.secret_values(secret) if value.stages or deprecated]
    shown, pages = call.page(len(values))
    listed = [
        {
            "VersionId": value.version,
            "CreateTime": timestamp(value.created),
            "VersionStages": {"VersionStage": list(value.stages)},
        }
        for value in values[shown]
    ]
    return {"SecretName": secret.id, "VersionIds": {"VersionId": listed}, **pages}


@operation("GetRandomPassword", quota=40, evidence="SDK source")
def get_random_password(call: Call) -> Answer:
    call.authorize("*")
    length = call.integer("PasswordLength", 8, 128, 32)
    excluded = set(call.optional("ExcludeCharacters", most=256))
    kinds = [
        "".join(character for character in characters if character not in excluded)
        for name, characters in (
            ("ExcludeLowercase", string.ascii_lowercase),
            ("ExcludeUppercase", string.ascii_uppercase),
            ("ExcludeNumbers", string.digits),
            ("ExcludePunctuation", _PUNCTUATION),
        )
        if not call.boolean(name, False)
    ]
    letters = "".join(kinds)
    if not letters:
        raise invalid("ExcludeCharacters", "Nothing is left to make a password of.")
    required = list(filter(None, kinds)) if call.boolean("RequireEachIncludedType", True) else []
    chosen = [randomness.choice(kind) for kind in required]
    chosen += [randomness.choice(letters) for _ in range(length - len(chosen))]
    randomness.SystemRandom().shuffle(chosen)
    return {"RandomPassword": "".join(chosen)}
