"""`CallLog`: which calls left a Kms, how many requests each took, and what came of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from kmskit import Key, Kms, KmsError, markup
from kmskit.widgets import controls

__all__ = ["CallLog"]

_Result = TypeVar("_Result")
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class _Call:
    name: str
    key: Key | None
    requests: int
    refused: str


class CallLog:
    """The calls made through `counted`.

    Attributes:
        total: a widget with the number of requests that left the Kms.
        lines: a widget with the last calls, newest first.
    """

    def __init__(self, kms: Kms) -> None:
        self._kms = kms
        self._calls: deque[_Call] = deque(maxlen=_SHOWN)
        self.total = controls.say(kind="count")
        self.lines = controls.say()

    def counted(self, name: str, call: Callable[[], _Result], key: Key | None = None) -> Callable[[], _Result]:
        """A call that is listed under a name once it is made, also when it is refused."""

        def run() -> _Result:
            before, refused = self._kms.calls, ""
            try:
                return call()
            except (KmsError, TypeError, ValueError) as error:
                refused = type(error).__name__
                raise
            finally:
                self._calls.appendleft(_Call(name, key, self._kms.calls - before, refused))

        return run

    def draw(self) -> None:
        """Show what was counted."""
        self.total.value = _number(self._kms.calls)
        lines = "".join(map(_line, list(self._calls)))
        self.lines.value = f'<ol class="kms-calls" aria-label="Calls, the last one first">{lines}</ol>'


def _number(requests: int) -> str:
    return "1 call" if requests == 1 else f"{requests:,} calls"


def _line(call: _Call) -> str:
    key = "" if call.key is None else _title(call.key)
    outcome = "done" if not call.refused else call.refused
    cells = (_number(call.requests), markup.escape(call.name), key, markup.escape(outcome))
    kind = "kms-refused" if call.refused else ""
    return f'<li class="{kind}">{"".join(f"<span>{cell}</span>" for cell in cells)}</li>'


def _title(key: Key) -> markup.Html:
    try:
        return key.title_html()
    except KmsError:
        return markup.code(key.id)
