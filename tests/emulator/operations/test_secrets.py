"""Secrets of the type Generic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from alibabacloud_kms20160120 import models

from kmskit import emulator
from kmskit.emulator import Cloud
from tests.emulator.calls import Caller, b64

Refused = Callable[..., str]


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        yield cloud


def make(call: Caller, name: str = "db", data: str = "geheim", **more: Any) -> dict[str, Any]:
    return call("CreateSecret", SecretName=name, VersionId="v1", SecretData=data, **more)


def stages(call: Caller) -> dict[str, list[str]]:
    listed = call("ListSecretVersionIds", SecretName="db", IncludeDeprecated="true")["VersionIds"]["VersionId"]
    return {each["VersionId"]: each["VersionStages"]["VersionStage"] for each in listed}


def test_the_vendors_sdk_puts_and_gets_a_secret(sdk: Callable[..., Any], cloud: Cloud) -> None:
    client = sdk()
    client.create_secret(models.CreateSecretRequest(secret_name="db", version_id="v1", secret_data="geheim é&="))
    told = client.get_secret_value(models.GetSecretValueRequest(secret_name="db")).body
    assert (told.secret_data, told.version_id, told.version_stages.version_stage) == (
        "geheim é&=",
        "v1",
        ["ACSCurrent"],
    )
    assert "geheim" not in repr(list(cloud.trail))


def test_versions_move_through_their_stages(call: Caller, refused: Refused) -> None:
    make(call)
    call("PutSecretValue", SecretName="db", VersionId="v2", SecretData="neu")
    call("PutSecretValue", SecretName="db", VersionId="v2", SecretData="neu")
    assert refused("PutSecretValue", SecretName="db", VersionId="v2", SecretData="x") == "Rejected.ResourceExist"
    assert stages(call) == {"v1": ["ACSPrevious"], "v2": ["ACSCurrent"]}
    call("PutSecretValue", SecretName="db", VersionId="v3", SecretData="neuer")
    assert stages(call) == {"v1": [], "v2": ["ACSPrevious"], "v3": ["ACSCurrent"]}
    assert call("GetSecretValue", SecretName="db")["SecretData"] == "neuer"
    assert call("GetSecretValue", SecretName="db", VersionStage="ACSPrevious")["SecretData"] == "neu"
    assert call("GetSecretValue", SecretName="db", VersionId="v1")["SecretData"] == "geheim"
    move = {"SecretName": "db", "VersionStage": "ACSCurrent"}
    call("UpdateSecretVersionStage", **move, MoveToVersion="v1", RemoveFromVersion="v3")
    assert stages(call) == {"v1": ["ACSCurrent"], "v2": [], "v3": ["ACSPrevious"]}
    assert refused("UpdateSecretVersionStage", **move, MoveToVersion="v2", RemoveFromVersion="v3") == (
        "Rejected.InvalidRequest"
    )
    assert refused("UpdateSecretVersionStage", **move, RemoveFromVersion="v1") == "Rejected.UnsupportedOperation"
    assert refused("UpdateSecretVersionStage", **move, MoveToVersion="none") == "Forbidden.ResourceNotFound"
    call("PutSecretValue", SecretName="db", VersionId="v4", SecretData="x", VersionStages=["mine"])
    assert stages(call)["v1"] == ["ACSCurrent"]
    assert call("GetSecretValue", SecretName="db", VersionStage="mine")["VersionId"] == "v4"
    assert call("ListSecretVersionIds", SecretName="db")["TotalCount"] == 3


def test_a_secret_is_deleted_and_restored(call: Caller, refused: Refused, cloud: Cloud) -> None:
    make(call)
    call("DeleteSecret", SecretName="db", RecoveryWindowInDays="7")
    assert refused("GetSecretValue", SecretName="db") == "Rejected.ResourceInDeleteWindow"
    with pytest.raises(Exception, match="ResourceInDeleteWindow"):
        make(call)
    call("RestoreSecret", SecretName="db")
    assert call("GetSecretValue", SecretName="db")["SecretData"] == "geheim"
    call("DeleteSecret", SecretName="db")
    cloud.clock.advance(days=30.1)
    assert refused("DescribeSecret", SecretName="db") == "Forbidden.ResourceNotFound"
    make(call)
    call("DeleteSecret", SecretName="db", ForceDeleteWithoutRecovery="true")
    assert call("ListSecrets")["TotalCount"] == 0


def test_secrets_are_described_and_listed(call: Caller, cloud: Cloud) -> None:
    key = call.key(DKMSInstanceId=cloud.instances["software"].id)["KeyId"]
    make(
        call,
        Tags=[{"TagKey": "team", "TagValue": "a"}],
        EncryptionKeyId=key,
        DKMSInstanceId=cloud.instances["software"].id,
    )
    make(call, "other")
    call("UpdateSecret", SecretName="db", Description="new")
    told = call("DescribeSecret", SecretName="db", FetchTags="true")
    assert (told["EncryptionKeyId"], told["Description"]) == (key, "new")
    assert told["Tags"]["Tag"] == [{"TagKey": "team", "TagValue": "a"}]
    listed = call("ListSecrets", Filters=[{"Key": "TagKey", "Values": ["team"]}])["SecretList"]["Secret"]
    assert [each["SecretName"] for each in listed] == ["db"]
    assert call("GetSecretValue", SecretName="db", instance="software")["SecretData"] == "geheim"
    answer = call("BatchGetSecretValue", SecretsList=["db", "none"])
    assert [each["SecretName"] for each in answer["SecretValues"]] == ["db"]
    assert [each["Code"] for each in answer["Errors"]] == ["Forbidden.ResourceNotFound"]


def test_what_does_not_fit_is_refused(call: Caller, refused: Refused) -> None:
    good = {"SecretName": "db", "VersionId": "v1", "SecretData": "x"}
    for change, code in (
        ({"SecretName": "a b"}, "InvalidParameter"),
        ({"SecretData": "x" * 30_721}, "InvalidParameter"),
        ({"SecretData": "%", "SecretDataType": "binary"}, "InvalidParameter"),
        ({"SecretType": "Rds"}, "UnsupportedOperation"),
        ({"DKMSInstanceId": "none"}, "Forbidden.DKMSInstanceNotFound"),
        ({"EncryptionKeyId": "none"}, "Forbidden.KeyNotFound"),
        ({"VersionId": ""}, "MissingParameter"),
    ):
        assert refused("CreateSecret", **{**good, **change}) == code
    make(call)
    assert refused("CreateSecret", **good) == "Rejected.ResourceExist"


def test_who_may_read_a_secret(call: Caller, refused: Refused, cloud: Cloud) -> None:
    make(call)
    reader = cloud.ram.create_user("reader", policies=["AliyunKMSSecretUserAccess"])
    assert call("GetSecretValue", reader, SecretName="db")["SecretData"] == "geheim"
    assert refused("DeleteSecret", reader, SecretName="db") == "Forbidden.NoPermission"
    looking = cloud.ram.create_user("looking", policies=["AliyunKMSReadOnlyAccess"])
    assert call("DescribeSecret", looking, SecretName="db")
    assert refused("GetSecretValue", looking, SecretName="db") == "Forbidden.NoPermission"
    assert refused("GetSecretValue", looking, SecretName="none") == "Forbidden.NoPermission"


def test_random_passwords(call: Caller, refused: Refused) -> None:
    password = call("GetRandomPassword", PasswordLength="16", ExcludePunctuation="true", ExcludeCharacters="abc")
    assert len(password["RandomPassword"]) == 16
    assert password["RandomPassword"].isalnum()
    assert not set("abc") & set(password["RandomPassword"])
    assert refused("GetRandomPassword", PasswordLength="7") == "InvalidParameter"
    nothing = dict.fromkeys(("ExcludeLowercase", "ExcludeUppercase", "ExcludeNumbers", "ExcludePunctuation"), "true")
    assert refused("GetRandomPassword", **nothing) == "InvalidParameter"


def test_binary_data_is_base64(call: Caller) -> None:
    make(call, data=b64(b"\0\1"), SecretDataType="binary")
    told = call("GetSecretValue", SecretName="db")
    assert (told["SecretData"], told["SecretDataType"]) == (b64(b"\0\1"), "binary")
