"""The canonical bytes of an encryption context."""

from __future__ import annotations

import sys
from collections import OrderedDict
from itertools import count
from types import FrameType, MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kmskit.context import MAX_BYTES, canonical, parse
from kmskit.errors import LimitExceededError

CONTEXTS = st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=8)


def test_the_bytes_are_those_of_the_encryption_sdk_format() -> None:
    assert canonical({"b": "2", "a": "11"}).hex() == "000200016100023131000162000132"
    assert canonical({"ä": ""}).hex() == "00010002c3a40000"


@given(CONTEXTS)
def test_parsing_gives_back_the_context(context: dict[str, str]) -> None:
    assert parse(canonical(context)) == context


@given(st.binary(max_size=64))
@example(b"\0\0")
@example(bytes.fromhex("000200016100000001610000"))
@example(bytes.fromhex("00010001ff0000"))
def test_bytes_are_canonical_or_refused(data: bytes) -> None:
    try:
        context = parse(data)
    except ValueError:
        return
    assert canonical(context) == data


@given(CONTEXTS, st.integers(min_value=0), st.integers(min_value=0, max_value=7))
def test_a_change_of_any_bit_is_another_context_or_refused(context: dict[str, str], index: int, bit: int) -> None:
    data = bytearray(canonical({"always": "one", **context}))
    data[index % len(data)] ^= 1 << bit
    try:
        changed = parse(bytes(data))
    except ValueError:
        return
    assert changed != {"always": "one", **context}


@given(CONTEXTS, CONTEXTS)
@example({"a": "bc"}, {"ab": "c"})
@example({"a": "b", "c": "d"}, {"a": "b,c=d"})
def test_different_contexts_never_have_the_same_bytes(one: dict[str, str], other: dict[str, str]) -> None:
    assert (canonical(one) == canonical(other)) == (one == other)


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), unique_by=lambda pair: pair[0]), st.randoms())
def test_the_order_of_the_pairs_does_not_matter(pairs: list[tuple[str, str]], random: Any) -> None:
    shuffled = random.sample(pairs, len(pairs))
    assert canonical(dict(pairs)) == canonical(OrderedDict(shuffled))


@given(st.lists(CONTEXTS, max_size=12))
@example([{"a": "b"}, {"a": "c"}, {"a": "b"}, {"b": "a"}, {}, {"a": "b", "c": "d"}, {"c": "d", "a": "b"}])
def test_what_was_asked_before_changes_no_bytes(contexts: list[dict[str, str]]) -> None:
    for context in contexts:
        assert parse(canonical(context)) == parse(canonical(dict(context))) == context


def test_a_context_that_its_owner_changes_has_other_bytes() -> None:
    context = {"tenant": "acme"}
    before = canonical(context)
    context["tenant"] = "bcme"
    assert parse(canonical(context)) == {"tenant": "bcme"}
    assert canonical({"tenant": "acme"}) == before


class Caseless(str):
    """Text that calls other text equal."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.lower() == other.lower()

    def __hash__(self) -> int:
        return hash(self.lower())


class CaselessDict(dict[str, str]):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and {k: v.lower() for k, v in self.items()} == other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"tenant": "acme"}, {"tenant": Caseless("ACME")}),
        ({"tenant": "acme"}, {Caseless("Tenant"): "acme"}),
        ({"tenant": "acme"}, CaselessDict(tenant="ACME")),
        ({"a": "b", "tenant": "acme"}, {"a": "b", "tenant": Caseless("ACME")}),
    ],
)
def test_texts_that_only_call_themselves_equal_are_different_contexts(one: Any, other: Any) -> None:
    plain = {str.__str__(key): str.__str__(value) for key, value in other.items()}
    for first, second in ((one, other), (other, one)):
        assert parse(canonical(first)) != parse(canonical(second))
        assert canonical(second) == canonical(plain if second is other else one)
    assert canonical(other) == canonical(plain)


class Truthless:
    """Like a numpy array: comparing it gives something that is neither true nor false."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value is ambiguous")


class AnyKey:
    def __hash__(self) -> int:
        return hash("tenant")

    __eq__ = Truthless.__eq__


@pytest.mark.parametrize("wrong", [{"tenant": Truthless()}, {AnyKey(): "acme"}, {"tenant": "acme", "b": Truthless()}])
def test_nothing_is_compared_before_it_is_known_to_be_text(wrong: Any) -> None:
    for known in ({"tenant": "acme"}, {"tenant": "acme", "b": "c"}):
        canonical(known)
        with pytest.raises(TypeError, match="context: a mapping of text to text"):
            canonical(wrong)


@pytest.mark.parametrize("line", range(1, 12))
def test_another_thread_may_change_the_dict_meanwhile(line: int) -> None:
    """A tracer takes the other thread's place: it changes the dict before one of the lines that `canonical` runs."""
    context, lines = {"a": "1", "b": "2"}, count(1)

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code is not canonical.__code__:
            return None
        if event == "line" and next(lines) == line:
            context["c"] = "3"
        return trace

    canonical(dict(context))
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        found = parse(canonical(context))
    finally:
        sys.settrace(before)
    assert found in ({"a": "1", "b": "2"}, {"a": "1", "b": "2", "c": "3"})


def test_a_mapping_is_read_by_its_items() -> None:
    class Views(dict[str, str]):
        def items(self) -> Any:
            return {key: value.upper() for key, value in super().items()}.items()

    class Row:  # As of sqlite3: it has keys and is no mapping.
        def keys(self) -> list[str]:
            return ["a"]

        def __getitem__(self, key: str) -> str:
            return "b"

    assert parse(canonical(Views(a="b"))) == {"a": "B"}
    with pytest.raises(TypeError, match="context: a mapping of text to text"):
        canonical(Row())  # type: ignore[arg-type]


def test_pairs_are_sorted_by_their_bytes() -> None:
    # By UTF-16 units, as some languages sort, the two would stand the other way round.
    assert list(parse(canonical({"\U0001f511": "", "\uff5e": ""}))) == ["\uff5e", "\U0001f511"]


def test_an_empty_context_has_no_bytes() -> None:
    assert canonical(None) == canonical({}) == canonical(MappingProxyType({})) == b""
    assert parse(b"") == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"a": 1},
        {1: "a"},
        {"a": b"b"},
        {b"a": "b"},
        {"a": None},
        {"a": "b", 2: "c"},
        [("a", "b")],
        "text",
        b"x",
        7,
        {"a"},
    ],
)
def test_what_is_not_text_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match="context: a mapping of text to text"):
        canonical(wrong)


@pytest.mark.parametrize("context", [{"half": "\ud83d"}, {"\udcff": "x"}])
def test_a_lone_surrogate_is_a_value_error_that_carries_no_text(context: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="surrogate") as refused:
        canonical(context)
    assert type(refused.value) is ValueError
    assert refused.value.__context__ is refused.value.__cause__ is None


def test_65535_bytes_fit_and_one_more_does_not() -> None:
    room = MAX_BYTES - len(canonical({"k": ""}))
    assert len(canonical({"k": "x" * room})) == MAX_BYTES
    assert parse(canonical({"k": "x" * room})) == {"k": "x" * room}
    for context in (
        {"k": "x" * (room + 1)},
        {"k": "x" * 70_000},
        {"x" * 70_000: ""},
        {str(number): "x" * 100 for number in range(700)},
        {str(number): "" for number in range(70_000)},
    ):
        with pytest.raises(LimitExceededError, match="65,535"):
            canonical(context)
    with pytest.raises(ValueError, match="too long"):
        parse(bytes(MAX_BYTES + 1))
