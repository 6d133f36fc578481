"""A pytest plugin with one fixture, `kms_cloud`: an emulator of Alibaba Cloud KMS, fresh for each test.

    pytest_plugins = ["kmskit.testing.cloud"]            # in conftest.py

    def test_orders_are_encrypted(kms_cloud):
        app = kms_cloud.ram.create_user("app", policies=["AliyunKMSCryptoUserAccess"])
        ...

It needs the extra `emulator`, and starts in some hundredths of a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kmskit.emulator import Cloud

__all__ = ["kms_cloud"]


@pytest.fixture
def kms_cloud() -> Iterator[Cloud]:
    """A running `kmskit.emulator.Cloud` with nothing in it, stopped at the end of the test."""
    from kmskit import emulator

    with emulator.start() as cloud:
        yield cloud
