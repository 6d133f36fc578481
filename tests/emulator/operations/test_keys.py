"""Keys: making, describing, listing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kmskit.emulator import Cloud
from tests.emulator.calls import Caller

Refused = Callable[..., str]


def test_a_key_has_the_documented_metadata(call: Caller, cloud: Cloud) -> None:
    made = call.key(
        Description="orders", Tags=[{"TagKey": "team", "TagValue": "a"}], DKMSInstanceId=cloud.instances["software"].id
    )
    told = call("DescribeKey", KeyId=made["KeyId"])["KeyMetadata"]
    assert told == made
    assert made["KeyId"].startswith("key-hzz")
    assert len(made["PrimaryKeyVersion"]) == 36
    assert made["Arn"] == f"acs:kms:cn-hangzhou:{cloud.account_id}:key/{made['KeyId']}"
    expected = {
        "KeyState": "Enabled",
        "KeySpec": "Aliyun_AES_256",
        "KeyUsage": "ENCRYPT/DECRYPT",
        "Origin": "Aliyun_KMS",
        "ProtectionLevel": "SOFTWARE",
        "Creator": cloud.account_id,
        "Description": "orders",
        "AutomaticRotation": "Disabled",
        "DeleteDate": "",
        "DeletionProtection": "Disabled",
    }
    assert {name: made[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("spec", "usage"),
    [
        ("Aliyun_AES_256", "ENCRYPT/DECRYPT"),
        ("Aliyun_SM4", "ENCRYPT/DECRYPT"),
        ("RSA_2048", "SIGN/VERIFY"),
        ("EC_P256", "SIGN/VERIFY"),
        ("EC_P256K", "SIGN/VERIFY"),
    ],
)
def test_the_default_usage_signs_where_the_spec_can(call: Caller, spec: str, usage: str) -> None:
    assert call.key(KeySpec=spec)["KeyUsage"] == usage


@pytest.mark.parametrize(
    ("model", "has", "lacks"),
    [
        ("software", ["Aliyun_AES_256", "EC_P256", "HMAC_256"], ["Aliyun_AES_128", "Aliyun_AES_192", "Aliyun_SM4"]),
        ("hardware", ["Aliyun_AES_256", "Aliyun_AES_192", "Aliyun_AES_128", "Aliyun_SM4", "EC_P256"], ["HMAC_256"]),
    ],
)
def test_the_kind_of_instance_decides_what_it_has(
    call: Caller, refused: Refused, cloud: Cloud, model: str, has: list[str], lacks: list[str]
) -> None:
    instance = cloud.instances[model].id
    for spec in has:
        made = call.key(KeySpec=spec, DKMSInstanceId=instance)
        assert made["ProtectionLevel"] == ("HSM" if model == "hardware" else "SOFTWARE")
    for spec in lacks:
        assert refused("CreateKey", KeySpec=spec, DKMSInstanceId=instance) == "UnsupportedOperation"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"KeySpec": "AES_256"}, "InvalidParameter"),
        ({"KeySpec": "EC_SM2"}, "InvalidParameter"),
        ({"KeyUsage": "SIGN/VERIFY"}, "InvalidParameter"),
        ({"KeySpec": "EC_P256", "KeyUsage": "ENCRYPT/DECRYPT"}, "InvalidParameter"),
        ({"Origin": "elsewhere"}, "InvalidParameter"),
        ({"Origin": "EXTERNAL", "KeySpec": "RSA_2048"}, "UnsupportedOperation"),
        ({"DKMSInstanceId": "kst-none"}, "Forbidden.DKMSInstanceNotFound"),
        ({"Description": "x" * 8193}, "InvalidParameter"),
        ({"EnableAutomaticRotation": "true"}, "MissingParameter"),
        ({"EnableAutomaticRotation": "true", "RotationInterval": "6d"}, "InvalidParameter"),
        ({"EnableAutomaticRotation": "true", "RotationInterval": "731d"}, "InvalidParameter"),
        ({"EnableAutomaticRotation": "perhaps"}, "InvalidParameter"),
        ({"EnableAutomaticRotation": "true", "RotationInterval": "7d", "KeySpec": "EC_P256"}, "UnsupportedOperation"),
        ({"Tags": "nonsense"}, "InvalidParameter"),
        ({"Tags": [{"TagKey": ""}]}, "InvalidParameter"),
        ({"Tags": [{"TagKey": "a", "TagValue": "1"}, {"TagKey": "a", "TagValue": "2"}]}, "Duplicate.TagKey"),
        ({"Tags": [{"TagKey": str(number), "TagValue": ""} for number in range(21)]}, "InvalidParameter"),
        ({"Policy": '{"Version":"1","Statement":[]}'}, "Forbidden.KeyPolicyUnSupported"),
    ],
)
def test_what_does_not_fit_is_refused(refused: Refused, parameters: dict[str, Any], code: str) -> None:
    assert refused("CreateKey", **parameters) == code


def test_a_key_is_named_by_id_arn_and_alias(call: Caller, refused: Refused) -> None:
    key = call.key()
    call("CreateAlias", AliasName="alias/named", KeyId=key["KeyId"])
    arn = key["Arn"]
    for name in (key["KeyId"], arn, "alias/named", arn.replace(f"key/{key['KeyId']}", "alias/named")):
        assert call("DescribeKey", KeyId=name)["KeyMetadata"]["KeyId"] == key["KeyId"]
    assert refused("DescribeKey") == "MissingParameter"
    assert refused("DescribeKey", KeyId="nonsense") == "Forbidden.KeyNotFound"
    assert refused("DescribeKey", KeyId="alias/nonsense") == "Forbidden.AliasNotFound"
    assert refused("DescribeKey", KeyId=arn.replace("cn-hangzhou", "cn-beijing")) == "Forbidden.KeyNotFound"
    assert refused("EnableKey", KeyId="alias/named") == "Forbidden.KeyNotFound"


def test_keys_are_listed_in_pages_and_by_filters(call: Caller, refused: Refused, cloud: Cloud) -> None:
    mark = [{"TagKey": "listing", "TagValue": "a"}]
    made = [call.key(Tags=mark)["KeyId"] for _ in range(3)]
    made.append(call.key(Tags=mark, KeySpec="EC_P256")["KeyId"])
    made.append(call.key(Tags=mark, DKMSInstanceId=cloud.instances["hardware"].id)["KeyId"])
    call("DisableKey", KeyId=made[1])
    call("CreateAlias", AliasName="alias/listed", KeyId=made[2])

    def listed(*filters: dict[str, Any], **page: str) -> list[str]:
        wanted = [{"Key": "TagKey", "Values": ["listing"]}, *filters]
        return [key["KeyId"] for key in call("ListKeys", Filters=wanted, **page)["Keys"]["Key"]]

    assert listed() == made
    assert listed(PageSize="2") == made[:2]
    assert listed(PageSize="2", PageNumber="3") == made[4:]
    assert listed(PageSize="2", PageNumber="4") == []
    assert listed({"Key": "KeyState", "Values": ["Disabled"]}) == [made[1]]
    assert listed({"Key": "KeyState", "Values": ["Enabled", "Disabled"]}) == made
    twice = ({"Key": "KeySpec", "Values": ["EC_P256"]}, {"Key": "KeySpec", "Values": ["RSA_2048"]})
    assert listed(*twice) == [made[3]]
    assert listed({"Key": "KeyUsage", "Values": ["SIGN/VERIFY"]}) == [made[3]]
    assert listed({"Key": "ProtectionLevel", "Values": ["HSM"]}) == [made[4]]
    assert listed({"Key": "DKMSInstanceId", "Values": [cloud.instances["hardware"].id]}) == [made[4]]
    assert listed({"Key": "AliasName", "Values": ["alias/listed"]}) == [made[2]]
    assert listed({"Key": "keyId", "Values": [made[0], "none"]}) == [made[0]]
    assert listed({"Key": "TagValue", "Values": ["b"]}) == []
    assert listed({"Key": "CreatorType", "Values": ["Service"]}) == []
    answer = call("ListKeys", PageSize="1")
    assert (answer["PageNumber"], answer["PageSize"]) == (1, 1)
    assert answer["TotalCount"] >= 5
    for wrong in ({"PageSize": "0"}, {"PageSize": "101"}, {"PageNumber": "0"}, {"PageNumber": "x"}):
        assert refused("ListKeys", **wrong) == "InvalidParameter"
    for filters in ("x", "{}", [{"Key": "Nonsense", "Values": ["a"]}], [{"Key": "KeyState", "Values": []}], [1]):
        assert refused("ListKeys", Filters=filters) == "InvalidParameter"


def test_the_description_changes(call: Caller, refused: Refused) -> None:
    key = call.key(Description="old")["KeyId"]
    call("UpdateKeyDescription", KeyId=key, Description="new")
    assert call("DescribeKey", KeyId=key)["KeyMetadata"]["Description"] == "new"
    assert refused("UpdateKeyDescription", KeyId=key) == "MissingParameter"
