"""`Listing`: the keys of a Kms, fetched as far as they are shown, and searched."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kmskit import AccessDeniedError, Key, Kms

__all__ = ["Listing"]


class Listing:
    """The keys of a Kms that meet its own conditions; each is fetched once.

    Attributes:
        keys: those fetched so far, oldest first.
        ended: whether these are all.
    """

    def __init__(self, kms: Kms, **conditions: str | None) -> None:
        """Args:
        kms: whose keys.
        **conditions: as for `kms.keys`: the store itself looks for them, and hands over no others.
        """
        self.keys: list[Key] = []
        self.ended = False
        self._ids: set[str] = set()
        self._source: Iterator[Key] = kms.keys(**conditions)

    def add(self, key: Key) -> None:
        """Take in a key that was made or opened meanwhile: first of all, if further ones are still to be fetched."""
        self._ids.add(key.id)
        self.keys.insert(len(self.keys) if self.ended else 0, key)

    def first(self, count: int, text: str = "", stop: Callable[[], bool] = lambda: False) -> list[Key]:
        """The first `count` keys that hold a text; further ones are fetched until there are so many.

        Args:
            text: part of an alias, id, tag or description, in any case.
            stop: asked before each key is fetched; what was found until then is the answer.

        Raises:
            KmsError: as for `kms.keys`.
        """
        wanted = text.strip().casefold()
        found: list[Key] = []
        for key in self._all(stop):
            if wanted in _text_of(key):
                found.append(key)
                if len(found) == count:
                    break
        return found

    def _all(self, stop: Callable[[], bool]) -> Iterator[Key]:
        yield from list(self.keys)
        while not self.ended and not stop():
            key = next(self._source, None)
            if key is None:
                self.ended = True
                return
            if key.id not in self._ids:
                self._ids.add(key.id)
                self.keys.append(key)
                yield key


def _text_of(key: Key) -> str:
    try:
        tags = (f"{name} = {value}" for name, value in key.tags.items())
        told = (*key.aliases, key.description, *tags)
    except AccessDeniedError:  # Of a key that was opened by one who may not describe it.
        told = ()
    return "\n".join((key.id, *told)).casefold()
