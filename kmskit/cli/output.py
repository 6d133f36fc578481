"""What the commands write: tables and colours on a terminal, plain lines into a pipe, JSON for programs.

Aliases, tags, descriptions and errors come from others, so every text passes `kmskit.markup.printable`, and rich is
told to see no markup in it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from itertools import islice

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kmskit import KmsError
from kmskit.doctor import Finding
from kmskit.markup import printable

__all__ = [
    "facts",
    "finding",
    "json_array",
    "note",
    "report",
    "report_error",
    "report_usage",
    "screen",
    "table",
    "write",
    "write_json",
]

_PAGE = 200
_STYLES = {
    "ENABLED": "green",
    "DISABLED": "yellow",
    "PENDING_DELETION": "red",
    "PENDING_IMPORT": "yellow",
    "yes": "green",
    "ok": "green",
    "missing": "yellow",
    "problem": "red",
}


def screen(*, stderr: bool = False) -> Console:
    """Where text goes. `is_terminal` says whether someone is looking."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=True, force_jupyter=False)


def cell(value: object, width: int = 0) -> Text:
    """A value as it may be shown, at least so wide; a state has its colour."""
    return Text(printable(value).ljust(width), _STYLES.get(str(value), ""), overflow="fold")


def write(value: object) -> None:
    """One line of text on stdout."""
    screen().print(cell(value))


def note(value: object) -> None:
    """One line of text on stderr, for whoever is looking."""
    screen(stderr=True).print(cell(value))


def write_json(value: object) -> None:
    """A value as one line of JSON on stdout. It is ASCII without control characters, since JSON escapes all else."""
    sys.stdout.write(f"{json.dumps(value)}\n")


# Errors


def report(reason: object, **more: object) -> None:
    """`error: reason` on stderr, and what else there is to say, a line each."""
    out = screen(stderr=True)
    out.print(Text.assemble(("error: ", "bold red"), printable(reason)))
    for name, value in more.items():
        if value:
            out.print(Text.assemble((f"{name.replace('_', ' ')}: ", "bold"), printable(value)))


def report_error(error: KmsError) -> None:
    """Reason, hint, and what a service wants to be told in a support ticket."""
    report(error, hint=error.hint, code=error.code, request_id=error.request_id, more=error.recommend)


def report_usage(error: click.UsageError) -> None:
    """Reason, the command's usage, and where its help is."""
    if error.ctx is None:
        report(error.format_message())
        return
    usage = error.ctx.get_usage().partition(" ")[2]
    report(error.format_message(), usage=" ".join(usage.split()), hint=f"{error.ctx.command_path} --help")


# Tables


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], widths: Sequence[int]) -> bool:
    """Rows below headers, written as they come, so that any number of them takes constant memory.

    Args:
        headers: the columns' names.
        rows: as many values each.
        widths: a column's least width; 0 for one that shares what the others leave. On a terminal what is longer is
            folded, in a pipe nothing is.

    Returns:
        whether there was a row.
    """
    out, rows = screen(), iter(rows)
    page = list(islice(rows, _PAGE))
    found, first = bool(page), True
    while page:
        if out.is_terminal:
            out.print(_page(headers, page, widths, out.width, first), soft_wrap=False)
        else:
            for row in [headers, *page] if first else page:
                padded = (printable(value).ljust(width or 36) for value, width in zip(row, widths, strict=True))
                sys.stdout.write("  ".join(padded).rstrip() + "\n")
        page, first = list(islice(rows, _PAGE)), False
    return found


def _page(
    headers: Sequence[str], rows: Iterable[Sequence[object]], widths: Sequence[int], columns: int, first: bool
) -> Table:
    """A part of a table. All parts have the same widths, because those follow from the terminal's alone."""
    gap = 2 if sum(widths) + 2 * len(widths) <= columns else 1
    page = Table(box=None, expand=0 in widths, show_header=first, header_style="bold", padding=(0, gap, 0, 0))
    page.pad_edge = False
    for name, width in zip(headers, widths, strict=True):
        page.add_column(name, width=width or None, ratio=None if width else 1, overflow="fold")
    for row in rows:
        page.add_row(*map(cell, row))
    return page


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values, one below the other."""
    lines = [(name, value) for name, value in pairs if value not in (None, "")]
    width = max(len(name) for name, _ in lines)
    out = screen()
    for name, value in lines:
        out.print(Text.assemble((name.ljust(width + 2), "bold"), cell(value)))


def finding(found: Finding, width: int) -> None:
    """A finding of the doctor, and below it what to do. `width` is that of the longest topic."""
    out, lead = screen(), Text.assemble(cell(found.state, 9), (printable(found.topic).ljust(width + 2), "bold"))
    out.print(lead + cell(found.text))
    if found.cure:
        out.print(Text(" " * len(lead)) + cell(f"-> {found.cure}"))


def json_array(values: Iterable[object]) -> None:
    """Values as a JSON array on stdout, one a line and written as they come."""
    sys.stdout.write("[\n")
    line = ""
    for value in values:
        if line:
            sys.stdout.write(f"{line},\n")
        line = f" {json.dumps(value)}"
    sys.stdout.write(f"{line}\n]\n" if line else "]\n")
