"""Batches as sequences, and how they show themselves."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kmskit import Batch, BatchError, InvalidCiphertextError, LimitExceededError, Outcome
from kmskit.testing import hostile

GOOD = Batch([Outcome(b"first"), Outcome(b""), Outcome(b"third")])
BAD = Batch(
    [
        Outcome(b"first"),
        Outcome(error=InvalidCiphertextError("cut")),
        Outcome(b"third"),
        Outcome(error=LimitExceededError("large")),
    ]
)


def test_a_batch_is_a_sequence_of_outcomes() -> None:
    assert isinstance(BAD, Sequence)
    assert len(BAD) == 4
    assert BAD[0] == Outcome(b"first")
    assert BAD[-1].error is BAD.errors[3]
    assert list(BAD[1:3]) == list(BAD)[1:3]
    assert [outcome.value for outcome in BAD] == [b"first", None, b"third", None]
    with pytest.raises(IndexError):
        BAD[4]


def test_values_are_all_or_an_error() -> None:
    assert GOOD.values() == [b"first", b"", b"third"]
    assert GOOD.errors == {}
    with pytest.raises(BatchError, match="2 of 4 items failed, first item 1: cut") as failed:
        BAD.values()
    assert failed.value.errors == BAD.errors
    assert {index: type(error) for index, error in BAD.errors.items()} == {
        1: InvalidCiphertextError,
        3: LimitExceededError,
    }


def test_an_empty_batch_has_no_values() -> None:
    assert Batch([]).values() == []
    assert repr(Batch([])) == "<Batch of 0: 0 done, 0 failed>"


def test_a_batch_shows_counts_and_reasons_and_no_value() -> None:
    assert repr(GOOD) == "<Batch of 3: 3 done, 0 failed>"
    assert repr(BAD) == "<Batch of 4: 2 done, 2 failed>"
    assert repr(BAD[0]) == "<Outcome 5 bytes>"
    assert repr(BAD[1]) == "<Outcome InvalidCiphertextError: cut>"
    assert "all done" in GOOD._repr_html_()
    assert "InvalidCiphertextError" in BAD._repr_html_()
    for shown in (repr(BAD), BAD._repr_html_(), GOOD._repr_html_(), repr(BAD[0])):
        assert "first" not in shown.replace("first item", "")


def test_only_the_first_errors_are_shown() -> None:
    html = Batch([Outcome(error=InvalidCiphertextError(f"reason {number}")) for number in range(25)])._repr_html_()
    assert "reason 9" in html
    assert "reason 10" not in html
    assert "and 15 more" in html


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_no_reason_takes_over_the_display(text: str) -> None:
    batch = Batch([Outcome(error=InvalidCiphertextError(text, hint=text)), Outcome(b"x")])
    hostile.assert_safe(batch)
    hostile.assert_safe(batch[0])
    with pytest.raises(BatchError) as failed:
        batch.values()
    hostile.assert_safe(failed.value)
