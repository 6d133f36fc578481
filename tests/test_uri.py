"""URIs: parsing and formatting lose nothing, and errors show nothing."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kmskit.errors import ConfigurationError
from kmskit.testing import leaks
from kmskit.uri import Uri, parse

NAMES = st.text(min_size=1, max_size=10)
PAIRS = st.dictionaries(NAMES, st.text(max_size=20), max_size=4)
SCHEMES = st.from_regex(r"[a-z][a-z0-9+.-]{0,9}", fullmatch=True).filter(lambda name: name != "pkcs11")
URIS = st.one_of(
    st.builds(Uri, SCHEMES, st.none(), st.text(max_size=20), query=PAIRS),
    st.builds(Uri, SCHEMES, st.text(max_size=20), st.text(max_size=20).map("/{}".format), query=PAIRS),
    st.builds(Uri, SCHEMES, st.text(max_size=20), query=PAIRS),
    st.builds(Uri, st.just("pkcs11"), attributes=PAIRS, query=PAIRS),
)
# Texts that come close to a URI, so that most of them get beyond the first check.
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(
            [
                "software:",
                "pkcs11:",
                "alibaba:",
                "//",
                "/",
                "?",
                "&",
                ";",
                "=",
                "a",
                "%41",
                "%ff",
                "%2F",
                "%",
                ":",
                "#",
                "ä",
            ]
        )
    ).map("".join),
)


@given(URIS)
def test_formatting_and_parsing_give_back_the_parts(uri: Uri) -> None:
    assert parse(str(uri)) == uri


@given(TEXTS)
@example("software:%2F%2Fhost/path")
@example("pkcs11:id=%FF%00%3B?pin-source=file:/x")
@example("software:///a%3Fb?key-file=/x%26y")
def test_any_text_is_a_uri_or_refused(text: str) -> None:
    try:
        uri = parse(text)
    except ConfigurationError:
        return
    assert parse(str(uri)) == uri
    assert str(parse(str(uri))) == str(uri)


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("software:", Uri("software")),
        ("SOFTWARE:", Uri("software")),
        ("software:?memory=1", Uri("software", query={"memory": "1"})),
        ("software:///abs/keys.db", Uri("software", "", "/abs/keys.db")),
        ("software:///a%20b/k.db?key-file=/c%20d", Uri("software", "", "/a b/k.db", query={"key-file": "/c d"})),
        ("alibaba://cn-hangzhou", Uri("alibaba", "cn-hangzhou")),
        ("alibaba://localhost:8443?ca=/a.pem", Uri("alibaba", "localhost:8443", query={"ca": "/a.pem"})),
        ("alibaba://[::1]:8443", Uri("alibaba", "[::1]:8443")),
        ("mine:a+b", Uri("mine", None, "a+b")),
        (
            "pkcs11:token=Software%20PKCS%2311%20softtoken;manufacturer=Snake%20Oil,%20Inc.?pin-source=file:/etc/pin",
            Uri(
                "pkcs11",
                attributes={"token": "Software PKCS#11 softtoken", "manufacturer": "Snake Oil, Inc."},
                query={"pin-source": "file:/etc/pin"},
            ),
        ),
        ("pkcs11:id=%69%95%3E", Uri("pkcs11", attributes={"id": "i\udc95>"})),
        ("pkcs11:", Uri("pkcs11")),
    ],
)
def test_parts_of_a_uri(text: str, uri: Uri) -> None:
    assert parse(text) == uri
    assert parse(str(uri)) == uri


def test_binary_attributes_lose_no_byte() -> None:
    every = bytes(range(256))
    uri = parse("pkcs11:id=" + "".join(f"%{byte:02x}" for byte in every))
    assert uri.attributes["id"].encode("utf-8", "surrogateescape") == every
    assert parse(str(uri)) == uri


@pytest.mark.parametrize(
    "text",
    [
        "",
        "keys.db",
        "/abs/keys.db",
        "1x:",
        ":",
        "software:?",
        "software:?a",
        "software:?=1",
        "software:?a=1&a=2",
        "software:?a=1&%61=2",
        "software:?a=1&",
        "software:///a b",
        "software:///ä",
        "software:///a\nb",
        "software:///a#b",
        "software:///%4",
        "software:///%zz",
        "pkcs11:token",
        "pkcs11:token=a;token=b",
        "pkcs11:token=a;;object=b",
        "software:///" + "a" * 9000,
    ],
)
def test_what_is_no_uri_is_refused_with_the_cure(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse(text)


def test_what_is_not_text_is_a_type_error() -> None:
    wrong: Any
    for wrong in (None, b"software:", 7, Uri("software")):
        with pytest.raises(TypeError, match="uri"):
            parse(wrong)


def test_no_display_shows_the_query() -> None:
    uri = parse("software:///keys.db?key-file=/home/alice/secret")
    assert repr(uri) == "<Uri software:///keys.db?…>"
    assert "alice" not in repr(uri) + uri.redacted()
    assert repr(parse("software:///keys.db")) == "<Uri software:///keys.db>"


@pytest.mark.parametrize(
    "tail", ["a=secret-value&a=secret-value", "secret-value", "a=secret-value b", "x=secret-value"]
)
def test_no_error_shows_the_query(tail: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse(f"software:///keys.db?{tail}").only(["key-file"])
    leaks.assert_clean(refused.value, b"secret-value")


def test_only_known_attributes_pass() -> None:
    parse("software:///x?key-file=/y").only(["key-file", "memory"])
    with pytest.raises(ConfigurationError) as refused:
        parse("software:///x?keyfile=/y").only(["memory", "key-file"])
    assert refused.value.hint == "known attributes of the query: key-file, memory"
    with pytest.raises(ConfigurationError):
        parse("pkcs11:tokn=x").only([], ["token"])


def test_query_attributes_are_set_and_removed() -> None:
    uri = parse("software:///x?key-file=/y&a=1")
    assert uri.with_query(key_file=None, b="2") == Uri("software", "", "/x", query={"a": "1", "b": "2"})
    assert uri.query == {"key-file": "/y", "a": "1"}


@given(st.text(max_size=30).map(lambda path: "/" + path))
def test_any_path_can_be_written_into_a_uri(path: str) -> None:
    assert parse(f"software://{quote(path)}").path == path
