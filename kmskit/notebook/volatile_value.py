"""`volatile`: a value that differs from run to run, shown and marked as such."""

from __future__ import annotations

from typing import Any

from kmskit import markup

__all__ = ["Volatile", "volatile"]


class Volatile:
    """A value between volatile marks: `⟨…⟩` in text, `<span class="kms-volatile">` in HTML."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return markup.volatile_text(self.value)

    def __format__(self, spec: str) -> str:
        return markup.volatile_text(format(self.value, spec))

    def _repr_html_(self) -> str:
        return markup.volatile_html(self.value)


def volatile(value: Any) -> Volatile:
    """Mark a value that no two runs share: a measurement, a random id.

    Args:
        value: anything; an f-string formats it inside the marks, `f"{volatile(seconds):.2f} s"`.
    """
    return Volatile(value)
