"""Requests: what clients encode differently is read alike, and what could be read in two ways is refused."""

from __future__ import annotations

from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmskit.emulator.errors import ServiceError
from kmskit.emulator.wire.request import MAX_PARAMETERS, parse_pairs, parse_request

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
FORM = [(b"Content-Type", b"application/x-www-form-urlencoded; charset=utf-8")]


@given(st.dictionaries(TEXT.filter(bool), TEXT, max_size=8))
def test_pairs_come_back_in_every_encoding(pairs: dict[str, str]) -> None:
    for encode in (quote, quote_plus):
        assert parse_pairs(urlencode(pairs, quote_via=encode).encode()) == pairs


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        pairs = parse_pairs(data)
    except ServiceError:
        return
    assert parse_pairs(urlencode(pairs).encode()) == pairs


def test_query_and_form_are_one() -> None:
    request = parse_request("POST", "/", b"Action=Encrypt", FORM, b"KeyId=a%20b+c")
    assert request.parameters == {"Action": "Encrypt", "KeyId": "a b c"}


def test_a_body_that_is_no_form_holds_no_parameters() -> None:
    assert parse_request("POST", "/", b"a=1", [], b"b=2").parameters == {"a": "1"}
    assert parse_request("POST", "/", b"a=1", [(b"content-type", b"text/plain")], b"b=2").parameters == {"a": "1"}


@pytest.mark.parametrize(
    ("query", "body"), [(b"a=1&a=1", b""), (b"a=1", b"a=1"), (b"", b"a=1&a=2"), (b"%61=1&a=2", b"")]
)
def test_a_parameter_that_comes_twice_is_refused(query: bytes, body: bytes) -> None:
    with pytest.raises(ServiceError, match="ParseRequestParameterException"):
        parse_request("POST", "/", query, FORM, body)


def test_what_is_not_utf8_is_refused_and_not_carried_along() -> None:
    with pytest.raises(ServiceError) as refused:
        parse_pairs(b"Plaintext=secret%ff")
    assert refused.value.__context__ is None


def test_there_is_a_bound() -> None:
    with pytest.raises(ServiceError):
        parse_pairs(b"&".join(b"a%d=1" % number for number in range(MAX_PARAMETERS + 1)))


def test_the_repr_shows_no_value() -> None:
    request = parse_request("POST", "/", b"Plaintext=geheim", [*FORM, (b"x", b"geheim")], b"b=geheim")
    assert "geheim" not in repr(request)
