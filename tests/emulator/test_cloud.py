"""`Cloud` itself: connecting, environments, the fixture for others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

import kmskit
from kmskit import ConfigurationError, emulator
from kmskit.emulator import Cloud

pytest_plugins = ["kmskit.testing.cloud"]


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        yield cloud


@pytest.mark.parametrize("instance", [None, "software", "hardware"])
def test_a_kms_of_a_user_works_here_and_in_another_process(cloud: Cloud, instance: str | None) -> None:
    key = cloud.connect(instance=instance).create_key("orders")
    app = cloud.ram.create_user("app", policies=["AliyunKMSCryptoUserAccess"])
    blob = cloud.connect(app, instance=instance).key("orders").encrypt(b"4111", context={"tenant": "acme"})
    assert key.decrypt(blob, context={"tenant": "acme"}) == b"4111"
    code = (
        "import kmskit, sys; kms = kmskit.connect(sys.argv[1]);"
        f"print(kms.key({key.id!r}).decrypt({blob!r}, context={{'tenant': 'acme'}}))"
    )
    environment = {**os.environ, **cloud.env(app)}
    done = subprocess.run(
        [sys.executable, "-c", code, cloud.uri(instance)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "b'4111'\n"


def test_an_instance_is_named_by_its_kind_or_id(cloud: Cloud) -> None:
    hardware = cloud.instances["hardware"]
    assert cloud.uri(hardware.id) == cloud.uri("hardware")
    with pytest.raises(ConfigurationError, match="no instance 'none'"):
        cloud.uri("none")


def test_the_fixture_for_other_peoples_tests(kms_cloud: Cloud) -> None:
    assert kms_cloud.connect().create_key("orders").encrypt(b"x")


def test_it_is_loaded_on_first_access() -> None:
    assert kmskit.emulator.start is emulator.start


def test_the_default_keys_alias_is_free_text_of_the_service(cloud: Cloud) -> None:
    cloud.connect().create_key("taken")
    with pytest.raises(kmskit.AlreadyExistsError):
        cloud.enable_default_key("taken")
    for name in ("acs/ecs", "a b", ""):
        with pytest.raises(ValueError, match="alias"):
            cloud.enable_default_key(name)
    main = cloud.enable_default_key()
    assert cloud.enable_default_key("other") == main
