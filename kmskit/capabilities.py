"""What a backend offers: spec x operation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kmskit import markup
from kmskit.backend import Support
from kmskit.types import OPERATIONS, KeySpec, Operation

__all__ = ["CapabilityTable"]


class CapabilityTable(Mapping[tuple[KeySpec, Operation], Support]):
    """`table[spec, operation]` is a Support; the whole is a table in Jupyter."""

    def __init__(self, backend: str, supports: Mapping[tuple[KeySpec, Operation], Support]) -> None:
        self.backend = backend
        self._supports = supports

    def __getitem__(self, cell: tuple[KeySpec, Operation]) -> Support:
        return self._supports[cell]

    def __iter__(self) -> Iterator[tuple[KeySpec, Operation]]:
        return iter(self._supports)

    def __len__(self) -> int:
        return len(self._supports)

    def _rows(self) -> Iterator[tuple[KeySpec, list[Support]]]:
        for spec in dict.fromkeys(spec for spec, _ in self):
            yield spec, [self[spec, operation] for operation in OPERATIONS]

    def __repr__(self) -> str:
        rows = ([spec, *("yes" if support else "-" for support in supports)] for spec, supports in self._rows())
        return markup.columns([self.backend, *OPERATIONS], rows)

    def _repr_html_(self) -> str:
        rows = ([spec, *map(_cell, supports)] for spec, supports in self._rows())
        note = "kms.supports(spec, operation) tells the reason or the largest input, and so does a pointer on a sign."
        return markup.table([self.backend, *OPERATIONS], rows, note=note)


def _cell(support: Support) -> markup.Html:
    """A sign that is told apart by its form, not by its colour alone."""
    reason = f"up to {support.max_bytes:,} bytes" if support.max_bytes else support.reason
    sign, opacity = ("✓", 1) if support else ("-", 0.5)
    return markup.Html(f'<span title="{markup.escape(reason)}" style="opacity:{opacity}">{sign}</span>')
