"""Expected failures as values."""

from __future__ import annotations

import pytest

import kmskit
from kmskit import InvalidCiphertextError, KmsError
from kmskit.notebook import NotRefusedError, refused
from kmskit.testing import hostile


def _raise(error: Exception) -> None:
    raise error


def test_a_refusal_shows_class_reason_and_hint_one_a_line() -> None:
    key = kmskit.connect("software:?memory=1").create_key("orders")
    blob = key.encrypt(b"4111-1111", context={"tenant": "acme"})
    refusal = refused(lambda: key.decrypt(blob, context={"tenant": "other"}))
    assert isinstance(refusal.error, InvalidCiphertextError)
    lines = repr(refusal).splitlines()
    assert lines == ["InvalidCiphertextError", f"reason: {refusal.error}", f"hint: {refusal.error.hint}"]
    assert refusal._repr_html_() == refusal.error._repr_html_()


@pytest.mark.parametrize("error", [TypeError("plaintext: bytes expected"), ValueError("days: 7 to 366 expected")])
def test_wrong_arguments_are_refusals(error: Exception) -> None:
    refusal = refused(lambda: _raise(error))
    assert repr(refusal) == f"{type(error).__name__}\nreason: {error}"
    assert str(error) in refusal._repr_html_()


@pytest.mark.parametrize("error", [KeyError("x"), NameError("x"), OSError("x"), AssertionError("x")])
def test_every_other_error_passes_through(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        refused(lambda: _raise(error))
    assert raised.value is error


def test_a_call_that_goes_through_is_an_error_that_does_not_show_its_result() -> None:
    with pytest.raises(NotRefusedError, match="the call returned bytes") as raised:
        refused(lambda: b"4111-1111")
    assert isinstance(raised.value, AssertionError)
    assert "4111" not in str(raised.value)


def test_a_forgotten_lambda_is_not_taken_for_a_refusal() -> None:
    with pytest.raises(TypeError, match=r"write refused\(lambda: \.\.\.\)"):
        refused(b"decrypted before refused was called")  # type: ignore[arg-type]


def test_the_refusal_keeps_no_frame_alive() -> None:
    assert refused(lambda: _raise(KmsError("no"))).error.__traceback__ is None


@pytest.mark.parametrize("text", hostile.STRINGS)
@pytest.mark.parametrize("kind", [KmsError, ValueError])
def test_texts_of_others_are_made_safe(kind: type[Exception], text: str) -> None:
    hostile.assert_safe(refused(lambda: _raise(kind(text))))
