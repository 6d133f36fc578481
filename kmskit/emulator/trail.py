"""The trail of calls: who did what with which key, and how it went. No parameter's value stands in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from kmskit import markup

__all__ = ["Event", "Trail"]

_KEPT = 10_000


@dataclass(frozen=True, slots=True, repr=False)
class Event:
    """One call.

    Attributes:
        time: as the service writes dates.
        user: who called: `root`, a user, `role/session`, or a cloud product; empty if the signature was refused.
        gateway: `shared`, or the id of the instance whose gateway it came over.
        keys: ids of the keys it was about.
        status: of HTTP; 0 if no answer was sent.
        code: the error's, or empty.
        reason: for a refusal by a policy, which one.
    """

    time: str
    request_id: str
    action: str
    user: str
    access_key_id: str
    source: str
    gateway: str
    keys: tuple[str, ...]
    status: int
    code: str
    reason: str = ""

    def __repr__(self) -> str:
        who = f" by {self.user}" if self.user else ""
        return f"<Event {self.action or 'unknown'}{markup.printable(who)}: {self.code or self.status}>"


class Trail:
    """The last 10,000 calls, oldest first. In memory only."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=_KEPT)

    def add(self, event: Event) -> None:
        self._events.append(event)

    def clear(self) -> None:
        self._events.clear()

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        return iter(list(self._events))

    def __getitem__(self, index: int) -> Event:
        return self._events[index]

    def __repr__(self) -> str:
        return f"<Trail of {len(self)} calls>"

    def _repr_html_(self) -> str:
        rows = [
            (
                markup.volatile_html(event.time),
                event.action,
                event.user,
                markup.Html("<br>".join(markup.volatile_html(key) for key in event.keys)),
                event.gateway if event.gateway == "shared" else markup.volatile_html(event.gateway),
                event.status,
                event.code,
            )
            for event in list(self)[-50:]
        ]
        return markup.table(("time", "action", "user", "key", "gateway", "status", "code"), rows)
