"""`kmskit doctor alibaba://…`: the guide's order, the first fault, and its cure."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from kmskit import doctor, emulator
from kmskit.doctor import Finding
from kmskit.emulator import Cloud, Identity
from kmskit.testing import leaks
from tests.backends.alibaba.conftest import CREDENTIAL
from tests.backends.alibaba.server import Authority, Reply, error, serve

ORDER = ["URI credentials", "URI clock", "URI DNS", "URI TCP", "URI CA", "URI identity", "URI Encrypt"]


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        yield cloud


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


def signed_in(monkeypatch: pytest.MonkeyPatch, who: Identity | tuple[str, str]) -> None:
    identity, secret = (who.access_key_id, who.access_key_secret) if isinstance(who, Identity) else who
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", identity)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret)


def about(uri: str) -> list[Finding]:
    found = doctor.examine(uri)
    steps = [finding for finding in found if finding.topic.startswith("URI")]
    assert found.usable == all(step.state != "problem" for step in steps)
    assert all(step.cure for step in steps if step.state != "ok")
    assert [step.state for step in steps].count("problem") <= 1
    assert all(step.state == "ok" for step in steps[:-1]), "nothing is looked at behind a fault"
    return steps


def test_all_is_well_in_the_guides_order(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in(monkeypatch, cloud.ram.root)
    with cloud.connect(instance="software") as kms:
        key = kms.create_key("orders")
        uri = kms.uri
    steps = about(uri)
    assert list(dict.fromkeys(step.topic for step in steps)) == ORDER
    assert [step.topic for step in steps].count("URI CA") == 2, "both gateways"
    assert cloud.account_id in steps[-2].text
    assert key.id in steps[-1].text
    leaks.assert_clean([repr(step) for step in steps], cloud.ram.root.access_key_secret.encode())
    calls = [event.action for event in cloud.trail][-4:]
    assert calls[-1] == "Encrypt"
    assert about(f"{uri}&key=orders")[-1].state == "ok"


def test_a_user_who_may_only_use_keys_is_told_which_one_to_name(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    user = cloud.ram.create_user("user", policies=["AliyunKMSCryptoUserAccess"])
    with cloud.connect(instance="software") as kms:
        key, uri = kms.create_key(), kms.uri
    signed_in(monkeypatch, user)
    last = about(uri)[-1]
    assert (last.topic, last.state) == ("URI Encrypt", "missing")
    assert "key=" in last.cure
    assert about(f"{uri}&key={key.id}")[-1].state == "ok"


def test_a_missing_permission_is_the_last_fault(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in(monkeypatch, cloud.ram.create_user("nobody"))
    with cloud.connect(instance="software") as kms:
        key, uri = kms.create_key(), kms.uri
    last = about(f"{uri}&key={key.id}")[-1]
    assert (last.topic, last.state) == ("URI Encrypt", "problem")
    assert "policy" in last.cure


def test_no_credentials_are_the_first_fault(cloud: Cloud) -> None:
    (only,) = about(cloud.uri("software"))
    assert (only.topic, only.state) == ("URI credentials", "problem")


def test_a_wrong_secret_is_a_fault_of_the_identity(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in(monkeypatch, (cloud.ram.root.access_key_id, "a-wrong-secret"))
    last = about(cloud.uri("software"))[-1]
    assert (last.topic, last.state) == ("URI identity", "problem")
    assert "secret" in last.cure


def test_a_wrong_ca_is_told_for_its_gateway(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in(monkeypatch, cloud.ram.root)
    software, hardware = cloud.instances["software"], cloud.instances["hardware"]
    last = about(cloud.uri("software").replace(software.ca_path, hardware.ca_path))[-1]
    assert (last.topic, last.state) == ("URI CA", "problem")
    assert software.endpoint in last.text
    assert "instance-ca=" in last.cure


def test_a_closed_port_and_an_unknown_name(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    signed_in(monkeypatch, CREDENTIAL)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        last = about(f"alibaba://127.0.0.1:{closed.getsockname()[1]}?ca={authority.path}")[-1]
    assert (last.topic, last.state) == ("URI TCP", "problem")
    last = about("alibaba://kms.invalid")[-1]
    assert (last.topic, last.state) == ("URI DNS", "problem")


def test_an_instance_out_of_reach_says_that_it_is_inside_its_vpc(monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in(monkeypatch, CREDENTIAL)
    monkeypatch.setenv("KMSKIT_CLOUD", "real")

    def unknown(*arguments: object, **options: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    last = about("alibaba://kst-hzz1.cryptoservice.kms.aliyuncs.com")[-1]
    assert (last.topic, last.state) == ("URI DNS", "problem")
    assert "only inside its VPC" in last.cure


def test_a_clock_that_is_off(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    signed_in(monkeypatch, CREDENTIAL)
    with serve(authority.context(), lambda action, parameters: error("InvalidTimeStamp.Expired")) as server:
        last = about(f"alibaba://{server.address}?ca={authority.path}")[-1]
    assert (last.topic, last.state) == ("URI clock", "problem")
    assert "clock" in last.cure


def test_an_expired_certificate(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    signed_in(monkeypatch, CREDENTIAL)
    with serve(authority.context(age=timedelta(days=1)), lambda action, parameters: Reply()) as server:
        last = about(f"alibaba://{server.address}?ca={authority.path}")[-1]
    assert (last.topic, last.state) == ("URI CA", "problem")
    assert "expired" in last.text


def test_the_real_service_is_not_asked_without_the_word_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in(monkeypatch, CREDENTIAL)
    (only,) = about("alibaba://cn-hangzhou")
    assert (only.topic, only.state) == ("URI", "problem")
    assert "KMSKIT_CLOUD=real" in only.cure
