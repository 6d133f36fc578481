"""Aliases, tags and binary arguments."""

from __future__ import annotations

import mmap
from array import array
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kmskit.names import check_alias, check_bytes, check_tags, is_key_id, strip_alias_prefix


@given(st.text(max_size=260))
@example("alias/orders")
@example("alias/alias/orders")
@example(str(uuid4()))
def test_an_alias_that_is_taken_is_found_under_the_name_it_is_shown_with(text: str) -> None:
    try:
        alias = check_alias(text)
    except ValueError:
        return
    assert strip_alias_prefix(alias) == alias
    assert strip_alias_prefix(f"alias/{alias}") == alias
    assert 1 <= len(alias) <= 249
    assert not is_key_id(alias)


@pytest.mark.parametrize(
    "text",
    [
        str(uuid4()),
        str(uuid4()).upper(),
        "00000000-0000-0000-0000-000000000000",
        "key-hzz62f1cb66fa42qo7zcb",
        "key-shh6715c21812y8i7z5xr",
    ],
)
def test_key_ids_are_recognised(text: str) -> None:
    assert is_key_id(text)
    for alias in (text, f"alias/{text}"):
        with pytest.raises(ValueError, match="key id"):
            check_alias(alias)


@pytest.mark.parametrize(
    "text", ["orders", "key-to-the-door", "key-", str(uuid4())[:-1], str(uuid4()) + "0", uuid4().hex]
)
def test_other_names_are_no_key_ids(text: str) -> None:
    assert not is_key_id(text)
    assert check_alias(text) == text


@pytest.mark.parametrize("text", ["", "alias/", "x" * 250, "a\0b", "half \ud83d"])
def test_what_cannot_be_an_alias_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="alias"):
        check_alias(text)


def test_wrong_types_are_type_errors() -> None:
    wrong: Any
    for wrong in (None, 7, b"orders", ["orders"]):
        with pytest.raises(TypeError):
            check_alias(wrong)
        with pytest.raises(TypeError):
            strip_alias_prefix(wrong)
    for wrong in (7, "text", [("a", "b")], {"a": 1}, {1: "a"}, {"a": None}):
        with pytest.raises(TypeError, match="tags"):
            check_tags(wrong)


def test_tags_are_copied_and_read_only() -> None:
    given_tags = {"a": "1"}
    tags: Any = check_tags(given_tags)
    given_tags["b"] = "2"
    assert dict(tags) == {"a": "1"}
    with pytest.raises(TypeError):
        tags["c"] = "3"
    assert dict(check_tags(None)) == {}


@pytest.mark.parametrize("tags", [{"": "x"}, {"x" * 257: ""}, {"x": "y" * 257}, {"a\0": ""}, {"a": "\udcff"}])
def test_what_cannot_be_a_tag_is_a_value_error(tags: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="tags"):
        check_tags(tags)


def test_any_buffer_is_binary() -> None:
    with mmap.mmap(-1, 4096) as mapped:
        mapped[:4] = b"data"
        for value in (b"data", bytearray(b"data"), memoryview(b"data"), array("B", b"data"), memoryview(mapped)[:4]):
            assert bytes(check_bytes("x", value)) == b"data"
        del value
    assert bytes(check_bytes("x", np.arange(6, dtype="uint8").reshape(2, 3))) == bytes(range(6))
    assert bytes(check_bytes("x", memoryview(b"d.a.t.a")[::2])) == b"data"


@pytest.mark.parametrize("wrong", ["text", None, 7, 1.5, ["list"], object()])
def test_what_is_not_binary_is_a_type_error_that_names_the_argument(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"plaintext: bytes expected, not {type(wrong).__name__}") as refused:
        check_bytes("plaintext", wrong)
    assert refused.value.__context__ is refused.value.__cause__ is None
    assert (".encode()" in str(refused.value)) == isinstance(wrong, str)
