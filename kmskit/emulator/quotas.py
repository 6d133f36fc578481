"""The quotas of the shared gateway and of a region, off until they are switched on."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING

from kmskit.emulator.errors import ServiceError
from kmskit.emulator.state import Alias, Key, KeyVersion

if TYPE_CHECKING:
    from kmskit.emulator.account import Account

__all__ = ["Quotas"]


class Quotas:
    """Published figures, which can be set.

    Attributes:
        enabled: whether they hold.
        scale: by what the calls a second are multiplied; 0.01 shows throttling without 1,000 calls.
        keys, aliases, versions: how many a region has at most.
    """

    def __init__(self) -> None:
        self.enabled = False
        self.scale = 1.0
        self.keys = 200
        self.aliases = 300
        self.versions = 10_000
        self._lock = Lock()
        self._second = 0
        self._counts: dict[tuple[str, int], int] = {}

    def count(self, who: str, a_second: int) -> None:
        """One call of someone; Rejected.Throttling if it is one too many in this second. Calls that have the same quota
        share it, which is coarser than the service's groups."""
        if not self.enabled:
            return
        second = int(time.monotonic())
        with self._lock:
            if second != self._second:
                self._second = second
                self._counts.clear()
            used = self._counts[who, a_second] = self._counts.get((who, a_second), 0) + 1
        if used > max(1, int(a_second * self.scale)):
            raise ServiceError(429, "Rejected.Throttling", "QPS Limit Exceeded")

    def require_room_for_key(self, account: Account) -> None:
        self._require_room(len(account.state.all(Key)), self.keys)

    def require_room_for_alias(self, account: Account) -> None:
        self._require_room(len(account.state.all(Alias)), self.aliases)

    def require_room_for_version(self, account: Account) -> None:
        self._require_room(len(account.state.all(KeyVersion)), self.versions)

    def _require_room(self, there: int, most: int) -> None:
        if self.enabled and there >= most:
            raise ServiceError(
                400,
                "Rejected.LimitExceeded",
                "The request was rejected because user create resource limit was exceeded",
            )
