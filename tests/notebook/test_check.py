"""Exercises are judged: not tried, wrong with a reason, right."""

from __future__ import annotations

from typing import Any

import pytest

from kmskit.notebook import Verdict, check
from kmskit.testing import hostile

FAULTS = {
    "that is not a number": lambda n: not isinstance(n, int),
    "it is too small": lambda n: n < 10,
}


def test_the_first_fault_found_is_the_reason() -> None:
    for answer, reason in (("x", "that is not a number"), (3, "it is too small")):
        verdict = check(answer, FAULTS)
        assert (verdict.right, verdict.tried, verdict.reason) == (False, True, reason)
        assert repr(verdict) == f"Not right yet: {reason}"
        assert reason in verdict._repr_html_()


def test_an_answer_without_a_fault_is_right_and_shows_the_lesson() -> None:
    verdict = check(11, FAULTS, lesson="ten is the least")
    assert verdict.right
    assert repr(verdict) == "Right: ten is the least"
    assert "ten is the least" in verdict._repr_html_()
    assert repr(check(11, FAULTS)) == "Right"


def _to_be_written(row: dict[str, str]) -> Any:
    return ...


@pytest.mark.parametrize("answer", [..., None, [1, ...], (...,), {"tenant": ...}, {...}, _to_be_written])
def test_an_answer_that_is_not_there_yet_is_neither_right_nor_wrong(answer: Any) -> None:
    verdict = check(answer, {"it is wrong": lambda given: given({}) == {} if callable(given) else True})
    assert not verdict.tried
    assert not verdict.right
    assert repr(verdict).startswith("Not tried yet: put your answer in place of ...")
    assert "Not tried yet" in verdict._repr_html_()


def test_a_function_is_judged_by_what_it_returns() -> None:
    faults = {"the tenant is not bound": lambda context_for: context_for({"tenant": "acme"}) != {"tenant": "acme"}}
    assert check(lambda row: {"tenant": row["tenant"]}, faults).right
    assert check(lambda row: {}, faults).reason == "the tenant is not bound"


def test_a_class_may_be_an_answer() -> None:
    assert check(dict, {"it makes no mapping": lambda kind: kind(a=1) != {"a": 1}}).right


def test_an_error_of_the_answer_is_the_reason() -> None:
    verdict = check(lambda row: row["customer"], {"wrong": lambda answer: answer({"tenant": "acme"}) != "acme"})
    assert verdict.reason == "your answer raised KeyError: 'customer'"


@pytest.mark.parametrize("found", [None, 0, "yes"])
def test_a_test_that_forgets_to_answer_accepts_nothing(found: Any) -> None:
    with pytest.raises(TypeError, match="'it is wrong' must return True or False"):
        check(3, {"it is wrong": lambda answer: found})


def test_a_check_without_a_fault_to_look_for_accepts_nothing() -> None:
    with pytest.raises(ValueError, match="at least one expected"):
        check(3, {})


def test_interrupting_a_check_is_no_verdict() -> None:
    def stop(answer: int) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(3, {"it is wrong": stop})


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_texts_of_others_are_made_safe(text: str) -> None:
    hostile.assert_safe(Verdict(reason=text))
    hostile.assert_safe(Verdict(lesson=text))
