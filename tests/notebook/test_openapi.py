"""Calls by name."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from kmskit import AccessDeniedError, KmsError, ServiceUnavailableError, emulator
from kmskit.emulator import Cloud
from kmskit.notebook.openapi import ask, assume_role


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        yield cloud


def test_a_key_policy_is_set_and_read(cloud: Cloud) -> None:
    key = cloud.connect(instance="software").create_key()
    statement = {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*", "Principal": {"RAM": ["*"]}}
    ask(cloud, cloud.ram.root, "SetKeyPolicy", KeyId=key.id, Policy={"Version": "1", "Statement": [statement]})
    assert "kms:Decrypt" in ask(cloud, cloud.ram.root, "GetKeyPolicy", KeyId=key.id)["Policy"]


def test_a_role_is_assumed_and_its_session_is_an_identity(cloud: Cloud) -> None:
    cloud.ram.create_role("reader", policies=["AliyunKMSReadOnlyAccess"])
    user = cloud.ram.create_user("app", policies=["AliyunSTSAssumeRoleAccess"])
    session = assume_role(cloud, user, "reader", "tonight", DurationSeconds=900)
    assert session.name == "reader/tonight"
    assert session.access_key_id.startswith("STS.")
    assert list(cloud.connect(session).keys()) == []
    assert cloud.trail[-1].user == "reader/tonight"


def test_refusals_tell_policy_code_and_link_and_nothing_that_was_sent(cloud: Cloud) -> None:
    app = cloud.ram.create_user("app")
    with pytest.raises(AccessDeniedError, match=r"user app, kms:Encrypt, .*, ImplicitDeny") as denied:
        ask(cloud, app, "Encrypt", KeyId=cloud.enable_default_key(), Plaintext="c2VjcmV0LXRleHQ=")
    assert denied.value.code == "Forbidden.NoPermission"
    assert str(denied.value.request_id) in str(denied.value.recommend)
    with pytest.raises(KmsError) as refused:
        ask(cloud, cloud.ram.root, "Encrypt", KeyId="none", Plaintext="c2VjcmV0LXRleHQ=")
    assert refused.value.code == "Forbidden.KeyNotFound"
    for error in (denied.value, refused.value):
        assert error.__context__ is None
        assert "c2VjcmV0" not in f"{error} {error!r} {error.__cause__}"


def test_loopback_goes_through_no_proxy_and_silence_is_no_refusal(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert ask(cloud, cloud.ram.root, "GetCallerIdentity")["AccountId"] == cloud.account_id
    assert os.environ["HTTPS_PROXY"] == "http://127.0.0.1:9"
    root = cloud.ram.root
    cloud.stop()
    with pytest.raises(ServiceUnavailableError, match="no answer"):
        ask(cloud, root, "GetCallerIdentity")
