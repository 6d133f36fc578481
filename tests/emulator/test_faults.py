"""Faults, quotas, the clock and the trail."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from Tea.exceptions import TeaException

from kmskit import emulator
from kmskit.emulator import Cloud

from .calls import Caller

Refused = Callable[..., str]


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        yield cloud


def test_a_fault_strikes_as_often_as_it_was_told(call: Caller, refused: Refused, cloud: Cloud) -> None:
    cloud.faults.add("List*", status=503, times=2)
    assert call("DescribeRegions")
    assert refused("ListKeys") == refused("ListAliases") == "ServiceUnavailableTemporary"
    assert call("ListKeys")
    cloud.faults.add(code="Rejected.Throttling", status=429, times=None, retry_after=250)
    with pytest.raises(TeaException) as error:
        call("ListKeys")
    thrown: Any = error.value
    assert thrown.retry_after == 250
    cloud.faults.clear()
    assert call("ListKeys")
    assert len(cloud.faults) == 0


def test_an_answer_that_is_lost_was_done_and_a_request_that_is_lost_was_not(call: Caller, cloud: Cloud) -> None:
    for drop, keys in (("request", 0), ("answer", 1)):
        cloud.faults.add("CreateKey", drop=drop)  # type: ignore[arg-type]
        with pytest.raises(TeaException) as error:
            call("CreateKey")
        assert error.value.code is None
        assert call("ListKeys")["TotalCount"] == keys


def test_a_delay_delays(call: Caller, cloud: Cloud) -> None:
    cloud.faults.add("DescribeRegions", delay=0.2)
    start = time.monotonic()
    call("DescribeRegions")
    assert time.monotonic() - start >= 0.2
    for wrong in ({"drop": "nonsense"}, {"status": 200}):
        with pytest.raises(ValueError, match="expected"):
            cloud.faults.add(**wrong)


def test_quotas_hold_once_they_are_switched_on(call: Caller, refused: Refused, cloud: Cloud) -> None:
    for _ in range(12):
        call("CreateKey")
    cloud.quotas.enabled = True
    cloud.quotas.scale = 0.001  # One call a second.
    codes = set()
    for _ in range(20):
        try:
            call("ListKeys")
        except TeaException as error:
            codes.add(error.code)
    assert codes == {"Rejected.Throttling"}
    cloud.quotas.scale = 1.0
    cloud.quotas.keys = 12
    time.sleep(1.0)
    assert refused("CreateKey") == "Rejected.LimitExceeded"
    cloud.quotas.enabled = False
    assert call("CreateKey")


def test_the_clock_goes_forward_only(cloud: Cloud) -> None:
    before = cloud.clock.now()
    cloud.clock.advance(timedelta(days=1), hours=1)
    assert 90_000 <= cloud.clock.now() - before < 90_100
    with pytest.raises(ValueError, match="forward"):
        cloud.clock.advance(days=-1)
    assert repr(cloud.clock).startswith("<Clock 2")


def test_the_trail_tells_who_did_what(call: Caller, refused: Refused, cloud: Cloud) -> None:
    user = cloud.ram.create_user("user")
    key = call.key()["KeyId"]
    refused("Encrypt", user, KeyId=key, Plaintext="aGk=")
    refused("Nonsense")
    made, denied, unknown = cloud.trail
    assert (made.action, made.user, made.keys, made.status, made.gateway) == (
        "CreateKey",
        "root",
        (key,),
        200,
        "shared",
    )
    assert (denied.action, denied.user, denied.code) == ("Encrypt", "user", "Forbidden.NoPermission")
    assert denied.reason == "no statement allows it"
    assert denied.access_key_id == user.access_key_id
    assert (unknown.action, unknown.code) == ("", "InvalidApi.NotFound")
    assert "Encrypt" in cloud.trail._repr_html_()
    assert len(cloud.trail) == 3
    cloud.trail.clear()
    assert repr(cloud.trail) == "<Trail of 0 calls>"
