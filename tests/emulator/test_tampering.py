"""More than a thousand requests that somebody has changed, over the wire: each gets its refusal, and none a 500."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from kmskit import emulator
from kmskit.emulator import Cloud

from .calls import Caller
from .signing import Line, Signed, acs3, v1

KNOWN = {
    "SignatureDoesNotMatch",
    "SignatureNonceUsed",
    "IncompleteSignature",
    "InvalidAccessKeyId.NotFound",
    "InvalidApi.NotFound",
    "InvalidSignatureMethod",
    "InvalidTimeStamp.Expired",
    "InvalidTimeStamp.Format",
    "MissingSecurityToken",
    "ParseRequestParameterException",
    "UnsupportedHTTPMethod",
}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        yield cloud


def changed(text: str, draw: random.Random) -> str:
    at = draw.randrange(len(text)) if text else 0
    return text[:at] + draw.choice("aZ0-%&=+ /é") + text[at + draw.randrange(2) :]


def tampered(request: Signed, draw: random.Random) -> bool:
    """Change one thing that the signature speaks for. Whether anything did change."""
    before = (request.method, dict(request.query), dict(request.form), dict(request.headers))
    way = draw.randrange(6)
    pool = request.form or request.query
    if way == 0:
        request.method = "GET" if request.form == {} else "PUT"
    elif way == 1:
        name = draw.choice(sorted(pool))
        pool[name] = changed(pool[name], draw)
    elif way == 2:
        pool[f"Added{draw.randrange(9)}"] = "1"
    elif way == 3:
        pool.pop(draw.choice(sorted(pool)))
    elif "Authorization" in request.headers:
        name = draw.choice(sorted(request.headers))
        if way == 4:
            request.headers[name] = changed(request.headers[name], draw).encode("ascii", "replace").decode().strip()
        else:
            request.headers[f"x-acs-added-{draw.randrange(9)}"] = "1"
    else:
        pool["Signature"] = changed(pool["Signature"], draw)
    return before != (request.method, request.query, request.form, request.headers)


def test_a_thousand_changed_requests_are_refused(cloud: Cloud) -> None:
    draw = random.Random(5)
    caller = Caller(cloud)
    key = caller.key()["KeyId"]
    role = cloud.ram.create_role("role", policies=["AliyunKMSFullAccess"])
    people = [cloud.ram.root, cloud.ram.session("role")]
    assert role
    codes: Counter[str] = Counter()
    with closing(Line(cloud)) as line:
        while codes.total() < 1200:
            who = draw.choice(people)
            parameters = {"KeyId": key, "Plaintext": "aGVsbG8="}
            request = (
                acs3(who, line.host, "Encrypt", parameters)
                if draw.randrange(2)
                else v1(who, "Encrypt", parameters, in_form=bool(draw.randrange(2)))
            )
            if not tampered(request, draw):
                continue
            status, answer = line.send(request)
            assert 400 <= status < 500, answer
            assert answer["Code"] in KNOWN or answer["Code"].startswith("Missing"), answer
            assert {"RequestId", "HostId", "Message", "Recommend"} <= answer.keys()
            codes[answer["Code"]] += 1
        assert len(codes) >= 8
        assert line.send(acs3(cloud.ram.root, line.host, "Encrypt", parameters))[0] == 200


@pytest.mark.parametrize("scheme", ["ACS3", "V1"])
def test_each_kind_of_refusal_over_the_wire(cloud: Cloud, scheme: str) -> None:
    key = Caller(cloud).key()["KeyId"]
    cloud.ram.create_role("role", policies=["AliyunKMSFullAccess"])
    user, session = cloud.ram.create_user("user"), cloud.ram.session("role", seconds=900)
    parameters = {"KeyId": key, "Plaintext": "aGVsbG8="}
    with closing(Line(cloud)) as line:

        def make(who: Any, ahead: float = 0.0) -> Signed:
            if scheme == "V1":
                return v1(who, "Encrypt", parameters, ahead=ahead)
            return acs3(who, line.host, "Encrypt", parameters, ahead=ahead)

        def code(request: Signed) -> str:
            return str(line.send(request)[1].get("Code"))

        request = make(cloud.ram.root)
        assert line.send(request)[0] == 200
        assert code(request) == "SignatureNonceUsed"
        assert code(make(cloud.ram.root, 16 * 60)) == code(make(cloud.ram.root, -16 * 60)) == "InvalidTimeStamp.Expired"
        assert line.send(make(cloud.ram.root, 14 * 60))[0] == 200
        assert code(make(user)) == "Forbidden.NoPermission"
        assert line.send(make(session))[0] == 200
        mixed = emulator.Identity("", "", user.access_key_id, cloud.ram.root.access_key_secret)
        assert code(make(mixed)) == "SignatureDoesNotMatch"
        stolen = emulator.Identity("", "", session.access_key_id, session.access_key_secret)
        assert code(make(stolen)) == "MissingSecurityToken"
        cloud.clock.advance(minutes=16)
        assert code(make(session)) == "InvalidAccessKeyId.NotFound"
        cloud.clock.skew(-20 * 60)
        assert code(make(cloud.ram.root)) == "InvalidTimeStamp.Expired"


def test_a_refused_signature_repeats_no_plaintext(cloud: Cloud) -> None:
    wrong = emulator.Identity("", "", cloud.ram.root.access_key_id, "wrong")
    with closing(Line(cloud)) as line:
        shown = line.send(v1(wrong, "DescribeKey", {"KeyId": "k-1"}))[1]
        hidden = line.send(v1(wrong, "Encrypt", {"KeyId": "k-1", "Plaintxet": "c2VjcmV0"}))[1]
    assert shown["Code"] == hidden["Code"] == "SignatureDoesNotMatch"
    assert "k-1" in shown["Message"]
    assert "c2VjcmV0" not in hidden["Message"]


def test_a_dispatch_header_that_is_not_signed_changes_nothing(cloud: Cloud) -> None:
    """In V1 nobody vouches for `x-acs-action`."""
    caller = Caller(cloud)
    key = caller.key()["KeyId"]
    request = v1(cloud.ram.root, "DescribeKey", {"KeyId": key})
    request.headers["x-acs-action"] = "DisableKey"
    with closing(Line(cloud)) as line:
        assert line.send(request)[1]["KeyMetadata"]["KeyState"] == "Enabled"
    assert caller("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"


def test_other_methods_paths_and_versions(cloud: Cloud) -> None:
    with closing(Line(cloud)) as line:
        request = acs3(cloud.ram.root, line.host, "ListKeys", {})
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            request.method = method
            assert line.send(request)[1]["Code"] == "UnsupportedHTTPMethod"
        other = v1(cloud.ram.root, "AssumeRole", {})  # STS has another version.
        assert line.send(other)[1]["Code"] == "InvalidApi.NotFound"
