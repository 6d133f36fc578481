"""The table of states and actions, row by row, and what comes due with time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kmskit import emulator
from kmskit.emulator import Cloud
from tests.emulator.calls import Caller

Refused = Callable[..., str]
STATES = ("Enabled", "Disabled", "PendingDeletion", "PendingImport")
MODIFIED = "Rejected.StateModifiedFailed"
TABLE = {
    "Encrypt": ("", "Rejected.Disabled", "Rejected.PendingDeletion", "Rejected.PendingImport"),
    "GenerateDataKey": ("", "Rejected.Disabled", "Rejected.PendingDeletion", "Rejected.PendingImport"),
    "EnableKey": ("", "", MODIFIED, MODIFIED),
    "DisableKey": ("", "", MODIFIED, MODIFIED),
    "ScheduleKeyDeletion": ("", "", MODIFIED, ""),
    "CancelKeyDeletion": (MODIFIED, MODIFIED, "", MODIFIED),
    "CreateAlias": ("", "", MODIFIED, ""),
    "UpdateAlias": ("", "", "Rejected.PendingDeletion", ""),
    "DescribeKey": ("", "", "", ""),
    "ListKeyVersions": ("", "", "", ""),
    "ListResourceTags": ("", "", "", ""),
}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:  # Of each test's own, since the clock is advanced.
        yield cloud


def key_in(call: Caller, state: str) -> str:
    key: str = call.key(Origin="EXTERNAL" if state == "PendingImport" else "Aliyun_KMS")["KeyId"]
    if state == "Disabled":
        call("DisableKey", KeyId=key)
    if state == "PendingDeletion":
        call("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays="7")
    assert call("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] == state
    return key


@pytest.mark.parametrize("action", TABLE)
def test_what_each_state_allows(call: Caller, refused: Refused, action: str) -> None:
    other = call.key()["KeyId"]
    for state, code in zip(STATES, TABLE[action], strict=True):
        key = key_in(call, state)
        parameters = {"KeyId": key}
        if action == "Encrypt":
            parameters["Plaintext"] = "aGk="
        elif action == "ScheduleKeyDeletion":
            parameters["PendingWindowInDays"] = "7"
        elif action.endswith("Alias"):
            parameters["AliasName"] = f"alias/{action}-{state}"
            if action == "UpdateAlias":
                call("CreateAlias", AliasName=parameters["AliasName"], KeyId=other)
        if code:
            assert refused(action, **parameters) == code, state
        else:
            call(action, **parameters)


def test_a_cancelled_deletion_enables_the_key(call: Caller) -> None:
    key = key_in(call, "Disabled")
    call("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays="366")
    assert call("DescribeKey", KeyId=key)["KeyMetadata"]["DeleteDate"]
    call("CancelKeyDeletion", KeyId=key)
    told = call("DescribeKey", KeyId=key)["KeyMetadata"]
    assert (told["KeyState"], told["DeleteDate"]) == ("Enabled", "")


@pytest.mark.parametrize("days", ["6", "367", "-7", "x", "7.5"])
def test_the_window_of_a_deletion_has_bounds(call: Caller, refused: Refused, days: str) -> None:
    assert refused("ScheduleKeyDeletion", KeyId=call.key()["KeyId"], PendingWindowInDays=days) == "InvalidParameter"


def test_a_key_is_gone_when_its_deletion_is_due(call: Caller, refused: Refused, cloud: Cloud) -> None:
    key = call.key()["KeyId"]
    call("CreateAlias", AliasName="alias/going", KeyId=key)
    blob = call("Encrypt", KeyId=key, Plaintext="aGk=")["CiphertextBlob"]
    call("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays="7")
    assert refused("Decrypt", CiphertextBlob=blob) == "Rejected.PendingDeletion"
    cloud.clock.advance(days=6.9)
    assert call("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    cloud.clock.advance(days=0.2)
    assert call("ListAliases")["TotalCount"] == 0
    assert refused("DescribeKey", KeyId=key) == "Forbidden.KeyNotFound"
    assert refused("DescribeKey", KeyId="alias/going") == "Forbidden.AliasNotFound"
    assert refused("Decrypt", CiphertextBlob=blob) == "Forbidden.KeyNotFound"
    assert call("ListKeys")["TotalCount"] == 0


def test_deletion_protection_holds_until_it_is_lifted(call: Caller, refused: Refused) -> None:
    key = call.key()
    call(
        "SetDeletionProtection",
        ProtectedResourceArn=key["Arn"],
        EnableDeletionProtection="true",
        DeletionProtectionDescription="in use",
    )
    told = call("DescribeKey", KeyId=key["KeyId"])["KeyMetadata"]
    assert (told["DeletionProtection"], told["DeletionProtectionDescription"]) == ("Enabled", "in use")
    delete = {"KeyId": key["KeyId"], "PendingWindowInDays": "7"}
    assert refused("ScheduleKeyDeletion", **delete) == "Rejected.UnsupportedOperation"
    call("SetDeletionProtection", ProtectedResourceArn=key["Arn"], EnableDeletionProtection="false")
    call("ScheduleKeyDeletion", **delete)


def test_a_key_rotates_when_it_is_due_and_old_ciphertexts_open(call: Caller, cloud: Cloud) -> None:
    key = call.key(EnableAutomaticRotation="true", RotationInterval="30d")
    blob = call("Encrypt", KeyId=key["KeyId"], Plaintext="aGk=")["CiphertextBlob"]
    assert (key["AutomaticRotation"], key["RotationInterval"]) == ("Enabled", "2592000s")
    cloud.clock.advance(days=29)
    assert call("DescribeKey", KeyId=key["KeyId"])["KeyMetadata"]["PrimaryKeyVersion"] == key["PrimaryKeyVersion"]
    cloud.clock.advance(days=65)  # Three intervals have passed, and nobody has used the key meanwhile.
    told = call("DescribeKey", KeyId=key["KeyId"])["KeyMetadata"]
    assert told["PrimaryKeyVersion"] != key["PrimaryKeyVersion"]
    assert told["LastRotationDate"] < cloud.clock().isoformat() < told["NextRotationDate"]
    assert call("ListKeyVersions", KeyId=key["KeyId"])["TotalCount"] == 2
    assert call("Decrypt", CiphertextBlob=blob)["Plaintext"] == "aGk="
    call("DisableKey", KeyId=key["KeyId"])
    assert call("DescribeKey", KeyId=key["KeyId"])["KeyMetadata"]["AutomaticRotation"] == "Suspended"


def test_versions_are_made_for_symmetric_keys_that_no_hardware_holds(
    call: Caller, refused: Refused, cloud: Cloud
) -> None:
    key = call.key()["KeyId"]
    made = call("CreateKeyVersion", KeyId=key)["KeyVersion"]
    assert call("DescribeKeyVersion", KeyId=key, KeyVersionId=made["KeyVersionId"])["KeyVersion"] == made
    assert call("DescribeKey", KeyId=key)["KeyMetadata"]["PrimaryKeyVersion"] == made["KeyVersionId"]
    unsupported = "Rejected.UnsupportedOperation"
    assert refused("CreateKeyVersion", KeyId=call.key(KeySpec="EC_P256")["KeyId"]) == unsupported
    assert refused("CreateKeyVersion", KeyId=call.key(Origin="EXTERNAL")["KeyId"]) == unsupported
    in_hardware = call.key(DKMSInstanceId=cloud.instances["hardware"].id)["KeyId"]
    assert refused("CreateKeyVersion", KeyId=in_hardware) == unsupported
    assert refused("CreateKeyVersion", KeyId=key_in(call, "Disabled")) == "Rejected.Disabled"
    other = call.key()["PrimaryKeyVersion"]
    assert refused("DescribeKeyVersion", KeyId=key, KeyVersionId=other) == "Forbidden.KeyVersionNotFound"


def test_rotation_is_switched_on_and_off(call: Caller, refused: Refused) -> None:
    key = call.key()["KeyId"]
    assert refused("UpdateRotationPolicy", KeyId=key, EnableAutomaticRotation="true") == "MissingParameter"
    call("UpdateRotationPolicy", KeyId=key, EnableAutomaticRotation="true", RotationInterval="365d")
    assert call("DescribeKey", KeyId=key)["KeyMetadata"]["RotationInterval"] == "31536000s"
    call("UpdateRotationPolicy", KeyId=key, EnableAutomaticRotation="false")
    assert call("DescribeKey", KeyId=key)["KeyMetadata"]["AutomaticRotation"] == "Disabled"
    signing = call.key(KeySpec="EC_P256")["KeyId"]
    wanted = {"EnableAutomaticRotation": "true", "RotationInterval": "30d"}
    assert refused("UpdateRotationPolicy", KeyId=signing, **wanted) == "Rejected.UnsupportedOperation"
