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
