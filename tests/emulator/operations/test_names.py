"""Aliases and tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kmskit.emulator import Cloud
from tests.emulator.calls import Caller

Refused = Callable[..., str]


def test_an_alias_is_made_moved_listed_and_deleted(call: Caller, refused: Refused, cloud: Cloud) -> None:
    first, second = call.key()["KeyId"], call.key()["KeyId"]
    call("CreateAlias", AliasName="alias/orders/eu_1", KeyId=first)
    assert refused("CreateAlias", AliasName="alias/orders/eu_1", KeyId=second) == "AliasAlreadyExists"
    told = {
        "KeyId": first,
        "AliasName": "alias/orders/eu_1",
        "AliasArn": f"acs:kms:cn-hangzhou:{cloud.account_id}:alias/orders/eu_1",
    }
    assert call("ListAliases")["Aliases"]["Alias"] == [told]
    call("UpdateAlias", AliasName="alias/orders/eu_1", KeyId=second)
    assert call("ListAliasesByKeyId", KeyId=first)["TotalCount"] == 0
    assert call("ListAliasesByKeyId", KeyId=second)["Aliases"]["Alias"] == [{**told, "KeyId": second}]
    blob = call("Encrypt", KeyId="alias/orders/eu_1", Plaintext="aGk=")
    assert blob["KeyId"] == second
    call("DeleteAlias", AliasName="alias/orders/eu_1")
    assert refused("DeleteAlias", AliasName="alias/orders/eu_1") == "Forbidden.AliasNotFound"
    assert refused("UpdateAlias", AliasName="alias/orders/eu_1", KeyId=first) == "Forbidden.AliasNotFound"


@pytest.mark.parametrize("name", ["orders", "alias/", "alias/a b", "alias/acs/ecs", "alias/" + "x" * 250, "alias/é"])
def test_a_name_of_another_form_is_refused(call: Caller, refused: Refused, name: str) -> None:
    key = call.key()["KeyId"]
    for action in ("CreateAlias", "UpdateAlias", "DeleteAlias"):
        assert refused(action, AliasName=name, KeyId=key) == "InvalidParameter"


def tags_of(call: Caller, key: str) -> dict[str, str]:
    return {tag["TagKey"]: tag["TagValue"] for tag in call("ListResourceTags", KeyId=key)["Tags"]["Tag"]}


def test_tags_of_one_key(call: Caller, refused: Refused) -> None:
    key = call.key(Tags=[{"TagKey": "team", "TagValue": "a"}])["KeyId"]
    call("TagResource", KeyId=key, Tags=[{"TagKey": "team", "TagValue": "ä"}, {"TagKey": "stage", "TagValue": ""}])
    assert tags_of(call, key) == {"team": "ä", "stage": ""}
    call("UntagResource", KeyId=key, TagKeys=["team", "none"])
    assert tags_of(call, key) == {"stage": ""}
    many = [{"TagKey": str(number), "TagValue": "x"} for number in range(20)]
    assert refused("TagResource", KeyId=key, Tags=many) == "InvalidParameter"
    assert refused("TagResource", KeyId=key) == "MissingParameter"
    assert refused("TagResource", SecretName="s", Tags=many[:1]) == "Emulator.NotImplemented"
    assert refused("UntagResource", KeyId=key, TagKeys="x") == "InvalidParameter"


def test_tags_of_many_keys(call: Caller, refused: Refused) -> None:
    keys = [call.key()["KeyId"] for _ in range(3)]
    of: dict[str, Any] = {"RegionId": "cn-hangzhou", "ResourceType": "key"}
    named = {f"ResourceId__{number}": key for number, key in enumerate(keys, 1)}
    call("TagResources", **of, **named, Tag__1__Key="many", Tag__1__Value="1", Tag__2__Key="more", Tag__2__Value="2")
    assert tags_of(call, keys[2]) == {"many": "1", "more": "2"}
    found = call("ListTagResources", **of, Tag__1__Key="many")["TagResources"]["TagResource"]
    assert [tag["ResourceId"] for tag in found if tag["TagKey"] == "many"] == keys
    assert call("ListTagResources", **of, Tag__1__Key="many", Tag__1__Value="2")["TagResources"]["TagResource"] == []
    call("UntagResources", **of, ResourceId__1=keys[0], TagKey__1="many")
    assert tags_of(call, keys[0]) == {"more": "2"}
    call("UntagResources", **of, ResourceId__1=keys[1], All="true")
    assert tags_of(call, keys[1]) == {}
    same = {"Tag__1__Key": "a", "Tag__2__Key": "a"}
    assert refused("TagResources", **of, **named, **same) == "Duplicate.TagKey"
    assert refused("TagResources", **of, ResourceId__1="none", Tag__1__Key="a") == "InvalidResourceId.NotFound"
    assert refused("TagResources", **of, **named, Tag__1__Key="x" * 129) == "InvalidParameter.TagKey"
    assert refused("TagResources", **of, **named, Tag__1__Key="x", Tag__1__Value="x" * 257) == (
        "InvalidParameter.TagValue"
    )


def test_tags_are_listed_in_pages(call: Caller) -> None:
    tags = [{"TagKey": f"page-{number}", "TagValue": "x"} for number in range(19)]
    for _ in range(11):
        call.key(Tags=tags)
    of = {"RegionId": "cn-hangzhou", "ResourceType": "key", "Tag__1__Key": "page-0"}
    first = call("ListTagResources", **of)
    assert len(first["TagResources"]["TagResource"]) == 200
    second = call("ListTagResources", **of, NextToken=first["NextToken"])
    assert len(second["TagResources"]["TagResource"]) == 9
    assert second["NextToken"] == ""
