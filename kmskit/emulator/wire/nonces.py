"""The nonces that were used, so that no signed request is served twice."""

from __future__ import annotations

from hashlib import blake2b
from threading import Lock

__all__ = ["WINDOW", "Nonces"]

WINDOW = 15 * 60.0
"""Seconds by which a request's date may differ from the gateway's time, either way."""
_BUCKET = 60.0


class Nonces:
    """One for a gateway. A nonce is kept as long as its request's date would still be accepted, then forgotten."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._buckets: dict[int, set[bytes]] = {}
        self._next_sweep = 0.0

    def use(self, access_key_id: str, nonce: str, dated: float, now: float) -> bool:
        """Note it; False if the same access key has used it before.

        The date takes part in the signature, so the same nonce with another date is another request, and it is refused
        too as long as both dates are within the window.
        """
        mark = blake2b(
            f"{len(access_key_id)}:{access_key_id}{nonce}".encode("utf-8", "surrogateescape"), digest_size=16
        ).digest()
        with self._lock:
            if now >= self._next_sweep:
                self._next_sweep = now + _BUCKET
                for old in [bucket for bucket in self._buckets if (bucket + 1) * _BUCKET < now - WINDOW]:
                    del self._buckets[old]
            if any(mark in bucket for bucket in self._buckets.values()):
                return False
            self._buckets.setdefault(int(dated // _BUCKET), set()).add(mark)
        return True
