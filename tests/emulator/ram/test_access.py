"""What users may do: system policies, custom ones, key policies, and which statement decided."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kmskit import AlreadyExistsError, ConfigurationError, KeyNotFoundError, emulator
from kmskit.emulator import Cloud
from tests.emulator.calls import Caller

Refused = Callable[..., str]
NO = "Forbidden.NoPermission"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        yield cloud


def policy(*statements: tuple[str, Any, Any], **condition: Any) -> dict[str, Any]:
    return {
        "Version": "1",
        "Statement": [
            {
                "Effect": effect,
                "Action": action,
                "Resource": resource,
                **({"Condition": condition} if condition else {}),
            }
            for effect, action, resource in statements
        ],
    }


CALLS: dict[str, dict[str, str]] = {
    "Encrypt": {"KeyId": "KEY", "Plaintext": "aGk="},
    "GenerateDataKey": {"KeyId": "KEY"},
    "DescribeKey": {"KeyId": "KEY"},
    "ListKeys": {},
    "CreateKey": {},
    "CreateAlias": {"AliasName": "alias/new", "KeyId": "KEY"},
    "DisableKey": {"KeyId": "KEY"},
    "GetKmsInstance": {"KmsInstanceId": "INSTANCE"},
}


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("AliyunKMSFullAccess", set(CALLS)),
        ("AliyunKMSCryptoUserAccess", {"Encrypt", "GenerateDataKey"}),
        ("AliyunKMSReadOnlyAccess", {"DescribeKey", "ListKeys", "GetKmsInstance"}),
        ("AliyunKMSCryptoAdminAccess", set(CALLS) - {"GetKmsInstance"}),
        ("AliyunKMSSecretUserAccess", set()),
        (None, set()),
    ],
)
def test_the_system_policies_allow_what_they_say(
    call: Caller, refused: Refused, cloud: Cloud, name: str | None, allowed: set[str]
) -> None:
    user = cloud.ram.create_user("user", policies=[name] if name else [])
    instance = cloud.instances["software"].id
    key = call.key(DKMSInstanceId=instance)["KeyId"]
    for action, parameters in CALLS.items():
        filled = {each: {"KEY": key, "INSTANCE": instance}.get(value, value) for each, value in parameters.items()}
        if action in allowed:
            call(action, user, **filled)
        else:
            assert refused(action, user, **filled) == NO


def test_an_explicit_deny_wins(call: Caller, refused: Refused, cloud: Cloud) -> None:
    key = call.key(Tags=[{"TagKey": "stage", "TagValue": "prod"}])["KeyId"]
    other = call.key()["KeyId"]
    deny = policy(("Deny", "kms:Encrypt", f"acs:kms:*:*:key/{key}"))
    cloud.ram.create_policy("not-that-one", deny)
    user = cloud.ram.create_user("user", policies=["AliyunKMSFullAccess", "not-that-one"])
    assert refused("Encrypt", user, KeyId=key, Plaintext="aGk=") == NO
    assert call("Encrypt", user, KeyId=other, Plaintext="aGk=")
    decision = cloud.ram.explain(user, "Encrypt", key)
    assert not decision
    assert (decision.policy, decision.statement, decision.explicit) == ("not-that-one", "1", True)
    assert "denied by not-that-one, statement 1" in str(decision)
    assert cloud.trail[-2].reason == "not-that-one, statement 1"
    assert cloud.ram.explain("user", "kms:Encrypt", other)
    assert "no statement allows it" in str(cloud.ram.explain(cloud.ram.create_user("b"), "Encrypt", other))


def test_conditions_bind_to_tags_and_addresses(call: Caller, refused: Refused, cloud: Cloud) -> None:
    key = call.key(Tags=[{"TagKey": "stage", "TagValue": "dev"}])["KeyId"]
    other = call.key(Tags=[{"TagKey": "stage", "TagValue": "prod"}])["KeyId"]
    untagged = call.key()["KeyId"]
    cloud.ram.create_policy(
        "dev",
        policy(
            ("Allow", ["kms:Encrypt"], "*"),
            StringEquals={"kms:tag/stage": ["dev", "test"]},
            IpAddress={"acs:SourceIp": "127.0.0.0/8"},
            Bool={"acs:SecureTransport": True},
        ),
    )
    user = cloud.ram.create_user("user", policies=["dev"])
    assert call("Encrypt", user, KeyId=key, Plaintext="aGk=")
    assert refused("Encrypt", user, KeyId=other, Plaintext="aGk=") == NO
    assert refused("Encrypt", user, KeyId=untagged, Plaintext="aGk=") == NO
    cloud.ram.create_policy(
        "dev", policy(("Allow", "kms:*", "*"), IpAddress={"acs:SourceIp": ["10.0.0.0/8", "192.168.0.0/16"]})
    )
    assert refused("Encrypt", user, KeyId=key, Plaintext="aGk=") == NO


def test_reencryption_needs_both_rights(call: Caller, refused: Refused, cloud: Cloud) -> None:
    source, destination = call.key()["KeyId"], call.key()["KeyId"]
    blob = call("Encrypt", KeyId=source, Plaintext="aGk=")["CiphertextBlob"]
    wanted = {"CiphertextBlob": blob, "DestinationKeyId": destination}
    cloud.ram.create_policy("from", policy(("Allow", "kms:ReEncryptFrom", f"acs:kms:*:*:key/{source}")))
    cloud.ram.create_policy("to", policy(("Allow", "kms:ReEncryptTo", f"acs:kms:*:*:key/{destination}")))
    user = cloud.ram.create_user("user", policies=["from"])
    assert refused("ReEncrypt", user, **wanted) == NO
    cloud.ram.attach("user", "to")
    assert call("ReEncrypt", user, **wanted)
    cloud.ram.detach("user", "from")
    assert refused("ReEncrypt", user, **wanted) == NO


def test_nobody_learns_of_a_key_that_he_may_not_use(refused: Refused, cloud: Cloud) -> None:
    user = cloud.ram.create_user("user")
    assert refused("DescribeKey", user, KeyId="none") == NO
    assert refused("Encrypt", user, KeyId="alias/none", Plaintext="aGk=") == NO


# Key policies


def key_policy(effect: str, action: Any, principal: str) -> str:
    statement = {"Sid": "mine", "Effect": effect, "Action": action, "Principal": {"RAM": [principal]}, "Resource": "*"}
    return json.dumps({"Version": "1", "Statement": [statement]})


def test_a_key_policy_allows_by_itself_and_denies(call: Caller, refused: Refused, cloud: Cloud) -> None:
    key = call.key(DKMSInstanceId=cloud.instances["software"].id)["KeyId"]
    user = cloud.ram.create_user("user")
    encrypt = {"KeyId": key, "Plaintext": "aGk="}
    default = json.loads(call("GetKeyPolicy", KeyId=key, PolicyName="default")["Policy"])
    assert default["Statement"][0]["Principal"] == {"RAM": [f"acs:ram::{cloud.account_id}:*"]}
    assert refused("Encrypt", user, **encrypt) == NO
    call("SetKeyPolicy", KeyId=key, Policy=key_policy("Allow", "kms:Encrypt", user.arn))
    assert call("Encrypt", user, **encrypt)
    assert refused("DescribeKey", user, KeyId=key) == NO
    full = cloud.ram.create_user("full", policies=["AliyunKMSFullAccess"])
    call("SetKeyPolicy", KeyId=key, Policy=key_policy("Deny", ["kms:Encrypt"], full.arn))
    assert refused("Encrypt", full, **encrypt) == NO
    assert cloud.ram.explain(full, "Encrypt", key).kind == "KeyPolicy"
    assert call("DescribeKey", full, KeyId=key)


def test_a_whole_account_in_a_key_policy_leaves_it_to_identity_policies(
    call: Caller, refused: Refused, cloud: Cloud
) -> None:
    key = call.key(DKMSInstanceId=cloud.instances["software"].id)["KeyId"]
    user = cloud.ram.create_user("user")
    call("SetKeyPolicy", KeyId=key, Policy=key_policy("Allow", "kms:*", f"acs:ram::{cloud.account_id}:*"))
    assert refused("Encrypt", user, KeyId=key, Plaintext="aGk=") == NO
    call("SetKeyPolicy", KeyId=key, Policy=key_policy("Deny", "kms:*", f"acs:ram::{cloud.account_id}:*"))
    assert refused("Encrypt", KeyId=key, Plaintext="aGk=") == NO
    call("SetKeyPolicy", KeyId=key, Policy=key_policy("Allow", "kms:*", f"acs:ram::{cloud.account_id}:*"))
    assert call("Encrypt", KeyId=key, Plaintext="aGk=")


def test_what_is_no_key_policy_is_refused(call: Caller, refused: Refused, cloud: Cloud) -> None:
    key = call.key(DKMSInstanceId=cloud.instances["software"].id)["KeyId"]
    good = key_policy("Allow", "kms:*", cloud.ram.root.arn)
    assert refused("SetKeyPolicy", KeyId=key) == "MissingParameter"
    for wrong in ("x", "{}", good.replace('"1"', '"2"'), json.dumps(policy(("Allow", "*", "*"))), good + " " * 32768):
        assert refused("SetKeyPolicy", KeyId=key, Policy=wrong) == "InvalidParameter"
    assert refused("GetKeyPolicy", KeyId=key, PolicyName="other") == "Forbidden.ResourceNotFound"
    assert refused("SetKeyPolicy", KeyId=call.key()["KeyId"], Policy=good) == "Forbidden.KeyPolicyUnSupported"


# Users


def test_access_keys_are_disabled_and_replaced(call: Caller, refused: Refused, cloud: Cloud) -> None:
    first = cloud.ram.create_user("user", policies=["AliyunKMSFullAccess"])
    second = cloud.ram.create_access_key("user")
    cloud.ram.set_access_key(first.access_key_id, active=False)
    assert refused("ListKeys", first) == "InvalidAccessKeyId.Inactive"
    assert call("ListKeys", second)["TotalCount"] == 0
    assert cloud.ram.user("user").access_key_id == second.access_key_id
    cloud.ram.delete_access_key(second.access_key_id)
    assert refused("ListKeys", second) == "InvalidAccessKeyId.NotFound"
    with pytest.raises(ConfigurationError, match="no active access key"):
        cloud.ram.user("user")
    cloud.ram.set_access_key(first.access_key_id, active=True)
    cloud.ram.delete_user("user")
    assert refused("ListKeys", first) == "InvalidAccessKeyId.NotFound"
    with pytest.raises(KeyNotFoundError):
        cloud.ram.user("user")


def test_mistakes_in_the_console_are_told(cloud: Cloud) -> None:
    with pytest.raises(KeyNotFoundError, match="no policy 'Nonsense'") as error:
        cloud.ram.create_user("user", policies=["Nonsense"])
    assert "AliyunKMSCryptoUserAccess" in (error.value.hint or "")
    assert cloud.ram.users() == []
    cloud.ram.create_user("user")
    with pytest.raises(AlreadyExistsError):
        cloud.ram.create_user("user")
    with pytest.raises(ValueError, match="name"):
        cloud.ram.create_user("a/b")
    with pytest.raises(ValueError, match="statement 1"):
        cloud.ram.create_policy("p", policy(("Perhaps", "*", "*")))
    assert "secret" not in repr(cloud.ram.root).casefold().replace("access_key_id", "")
    assert cloud.ram.root.access_key_secret not in repr(cloud.ram.root)
