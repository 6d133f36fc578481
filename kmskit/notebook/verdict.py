"""`check`: an exercise's judge, which tells what is wrong with a wrong answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from kmskit import markup

__all__ = ["Verdict", "check"]

_TO_DO = "put your answer in place of ... above, then run that cell and this one"


class Verdict:
    """What `check` found.

    Attributes:
        tried: whether there was an answer.
        reason: what is wrong with it; empty if nothing is.
        lesson: what a right answer shows.
    """

    __slots__ = ("lesson", "reason", "tried")

    def __init__(self, *, tried: bool = True, reason: str = "", lesson: str = "") -> None:
        self.tried = tried
        self.reason = reason
        self.lesson = lesson

    @property
    def right(self) -> bool:
        return self.tried and not self.reason

    def __repr__(self) -> str:
        if not self.tried:
            return f"Not tried yet: {_TO_DO}"
        if self.reason:
            return f"Not right yet: {markup.printable(self.reason)}"
        return f"Right: {markup.printable(self.lesson)}" if self.lesson else "Right"

    def _repr_html_(self) -> str:
        if not self.tried:
            return markup.card("Not tried yet", {"to do": _TO_DO}, kind="wait")
        if self.reason:
            return markup.card("Not right yet", {"reason": self.reason}, kind="bad")
        return markup.card("Right", {"lesson": self.lesson or None}, kind="good")


def check(answer: Any, faults: Mapping[str, Callable[[Any], bool]], *, lesson: str = "") -> Verdict:
    """Judge an answer by looking for faults, in the order given; the first one found is the reason.

        check(forged, {
            "that is none of the five releases": lambda name: name not in releases,
            "its signature verifies, so it is genuine": lambda name: verifies(name),
        })

    An answer of `...` or None, a collection that holds `...`, and a function that returns `...` are not tried yet. An
    answer that makes a fault's test raise is wrong, and the error is the reason.

    Args:
        answer: what the exercise cell made.
        faults: what is wrong -> a function of the answer that tells whether it is.
        lesson: shown with a right answer.

    Raises:
        TypeError: a fault's test returned something other than True or False.
        ValueError: no fault is looked for.
    """
    if not faults:
        raise ValueError("faults: at least one expected, or every answer would be right")
    if answer is None or _unfilled(answer):
        return Verdict(tried=False)
    judged = _watched(answer) if callable(answer) else answer
    for reason, fault in faults.items():
        try:
            found = fault(judged)
        except _Unfilled:
            return Verdict(tried=False)
        except Exception as error:  # noqa: BLE001  # An answer is anyone's code: whatever it raises is what is wrong.
            return Verdict(reason=f"your answer raised {type(error).__name__}: {error}")
        if not isinstance(found, bool):
            raise TypeError(f"faults: the test for {reason!r} must return True or False, not {type(found).__name__}")
        if found:
            return Verdict(reason=reason)
    return Verdict(lesson=lesson)


class _Unfilled(Exception):
    """A function of the exercise still returns `...`."""


def _unfilled(value: object) -> bool:
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple | set) else ()
    return value is ... or any(part is ... for part in parts)


def _watched(answer: Callable[..., Any]) -> Callable[..., Any]:
    """The answer, but for a function that returns `...` there is no verdict."""

    @wraps(answer, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        result = answer(*args, **kwargs)
        if _unfilled(result):
            raise _Unfilled
        return result

    return call
