"""A cloud, and clients of the vendor's own SDKs for it, over real HTTPS."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from alibabacloud_kms20160120.client import Client
from alibabacloud_tea_openapi.models import Config
from Tea.exceptions import TeaException

from kmskit import emulator
from kmskit.emulator import Cloud, Identity

from .calls import Caller

MODES: dict[str, dict[str, str]] = {
    "ACS3": {},
    "ACS4": {"signature_version": "v4"},
    "V1": {"signature_algorithm": "v2"},
}


@pytest.fixture(autouse=True, scope="session")
def _no_proxy() -> Iterator[None]:
    """The vendor's SDK sends also what is meant for loopback to a proxy."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """One for all tests of a module."""
    with emulator.start() as cloud:
        yield cloud


@pytest.fixture
def sdk(cloud: Cloud) -> Callable[..., Any]:
    """A client of the vendor's V2 SDK: of a user, a gateway, a signature scheme."""

    def client(who: Identity | None = None, instance: str | None = None, mode: str = "ACS3") -> Any:
        user = who or cloud.ram.root
        gateway = cloud if instance is None else cloud.instances[instance]
        return Client(
            Config(
                access_key_id=user.access_key_id,
                access_key_secret=user.access_key_secret,
                security_token=user.security_token,
                endpoint=gateway.endpoint,
                ca=gateway.ca_path,
                region_id=cloud.region,
                **MODES[mode],
            )
        )

    return client


@pytest.fixture
def call(cloud: Cloud) -> Callable[..., dict[str, Any]]:
    """Any action by its name and parameters, through the vendor's generic client."""
    return Caller(cloud)


@pytest.fixture
def refused(cloud: Cloud) -> Callable[..., str]:
    """The code with which a call is refused."""
    caller = Caller(cloud)

    def refuse(action: str, who: Identity | None = None, instance: str | None = None, **parameters: object) -> str:
        with pytest.raises(TeaException) as error:
            caller(action, who, instance, **parameters)
        return str(error.value.code)

    return refuse
