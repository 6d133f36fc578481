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


def test_a_session_connects_too(cloud: Cloud) -> None:
    cloud.ram.create_role("reader", policies=["AliyunKMSReadOnlyAccess"])
    cloud.connect().create_key("orders")
    kms = cloud.connect(cloud.ram.session("reader"))
    (key,) = kms.keys()
    assert key.aliases == ("orders",)
    assert cloud.env(cloud.ram.session("reader"))["ALIBABA_CLOUD_SECURITY_TOKEN"]


def test_no_repr_shows_a_secret_and_what_is_random_is_marked(cloud: Cloud) -> None:
    cloud.connect().create_key("orders")
    user = cloud.ram.create_user("user")
    decision = cloud.ram.explain(user, "Encrypt", "orders")
    things = [cloud, *cloud.instances.values(), user, cloud.ram.session(_role(cloud)), cloud.trail, *cloud.trail]
    for thing in (*things, decision, cloud.env(user), cloud.clock, cloud.faults):
        shown = repr(thing) + getattr(thing, "_repr_html_", str)()
        for secret in (user.access_key_secret, cloud.ram.root.access_key_secret, "CAIS"):
            assert secret not in shown
    assert repr(cloud.instances["software"]).startswith("<KmsInstance software ⟨kst-")
    assert f"⟨{cloud.endpoint}⟩" in repr(cloud)
    assert repr(decision) == "<Decision denied: no statement allows it>"
    assert repr(cloud.trail[-1]).startswith("<Event ")


def _role(cloud: Cloud) -> str:
    cloud.ram.create_role("role")
    return "role"


def test_the_extra_is_named_when_it_is_missing() -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None; import kmskit\n"
        "try: kmskit.emulator.start()\n"
        "except kmskit.MissingDependencyError as error: print(error, error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == 'the emulator needs the package uvicorn pip install "kmskit[emulator]"\n'


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
