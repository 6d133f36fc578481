"""`grid`: a table of answers, what was asked down the side and who or what was asked across the top."""

from __future__ import annotations

from collections.abc import Mapping

from kmskit import markup

__all__ = ["Grid", "grid"]


class Grid:
    """A table of answers.

    Attributes:
        rows: name of the row -> name of the column -> answer.
    """

    def __init__(self, rows: Mapping[str, Mapping[str, object]], corner: str = "") -> None:
        self.rows = {name: dict(row) for name, row in rows.items()}
        self.corner = corner

    @property
    def columns(self) -> list[str]:
        """In the order in which they first appear."""
        return list(dict.fromkeys(column for row in self.rows.values() for column in row))

    def __repr__(self) -> str:
        columns = self.columns
        lines = ([name, *(_text(row.get(column)) for column in columns)] for name, row in self.rows.items())
        return markup.columns([self.corner, *columns], lines)

    def _repr_html_(self) -> str:
        columns = self.columns
        lines = ([name, *(_html(row.get(column)) for column in columns)] for name, row in self.rows.items())
        return markup.table([self.corner, *columns], lines)


def grid(rows: Mapping[str, Mapping[str, object]], corner: str = "") -> Grid:
    """Show answers as a table.

        grid({"Encrypt": {"admin": True, "app": True}, "CreateKey": {"admin": True, "app": "denied"}})

    Args:
        rows: name of the row -> name of the column -> answer. True is a tick, False and a missing answer are a dash,
            and everything else is shown as it is.
        corner: what the rows are.
    """
    return Grid(rows, corner)


def _text(answer: object) -> str:
    return {True: "yes", False: "-", None: "-"}[answer] if answer is None or isinstance(answer, bool) else str(answer)


def _html(answer: object) -> markup.Html:
    """A sign that is told apart by its form, not by its colour alone."""
    if answer is True:
        return markup.Html("✓")
    if answer is None or answer is False:
        return markup.Html('<span style="opacity:0.5">-</span>')
    return markup.escape(answer)
