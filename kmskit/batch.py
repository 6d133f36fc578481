"""Batches: one outcome for each item, in the order given, so that one bad item does not cost the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

from kmskit import markup
from kmskit.errors import BatchError, KmsError

__all__ = ["Batch", "Outcome"]

_SHOWN = 10


class Outcome(NamedTuple):
    """What became of one item: a value, or the error that it caused."""

    value: bytes | None = None
    error: KmsError | None = None

    def __repr__(self) -> str:
        if self.value is not None:
            return f"<Outcome {len(self.value)} bytes>"
        return f"<Outcome {type(self.error).__name__}: {markup.printable(self.error)}>"


class Batch(Sequence[Outcome]):
    """The outcomes of `encrypt_many` or `decrypt_many`."""

    __slots__ = ("_outcomes",)

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self._outcomes = tuple(outcomes)

    @overload
    def __getitem__(self, index: int) -> Outcome: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Outcome]: ...
    def __getitem__(self, index: int | slice) -> Outcome | Sequence[Outcome]:
        return self._outcomes[index]

    def __len__(self) -> int:
        return len(self._outcomes)

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self._outcomes)

    @property
    def errors(self) -> dict[int, KmsError]:
        """The failed items: index -> error."""
        return {index: outcome.error for index, outcome in enumerate(self._outcomes) if outcome.error is not None}

    def values(self) -> list[bytes]:
        """All values.

        Raises:
            BatchError: an item failed; `.errors` says which and why.
        """
        if errors := self.errors:
            first = min(errors)
            raise BatchError(
                f"{len(errors)} of {len(self)} items failed, first item {first}: {errors[first]}", errors=errors
            )
        return [outcome.value for outcome in self._outcomes if outcome.value is not None]

    def __repr__(self) -> str:
        failed = len(self.errors)
        return f"<Batch of {len(self)}: {len(self) - failed} done, {failed} failed>"

    def _repr_html_(self) -> str:
        errors = list(self.errors.items())
        if not errors:
            return markup.card("Batch", {"items": len(self)}, mark=markup.badge("all done", "good"), kind="good")
        rows = [(index, type(error).__name__, str(error)) for index, error in errors[:_SHOWN]]
        more = f"and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else None
        items = {"items": len(self), "failed": markup.table(("item", "error", "reason"), rows, note=more)}
        return markup.card("Batch", items, mark=markup.badge(f"{len(errors)} failed", "bad"), kind="bad")
