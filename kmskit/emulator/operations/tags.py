"""Tags, in the service's two families of calls: one key with JSON, or many resources with flattened lists."""

from __future__ import annotations

from dataclasses import replace

from kmskit.emulator.errors import ServiceError, invalid, missing
from kmskit.emulator.operations.call import Call
from kmskit.emulator.operations.documents import MAX_TAGS, check_tag, read_list, read_tags
from kmskit.emulator.operations.registry import Answer, operation
from kmskit.emulator.state import Key

_MAX_LIST = 50
_PAGE = 200
_PARTLY = "tags of secrets"


def _key(call: Call) -> Key:
    if not call.parameters.get("KeyId") and (call.parameters.get("SecretName") or call.parameters.get("CertificateId")):
        raise ServiceError(501, "Emulator.NotImplemented", "Only keys have tags here.")
    return call.key(alias=False)


def _tagged(call: Call, key: Key, tags: dict[str, str]) -> Key:
    merged = {**key.tags, **tags}
    if len(merged) > MAX_TAGS:
        raise invalid("Tags", f"A key has at most {MAX_TAGS}.")
    return replace(key, tags=merged)


@operation("TagResource", writes=True, partly=_PARTLY)
def tag_resource(call: Call) -> Answer:
    tags = read_tags(call, call.text("Tags"))
    call.state.put(_tagged(call, _key(call), tags))
    return {}


@operation("UntagResource", writes=True, partly=_PARTLY)
def untag_resource(call: Call) -> Answer:
    names = read_list("TagKeys", call.text("TagKeys"))
    if not all(isinstance(name, str) for name in names):
        raise invalid("TagKeys", "A list of names is expected.")
    key = _key(call)
    call.state.put(replace(key, tags={name: value for name, value in key.tags.items() if name not in names}))
    return {}


@operation("ListResourceTags", quota=300)
def list_resource_tags(call: Call) -> Answer:
    key = call.key(alias=False)
    tags = [{"KeyId": key.id, "TagKey": name, "TagValue": value} for name, value in key.tags.items()]
    return {"Tags": {"Tag": tags}}


# Many resources


def _listed(call: Call, name: str) -> list[str]:
    """`Name.1=…&Name.2=…`, without a gap."""
    found: list[str] = []
    while (value := call.parameters.get(f"{name}.{len(found) + 1}")) is not None:
        found.append(value)
        if len(found) > _MAX_LIST:
            raise invalid(name, f"There are more than {_MAX_LIST}.")
    return found


def _listed_tags(call: Call) -> dict[str, str | None]:
    tags: dict[str, str | None] = {}
    number = 1
    while (name := call.parameters.get(f"Tag.{number}.Key")) is not None:
        if name in tags:
            raise ServiceError(400, "Duplicate.TagKey", "A TagKey is given twice.")
        if len(tags) >= _MAX_LIST:
            raise invalid("Tag", f"There are more than {_MAX_LIST}.")
        tags[name] = call.parameters.get(f"Tag.{number}.Value")
        number += 1
    return tags


def _resources(call: Call) -> list[Key]:
    call.text("RegionId")
    if call.choice("ResourceType", "key", "secret") == "secret":
        raise ServiceError(501, "Emulator.NotImplemented", "Only keys have tags here.")
    named = _listed(call, "ResourceId")
    if not named:
        raise missing("ResourceId")
    keys = []
    for resource in named:
        key = call.account.current(resource)
        call.authorize(f"key/{resource}", key=key)
        if key is None:
            raise ServiceError(404, "InvalidResourceId.NotFound", "The specified ResourceId is not found.")
        call.keys.append(key.id)
        keys.append(key)
    return keys


@operation("TagResources", writes=True, partly=_PARTLY)
def tag_resources(call: Call) -> Answer:
    given = _listed_tags(call)
    if not given:
        raise missing("Tag")
    tags = {name: value or "" for name, value in given.items()}
    for name, value in tags.items():
        if not name or len(name) > 128:
            raise ServiceError(400, "InvalidParameter.TagKey", "The specified TagKey is not valid.")
        if len(value) > 256:
            raise ServiceError(400, "InvalidParameter.TagValue", "The specified TagValue is not valid.")
        check_tag(name, value, "Tag")
    keys = _resources(call)
    with call.state.change() as change:
        for key in keys:
            change.put(_tagged(call, key, tags))
    return {}


@operation("UntagResources", writes=True, partly=_PARTLY)
def untag_resources(call: Call) -> Answer:
    names = _listed(call, "TagKey")
    everything = call.boolean("All", False) and not names
    with call.state.change() as change:
        for key in _resources(call):
            kept = {} if everything else {name: value for name, value in key.tags.items() if name not in names}
            change.put(replace(key, tags=kept))
    return {}


@operation("ListTagResources", partly=_PARTLY, note="NextToken is the number of the next tag: emulator-defined")
def list_tag_resources(call: Call) -> Answer:
    call.text("RegionId")
    if call.choice("ResourceType", "key", "secret") == "secret":
        raise ServiceError(501, "Emulator.NotImplemented", "Only keys have tags here.")
    start = call.integer("NextToken", 0, 1 << 31, 0)
    wanted = _listed_tags(call)
    if _listed(call, "ResourceId"):
        keys = _resources(call)
    else:
        call.authorize("key")
        keys = list(call.account.all_keys())
    found = [
        {"ResourceId": key.id, "ResourceType": "key", "TagKey": name, "TagValue": value}
        for key in keys
        if all(name in key.tags and value in (None, "", key.tags[name]) for name, value in wanted.items())
        for name, value in key.tags.items()
    ]
    more = str(start + _PAGE) if len(found) > start + _PAGE else ""
    return {"TagResources": {"TagResource": found[start : start + _PAGE]}, "NextToken": more}
