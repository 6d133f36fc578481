"""Signatures: every recorded request is accepted at its time, and refused when any part of it is changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmskit.emulator.errors import ServiceError
from kmskit.emulator.wire.nonces import WINDOW, Nonces
from kmskit.emulator.wire.request import parse_request
from kmskit.emulator.wire.signing import rpc_signature, rpc_string
from kmskit.emulator.wire.verify import Credential, verify
from tests.emulator.wire.recorded import REQUESTS, Recorded, find

EACH = pytest.mark.parametrize("request_", REQUESTS, ids=lambda each: each.name)
IN_HEADERS = [each for each in REQUESTS if each.scheme.startswith("ACS")]
EACH_IN_HEADERS = pytest.mark.parametrize("request_", IN_HEADERS, ids=lambda each: each.name)
IN_PARAMETERS = [each for each in REQUESTS if each.scheme.startswith("V1")]


def code(request: Recorded, nonces: Nonces | None = None, now: float | None = None) -> str:
    with pytest.raises(ServiceError) as refused:
        request.verified(nonces, now)
    assert refused.value.status in (400, 404)
    return refused.value.code


@EACH
def test_a_recorded_request_is_accepted_at_its_time(request_: Recorded) -> None:
    signed = request_.verified()
    assert signed.scheme == request_.scheme
    assert signed.action == request_.action
    assert signed.version == "2016-01-20"
    assert signed.credential.id.startswith("STS." if request_.sts else "LTAI")


@EACH
def test_it_is_refused_a_second_time(request_: Recorded) -> None:
    nonces = Nonces()
    request_.verified(nonces)
    assert code(request_, nonces) == "SignatureNonceUsed"


@EACH
@pytest.mark.parametrize("minutes", [-16, 16])
def test_it_is_refused_outside_of_its_time(request_: Recorded, minutes: int) -> None:
    assert code(request_, now=request_.received_at + 60 * minutes) == "InvalidTimeStamp.Expired"


@EACH
def test_another_method_is_refused(request_: Recorded) -> None:
    other = "GET" if request_.method == "POST" else "POST"
    assert code(replace(request_, method=other)) == "SignatureDoesNotMatch"


@EACH
def test_an_added_parameter_is_refused(request_: Recorded) -> None:
    query = request_.target.partition("?")[2]
    added = replace(request_, target=f"/?{query}&Added=1" if query else "/?Added=1")
    assert code(added) == "SignatureDoesNotMatch"


@EACH
def test_an_added_form_is_refused(request_: Recorded) -> None:
    body = f"{request_.body}&Added=1" if request_.body else "Added=1"
    form = replace(request_, body=body).with_header("content-type", "application/x-www-form-urlencoded")
    assert code(form) in ("SignatureDoesNotMatch", "IncompleteSignature")


@EACH
def test_every_changed_parameter_is_refused(request_: Recorded) -> None:
    for where in ("target", "body"):
        text: str = getattr(request_, where)
        for start in [at for at in range(len(text)) if text[at] == "="]:
            changed = replace(request_, **{where: f"{text[: start + 1]}x{text[start + 1 :]}"})
            assert code(changed) in {
                "SignatureDoesNotMatch",
                "InvalidAccessKeyId.NotFound",
                "InvalidSignatureMethod",
                "InvalidTimeStamp.Format",
            }


@EACH_IN_HEADERS
def test_every_changed_header_is_refused(request_: Recorded) -> None:
    signed = request_.header("authorization").partition("SignedHeaders=")[2].partition(",")[0].split(";")
    for name in signed:
        assert code(request_.with_header(name, request_.header(name) + "0")) in {
            "SignatureDoesNotMatch",
            "InvalidTimeStamp.Format",
            "InvalidAccessKeyId.NotFound",
            "IncompleteSignature",
        }
        assert code(request_.with_header(name, None)) != ""


@EACH_IN_HEADERS
def test_an_unsigned_header_of_the_gateway_is_refused(request_: Recorded) -> None:
    assert code(request_.with_header("x-acs-added", "1")) == "IncompleteSignature"


@EACH_IN_HEADERS
def test_an_unsigned_content_type_matters_only_to_a_body(request_: Recorded) -> None:
    """aiohttp, and so the vendor's asynchronous client, adds one to requests that have no body."""
    if not any(name.lower() == "content-type" for name, _ in request_.headers):
        typed = request_.with_header("content-type", "application/x-www-form-urlencoded")
        assert typed.verified().action == request_.action
        assert code(replace(typed, body="Extra=1")) == "IncompleteSignature"


@EACH_IN_HEADERS
def test_a_header_that_comes_twice_is_refused(request_: Recorded) -> None:
    twice = replace(request_, headers=[*request_.headers, ("host", request_.header("host"))])
    assert code(twice) == "IncompleteSignature"


@EACH_IN_HEADERS
@pytest.mark.parametrize("name", ["host", "x-acs-action", "x-acs-date", "x-acs-signature-nonce"])
def test_a_header_must_be_in_the_list(request_: Recorded, name: str) -> None:
    authorization = request_.header("authorization")
    listed = authorization.partition("SignedHeaders=")[2].partition(",")[0]
    fewer = ";".join(each for each in listed.split(";") if each != name)
    assert code(request_.with_header("authorization", authorization.replace(listed, fewer))) == "IncompleteSignature"
    turned = ";".join(reversed(listed.split(";")))
    assert code(request_.with_header("authorization", authorization.replace(listed, turned))) == "IncompleteSignature"


@pytest.mark.parametrize("request_", [each for each in IN_HEADERS if "ACS4" in each.scheme], ids=lambda each: each.name)
def test_the_scope_of_acs4_is_signed(request_: Recorded) -> None:
    authorization = request_.header("authorization")
    date = request_.header("x-acs-date")[:10].replace("-", "")
    assert code(request_.with_header("authorization", authorization.replace(date, "20200101"))) == "IncompleteSignature"
    for old, new in (("/Kms/", "/Ecs/"), (f"{date}/", f"{date}/x"), (f"{date}/", f"{date}/\udcff")):
        assert code(request_.with_header("authorization", authorization.replace(old, new))) == "SignatureDoesNotMatch"


@EACH_IN_HEADERS
@pytest.mark.parametrize("scheme", ["ACS3-HMAC-SM3", "ACS3-RSA-SHA256", "Bearer", "Basic"])
def test_other_schemes_are_refused(request_: Recorded, scheme: str) -> None:
    authorization = request_.header("authorization")
    other = f"{scheme} {authorization.partition(' ')[2]}"
    assert code(request_.with_header("authorization", other)) == "InvalidSignatureMethod"


@EACH
def test_a_key_that_was_disabled_or_has_another_secret_is_refused(request_: Recorded) -> None:
    for change, wanted in (
        ({"active": False}, "InvalidAccessKeyId.Inactive"),
        ({"secret": "other"}, "SignatureDoesNotMatch"),
        ({"expired": True}, "InvalidAccessKeyId.NotFound"),
    ):

        def changed(access_key_id: str, change: dict[str, object] = change) -> Credential | None:
            found = find(access_key_id)
            return None if found is None else replace(found, **change)  # type: ignore[arg-type]

        with pytest.raises(ServiceError) as refused:
            verify(request_.parsed(), changed, Nonces(), request_.received_at)
        assert refused.value.code == wanted


@pytest.mark.parametrize("request_", [each for each in REQUESTS if each.sts], ids=lambda each: each.name)
def test_a_token_belongs_to_its_key(request_: Recorded) -> None:
    if request_.scheme.startswith("ACS"):
        authorization = (
            request_.header("authorization").replace("x-acs-security-token;", "").replace(";x-acs-security-token", "")
        )
        unlisted = request_.with_header("x-acs-security-token", None).with_header("authorization", authorization)
        assert code(unlisted) == "MissingSecurityToken"
        assert code(request_.with_header("x-acs-security-token", "other")) == "InvalidAccessKeyId.NotFound"
        assert code(request_.with_header("x-acs-accesskey-id", "other")) == "IncompleteSignature"
    else:
        token = next(part for part in request_.target.split("&") if part.startswith("SecurityToken="))
        assert code(replace(request_, target=request_.target.replace(token, "a=b"))) == "MissingSecurityToken"
        other = request_.target.replace(token, "SecurityToken=other")
        assert code(replace(request_, target=other)) == "InvalidAccessKeyId.NotFound"


@pytest.mark.parametrize("request_", IN_PARAMETERS, ids=lambda each: each.name)
def test_v1_takes_the_action_from_what_is_signed(request_: Recorded) -> None:
    """Its headers are not signed, so a changed one is passed over and does not change what is done."""
    changed = request_.with_header("x-acs-action", "ScheduleKeyDeletion").with_header("x-acs-version", "1999-01-01")
    assert changed.verified().action == request_.action


@pytest.mark.parametrize("request_", IN_PARAMETERS, ids=lambda each: each.name)
@pytest.mark.parametrize(
    "name",
    [
        "Action",
        "Version",
        "AccessKeyId",
        "SignatureMethod",
        "SignatureVersion",
        "Timestamp",
        "SignatureNonce",
        "Signature",
    ],
)
def test_v1_names_the_common_parameter_that_is_missing(request_: Recorded, name: str) -> None:
    def without(text: str) -> str:
        return "&".join(part for part in text.split("&") if not part.startswith(f"{name}="))

    path, mark, query = request_.target.partition("?")
    fewer = replace(request_, target=f"{path}{mark}{without(query)}", body=without(request_.body))
    assert code(fewer) == f"Missing{name}"


def test_the_published_vector_of_v1() -> None:
    query = (
        b"Action=CreateKey&SignatureVersion=1.0&Format=json&Version=2016-01-20&AccessKeyId=testid"
        b"&SignatureMethod=HMAC-SHA1&Timestamp=2016-03-28T03%3A13%3A08Z"
    )
    string = rpc_string(parse_request("GET", "/", query, [], b""))
    assert rpc_signature("testsecret", string, "HMAC-SHA1") == "41wk2SSX1GJh7fwnc5eqOfiJPFg="


@EACH
def test_the_refusal_repeats_no_plaintext(request_: Recorded) -> None:
    """Old clients take the message apart at its colon, so there always is one."""
    for where in ("target", "body"):
        text: str = getattr(request_, where)
        changed = replace(request_, **{where: text.replace("Plaintext=aGVsbG8", "Plaintext=aGVsbG9")})
        if changed != request_:
            with pytest.raises(ServiceError) as refused:
                changed.verified()
            assert refused.value.code == "SignatureDoesNotMatch"
            assert refused.value.message.count(":") == 1
            assert "aGVsbG" not in refused.value.message


@pytest.mark.parametrize(
    "date", ["2026-11-23", "2026-02-31T00:00:00Z", "", "2026-11-23T21:09:37+00:00", "٢٠٢٦-11-23T21:09:37Z", "now"]
)
def test_a_date_that_cannot_be_read(date: str) -> None:
    request = IN_HEADERS[0].with_header("x-acs-date", date)
    assert code(request) == ("InvalidTimeStamp.Format" if date else "MissingTimestamp")


def test_nonces_are_one_keys_own_and_forgotten_when_their_date_is_over() -> None:
    nonces = Nonces()
    assert nonces.use("a", "n", 1000.0, 1000.0)
    assert nonces.use("b", "n", 1000.0, 1000.0)
    assert not nonces.use("a", "n", 1000.0 + WINDOW, 1000.0 + WINDOW)
    assert nonces.use("a", "n", 2200.0, 2200.0)
    assert len(nonces._buckets) == 1


def test_a_nonce_that_was_not_signed_uses_up_nothing() -> None:
    request, nonces = IN_HEADERS[0], Nonces()
    wrong = request.with_header("authorization", request.header("authorization")[:-4] + "0000")
    assert code(wrong, nonces) == "SignatureDoesNotMatch"
    request.verified(nonces)


@given(st.binary(max_size=300), st.sampled_from(REQUESTS))
def test_whatever_the_authorization_holds_is_refused_in_order(noise: bytes, request: Recorded) -> None:
    changed = request.with_header("authorization", noise.decode("latin-1"))
    if changed.scheme.startswith("ACS"):
        assert code(changed).startswith(("Missing", "Incomplete", "InvalidSignatureMethod"))
