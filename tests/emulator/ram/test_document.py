"""The grammar of policies."""

from __future__ import annotations

import fnmatch
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmskit.emulator.ram.document import PolicyError, parse_document

GOOD: dict[str, Any] = {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}


def speaks(statement: dict[str, Any], action: str = "kms:Encrypt", resource: str = "r", **context: str) -> bool:
    (parsed,) = parse_document(json.dumps({"Version": "1", "Statement": [GOOD | statement]})).statements
    return parsed.speaks_of(action, resource, {name.replace("_", ":"): value for name, value in context.items()})


@given(st.lists(st.sampled_from(["a", "b", "*", "?", ":", "/"]), max_size=8), st.text("ab:/", max_size=12))
def test_wildcards_match_as_those_of_a_shell(parts: list[str], text: str) -> None:
    pattern = "".join(parts) or "a"
    wanted = re.fullmatch(fnmatch.translate(pattern), text) is not None
    assert speaks({"Resource": pattern}, resource=text) == wanted


def test_many_stars_take_no_time() -> None:
    """Going back over all stars would take longer than the test may."""
    assert not speaks({"Resource": "*a" * 200 + "b"}, resource="a" * 2000)


def test_actions_are_told_apart_without_regard_to_case_and_resources_with() -> None:
    assert speaks({"Action": "KMS:encrypt"})
    assert not speaks({"Resource": "R"})


@pytest.mark.parametrize(
    ("operator", "given_", "values", "holds"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", "A", "a", False),
        ("StringEqualsIgnoreCase", "A", ["b", "a"], True),
        ("StringNotEquals", "a", ["b", "c"], True),
        ("StringNotEquals", "b", ["b", "c"], False),
        ("StringLike", "abc", "a*", True),
        ("StringNotLike", "abc", "a*", False),
        ("NumericLessThan", "9", "10", True),
        ("NumericEquals", "10", ["9", "10.0"], True),
        ("NumericNotEquals", "10", 10, False),
        ("DateLessThan", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00+08:00", True),
        ("DateGreaterThanEquals", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", True),
        ("Bool", "true", True, True),
        ("Bool", "true", "false", False),
        ("IpAddress", "10.1.2.3", ["10.0.0.0/8"], True),
        ("NotIpAddress", "10.1.2.3", ["10.0.0.0/8", "192.168.0.1"], False),
        ("IpAddress", "::1", "10.0.0.0/8", False),
        ("NumericEquals", "x", "1", False),
    ],
)
def test_conditions(operator: str, given_: str, values: Any, holds: bool) -> None:
    assert speaks({"Condition": {operator: {"acs:X": values}}}, acs_X=given_) is holds
    assert not speaks({"Condition": {operator: {"acs:X": values}}})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"Version":1,"Statement":[]}',
        '{"Version":"1","Statement":[]}',
        '{"Version":"1","Statement":{}}',
        '{"Version":"1","Statement":[1]}',
        "[" * 100_000,
        *(
            json.dumps({"Version": "1", "Statement": [GOOD | change]})
            for change in (
                {"Effect": "allow"},
                {"Action": []},
                {"Action": [1]},
                {"Resource": {}},
                {"Principal": {"RAM": ["x"]}},
                {"Other": 1},
                {"Sid": "x" * 129},
                {"Condition": []},
                {"Condition": {"Nonsense": {"a": "b"}}},
                {"Condition": {"StringEquals": {"a": []}}},
                {"Condition": {"IpAddress": {"acs:SourceIp": "nonsense"}}},
                {"Condition": {"NumericEquals": {"a": "nonsense"}}},
                {"Condition": {"DateLessThan": {"a": "nonsense"}}},
            )
        ),
    ],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        parse_document(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["Version", "Statement", "Effect", "Action", "Condition"]) | st.text(), inner
            )
        ),
    )
)
def test_any_json_is_parsed_or_refused(value: Any) -> None:
    try:
        parse_document(json.dumps(value))
        parse_document(json.dumps({"Version": "1", "Statement": value}))
    except PolicyError:
        pass
