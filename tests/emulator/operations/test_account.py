"""Instances, the account, STS, key policies, and what is not built."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alibabacloud_kms20160120.client import Client

from kmskit import emulator
from kmskit.emulator import ACTIONS, Cloud, Identity
from tests.emulator.calls import Caller

Refused = Callable[..., str]


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        yield cloud


def test_every_action_of_the_sdk_is_in_the_table(refused: Refused) -> None:
    theirs = {
        "".join(word.title() for word in name.removesuffix("_with_options").split("_")).casefold()
        for name in vars(Client)
        if name.endswith("_with_options")
    }
    assert len(theirs) == 91
    assert theirs | {"assumerole", "getcalleridentity"} == {name.casefold() for name in ACTIONS}
    for action in ACTIONS.values():
        if action.state == "not done":
            assert refused(action.name) == "Emulator.NotImplemented"
        else:
            assert action.evidence in ("documented", "SDK source", "inferred", "emulator-defined")
    assert refused("Nonsense") == "InvalidApi.NotFound"


def test_an_instance_tells_its_ca(call: Caller, refused: Refused, cloud: Cloud) -> None:
    call.key(DKMSInstanceId=cloud.instances["hardware"].id)
    for model, instance in cloud.instances.items():
        told = call("GetKmsInstance", KmsInstanceId=instance.id)["KmsInstance"]
        assert told["CaCertificateChainPem"] == Path(instance.ca_path).read_text()
        assert (told["InstanceId"], told["ProductType"], told["Status"]) == (instance.id, model, "Connected")
        quota = call("GetKmsInstanceQuotaInfos", KmsInstanceId=instance.id)["KmsInstanceQuotaInfos"][0]
        assert quota["UsedQuantity"] == (1 if model == "hardware" else 0)
    listed = call("ListKmsInstances")["KmsInstances"]["KmsInstance"]
    assert [each["KmsInstanceId"] for each in listed] == [each.id for each in cloud.instances.values()]
    assert call("GetDefaultKmsInstance")["DefaultKmsInstanceId"] == cloud.instances["software"].id
    assert refused("GetKmsInstance", KmsInstanceId="kst-none") == "Forbidden.DKMSInstanceNotFound"


def test_an_instance_is_connected_to_networks(call: Caller, refused: Refused, cloud: Cloud) -> None:
    instance = cloud.instances["software"].id
    assert call("GetKmsInstance", KmsInstanceId=instance)["KmsInstance"].keys().isdisjoint({"VswitchIds", "ZoneIds"})
    network = {"KMProvider": "Aliyun", "VpcId": "vpc-1", "VSwitchIds": "vsw-1,vsw-2", "ZoneIds": "z-a,z-b"}
    call("ConnectKmsInstance", KmsInstanceId=instance, **network)
    bound = [{"VpcId": "vpc-2", "VSwitchId": "vsw-3", "RegionId": "cn-hangzhou", "VpcOwnerId": "1"}]
    call("UpdateKmsInstanceBindVpc", KmsInstanceId=instance, BindVpcs=bound)
    told = call("GetKmsInstance", KmsInstanceId=instance)["KmsInstance"]
    assert (told["VpcId"], told["VswitchIds"], told["ZoneIds"]) == ("vpc-1", ["vsw-1", "vsw-2"], ["z-a", "z-b"])
    assert told["BindVpcs"]["BindVpc"] == bound
    assert refused("UpdateKmsInstanceBindVpc", KmsInstanceId=instance, BindVpcs="x") == "InvalidParameter"


def test_the_account_and_its_regions(call: Caller, refused: Refused, cloud: Cloud) -> None:
    assert {"RegionId": "cn-hangzhou"} in call("DescribeRegions")["Regions"]["Region"]
    assert call("DescribeAccountKmsStatus")["AccountStatus"] == "Enabled"
    assert refused("OpenKmsService") == "Forbidden.Opened"
    nobody = cloud.ram.create_user("nobody")
    assert call("DescribeRegions", nobody)
    assert refused("DescribeAccountKmsStatus", nobody) == "Forbidden.NoPermission"


# STS


def assumed(call: Caller, who: Identity, **parameters: str) -> Identity:
    answer = call("AssumeRole", who, RoleSessionName="alice", **parameters)["Credentials"]
    return Identity("", "", answer["AccessKeyId"], answer["AccessKeySecret"], answer["SecurityToken"])


def test_a_role_gives_its_rights_for_a_while(call: Caller, refused: Refused, cloud: Cloud) -> None:
    key = call.key()["KeyId"]
    user = cloud.ram.create_user("user", policies=["AliyunSTSAssumeRoleAccess"])
    role = cloud.ram.create_role("reader", policies=["AliyunKMSReadOnlyAccess"])
    assert refused("DescribeKey", user, KeyId=key) == "Forbidden.NoPermission"
    session = assumed(call, user, RoleArn=role)
    assert session.access_key_id.startswith("STS.")
    assert call("DescribeKey", session, KeyId=key)
    assert refused("Encrypt", session, KeyId=key, Plaintext="aGk=") == "Forbidden.NoPermission"
    told = call("GetCallerIdentity", session)
    assert (told["IdentityType"], told["Arn"]) == (
        "AssumedRoleUser",
        f"acs:ram::{cloud.account_id}:assumed-role/reader/alice",
    )
    cloud.clock.advance(hours=1.1)
    assert refused("DescribeKey", session, KeyId=key) == "InvalidAccessKeyId.NotFound"


def test_a_session_policy_only_takes_away(call: Caller, refused: Refused, cloud: Cloud) -> None:
    key = call.key()["KeyId"]
    user = cloud.ram.create_user("user", policies=["AliyunSTSAssumeRoleAccess"])
    role = cloud.ram.create_role("reader", policies=["AliyunKMSReadOnlyAccess"])
    policy = {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "kms:*Key", "Resource": "*"}]}
    session = assumed(call, user, RoleArn=role, Policy=json.dumps(policy))
    assert call("DescribeKey", session, KeyId=key)
    assert refused("ListKeys", session) == "Forbidden.NoPermission"
    assert refused("EnableKey", session, KeyId=key) == "Forbidden.NoPermission"


def test_who_may_not_assume_a_role(call: Caller, refused: Refused, cloud: Cloud) -> None:
    role = cloud.ram.create_role("role")
    trusting = cloud.ram.create_role(
        "trusting",
        trust={
            "Version": "1",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "sts:AssumeRole",
                    "Principal": {"RAM": [f"acs:ram::{cloud.account_id}:user/bob"]},
                }
            ],
        },
    )
    alice = cloud.ram.create_user("alice", policies=["AliyunSTSAssumeRoleAccess"])
    bob = cloud.ram.create_user("bob", policies=["AliyunSTSAssumeRoleAccess"])
    without = cloud.ram.create_user("without")
    name = {"RoleSessionName": "alice"}
    assert refused("AssumeRole", RoleArn=role, **name) == "NoPermission"
    assert refused("AssumeRole", without, RoleArn=role, **name) == "NoPermission"
    assert refused("AssumeRole", alice, RoleArn=trusting, **name) == "NoPermission"
    assert assumed(call, bob, RoleArn=trusting)
    assert refused("AssumeRole", alice, RoleArn=f"{role}-none", **name) == "EntityNotExist.Role"
    assert refused("AssumeRole", alice, RoleArn="x", **name) == "InvalidParameter.RoleArn"
    assert refused("AssumeRole", alice, RoleArn=role, RoleSessionName="a b") == "InvalidParameter.RoleSessionName"
    for seconds in ("899", "3601", "x"):
        assert refused("AssumeRole", alice, RoleArn=role, DurationSeconds=seconds, **name) == (
            "InvalidParameter.DurationSeconds"
        )
    assert refused("AssumeRole", alice, RoleArn=role, Policy="{}", **name) == "InvalidParameter.PolicyGrammar"
    assert refused("AssumeRole", alice, RoleArn=role, Policy="x" * 2049, **name) == "InvalidParameter.PolicySize"


def test_a_trust_policy_says_when_and_to_what(call: Caller, refused: Refused, cloud: Cloud) -> None:
    alice = cloud.ram.create_user("alice", policies=["AliyunSTSAssumeRoleAccess"])

    def role(name: str, **changes: object) -> str:
        statement = {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"RAM": [f"acs:ram::{cloud.account_id}:root"]},
            **changes,
        }
        return cloud.ram.create_role(name, trust={"Version": "1", "Statement": [statement]})

    def source(address: str) -> dict[str, object]:
        return {"Condition": {"IpAddress": {"acs:SourceIp": address}}}

    name = {"RoleSessionName": "alice"}
    assert assumed(call, alice, RoleArn=role("any", Action="sts:*"))
    assert assumed(call, alice, RoleArn=role("here", **source("127.0.0.0/8")))
    assert refused("AssumeRole", alice, RoleArn=role("there", **source("10.0.0.0/8")), **name) == "NoPermission"
    assert refused("AssumeRole", alice, RoleArn=role("other", Action="sts:TagSession"), **name) == "NoPermission"


def test_who_am_i(call: Caller, cloud: Cloud) -> None:
    assert call("GetCallerIdentity")["IdentityType"] == "Account"
    user = cloud.ram.create_user("me")
    told = call("GetCallerIdentity", user)
    assert (told["IdentityType"], told["AccountId"], told["Arn"]) == ("RAMUser", cloud.account_id, user.arn)


# Default keys


def test_default_keys_serve_cloud_products_only(call: Caller, refused: Refused, cloud: Cloud) -> None:
    main = cloud.enable_default_key("main")
    assert cloud.enable_default_key("main") == main
    cloud.ecs.create_disk()
    service = call("DescribeKey", KeyId="alias/acs/ecs")["KeyMetadata"]
    assert service["Creator"] == "ecs"
    for key in (main, service["KeyId"]):
        assert refused("Encrypt", KeyId=key, Plaintext="aGk=") == "UnsupportedOperation"
        assert refused("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays="7") == "UnsupportedOperation"
        assert refused("CreateKeyVersion", KeyId=key) == "Rejected.UnsupportedOperation"
    assert refused("DisableKey", KeyId=service["KeyId"]) == "UnsupportedOperation"
    assert refused("CreateAlias", KeyId=service["KeyId"], AliasName="alias/mine") == "UnsupportedOperation"
    call("DisableKey", KeyId=main)
    call("EnableKey", KeyId=main)
    call("UpdateRotationPolicy", KeyId=main, EnableAutomaticRotation="true", RotationInterval="365d")
    services = [{"Key": "CreatorType", "Values": ["Service"]}]
    assert call("ListKeys", Filters=services)["TotalCount"] == 1
