"""Disks: encrypted with keys that nobody outside sees."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kmskit import AccessDeniedError, KeyNotFoundError, KeyStateError, UnsupportedError, emulator
from kmskit.emulator import Cloud

from .calls import Caller


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        yield cloud


def test_what_is_written_is_read_and_lies_encrypted(cloud: Cloud) -> None:
    cloud.enable_default_key("main")
    disk = cloud.ecs.create_disk("main").attach()
    disk.write(0, b"4111-1111")
    disk.write(1, b"4111-1111")
    assert disk.read(0).rstrip(b"\0") == b"4111-1111"
    assert len(disk.raw(0)) == emulator.ecs.BLOCK
    assert b"4111" not in disk.raw(0)
    assert disk.raw(0) != disk.raw(1)
    assert disk.read(7) == bytes(emulator.ecs.BLOCK)
    assert [event.action for event in cloud.trail] == ["GenerateDataKey", "Decrypt"]
    assert {event.user for event in cloud.trail} == {"ecs.aliyuncs.com"}
    disk.detach()
    with pytest.raises(KeyStateError, match="not attached"):
        disk.read(0)
    assert "4111" not in repr(disk)
    assert cloud.ecs.disk(disk.id) is disk
    assert list(cloud.ecs) == [disk]


def test_a_disabled_key_stops_the_next_attach_and_not_the_server(cloud: Cloud) -> None:
    call = Caller(cloud)
    key = cloud.enable_default_key("main")
    disk = cloud.ecs.create_disk("main").attach()
    disk.write(0, b"x")
    call("DisableKey", KeyId=key)
    assert disk.read(0)[:1] == b"x"
    disk.detach()
    with pytest.raises(KeyStateError) as error:
        disk.attach()
    assert error.value.code == "Rejected.Disabled"
    call("EnableKey", KeyId=key)
    assert disk.attach().read(0)[:1] == b"x"


def test_which_keys_ecs_takes(cloud: Cloud) -> None:
    call = Caller(cloud)
    own = call.key()["KeyId"]
    with pytest.raises(AccessDeniedError) as denied:
        cloud.ecs.create_disk(own)
    assert denied.value.code == "InvalidParameter.KMSKeyId.KMSUnauthorized"
    cloud.ram.create_role("AliyunECSDiskEncryptDefaultRole", service="ecs.aliyuncs.com")
    assert cloud.ecs.create_disk(own).key_id == own
    call("DisableKey", KeyId=own)
    with pytest.raises(KeyStateError) as disabled:
        cloud.ecs.create_disk(own)
    assert disabled.value.code == "InvalidParameter.KMSKeyId.CMKNotEnabled"
    with pytest.raises(KeyNotFoundError):
        cloud.ecs.create_disk("none")
    with pytest.raises(UnsupportedError):
        cloud.ecs.create_disk(call.key(KeySpec="RSA_2048")["KeyId"])
    with pytest.raises(ValueError, match="block"):
        cloud.ecs.create_disk(blocks=1).attach().read(1)


def test_a_key_policy_that_denies_the_role_stops_the_next_attach_and_not_the_server(cloud: Cloud) -> None:
    call = Caller(cloud)
    cloud.ram.create_role("AliyunECSDiskEncryptDefaultRole", service="ecs.aliyuncs.com")
    own = call.key(DKMSInstanceId=cloud.instances["software"].id)["KeyId"]
    disk = cloud.ecs.create_disk(own).attach()
    disk.write(0, b"x")
    for role, denied in (("AliyunECSDiskEncryptDefaultRole", True), ("another", False)):
        principal = {"RAM": [cloud.ram.role_arn(role)]}
        deny = {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*", "Principal": principal}
        call("SetKeyPolicy", KeyId=own, Policy={"Version": "1", "Statement": [deny]})
        assert disk.read(0)[:1] == b"x"
        disk.detach()
        if denied:
            with pytest.raises(AccessDeniedError, match="kms:Decrypt, KeyPolicy, ExplicitDeny") as error:
                disk.attach()
            assert error.value.code == "Forbidden.NoPermission"
            assert (cloud.trail[-1].status, cloud.trail[-1].reason) == (403, "the key policy, statement 1")
        else:
            assert disk.attach().attached
        call("SetKeyPolicy", KeyId=own, Policy=call("GetKeyPolicy", KeyId=own)["Policy"].replace("Deny", "Allow"))
        disk.attach()


def test_the_random_id_of_a_disk_is_marked(cloud: Cloud) -> None:
    disk = cloud.ecs.create_disk()
    assert repr(disk) == f"<Disk ⟨{disk.id}⟩: 256 blocks, detached>"
