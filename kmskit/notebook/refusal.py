"""`refused`: an expected failure, shown as what it is worth seeing for: its error, reason and hint."""

from __future__ import annotations

from collections.abc import Callable

from kmskit import markup
from kmskit.errors import KmsError

__all__ = ["NotRefusedError", "Refusal", "refused"]


class NotRefusedError(AssertionError):
    """`refused` was given a call that went through."""


class Refusal:
    """An error that was expected and came.

    Attributes:
        error: the error.
    """

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error

    @property
    def _hint(self) -> str | None:
        return self.error.hint if isinstance(self.error, KmsError) else None

    def __repr__(self) -> str:
        varying = self.error.varying if isinstance(self.error, KmsError) and self.error.neutral else ""
        lines = [type(self.error).__name__, f"reason: {markup.with_volatile_text(str(self.error), varying)}"]
        if self._hint:
            lines.append(f"hint: {markup.printable(self._hint)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        if isinstance(self.error, KmsError):
            return self.error._repr_html_()
        return markup.card(type(self.error).__name__, {"reason": str(self.error)}, kind="bad")


def refused(call: Callable[[], object]) -> Refusal:
    """Make a call that must fail, and show its error as a card.

    Args:
        call: the call, wrapped so that it is made in here: `refused(lambda: key.decrypt(tampered))`.

    Returns:
        the refusal, for a KmsError, TypeError or ValueError; every other error passes through.

    Raises:
        NotRefusedError: nothing failed.
        TypeError: `call` is not a function.
    """
    if not callable(call):
        raise TypeError(f"call: a function expected, not {type(call).__name__}; write refused(lambda: ...)")
    try:
        result = call()
    except (KmsError, TypeError, ValueError) as error:
        # The frames would keep the call's plaintexts alive as long as the notebook shows the card.
        return Refusal(error.with_traceback(None))
    raise NotRefusedError(f"a refusal was expected, and the call returned {type(result).__name__}")
