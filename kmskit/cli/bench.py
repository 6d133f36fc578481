"""`kmskit bench`: how fast key stores are, side by side."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kmskit import Kms
from kmskit.cli import output
from kmskit.cli.files import check_output, write_whole
from kmskit.cli.program import Choice, Command
from kmskit.cli.session import Session
from kmskit.types import KeySpec

__all__ = ["bench"]

_OPERATIONS = "encrypt, decrypt, sign, verify, mac, generate_data_key, envelope or open_envelope"
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30}


class _Size(click.ParamType[int]):
    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        read = re.fullmatch(r"(\d{1,12})([KMG]?)", str(value), re.IGNORECASE)
        if read is None:
            self.fail(f"{value!r} is no size: bytes expected, such as 64, 4K or 1M", param, ctx)
        return int(read[1]) << _UNITS[read[2].upper()]


@click.command(cls=Command)
@click.argument("uris", nargs=-1, metavar="[URI]...")
@click.option("--operation", "operations", multiple=True, metavar="NAME", help=f"{_OPERATIONS}; again for another one.")
@click.option("--spec", "specs", multiple=True, type=Choice(KeySpec), help="Of the keys; again for another one.")
@click.option("--size", "sizes", multiple=True, type=_Size(), help="Of the message: 64, 4K, 1M; again for another one.")
@click.option("--threads", multiple=True, type=click.IntRange(1, 256), help="At once; again for another number.")
@click.option("--seconds", type=click.FloatRange(0.001, 600), default=0.5, show_default=True, help="For each row.")
@click.option("--price", type=click.FloatRange(0), help="What a cloud takes for 10,000 calls.")
@click.option("--latency", type=click.FloatRange(0), help="Milliseconds to a cloud: the emulator's rows with it, too.")
@click.option("--baseline", metavar="TARGET", help="Tell each rate over this target's, as the table names it.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write the table to FILE, too.")
@click.option("--force", is_flag=True, help="Replace a FILE that is there.")
@click.pass_obj
def bench(
    session: Session,
    uris: tuple[str, ...],
    operations: tuple[str, ...],
    specs: tuple[str, ...],
    sizes: tuple[int, ...],
    threads: tuple[int, ...],
    seconds: float,
    price: float | None,
    latency: float | None,
    baseline: str | None,
    csv_file: str | None,
    force: bool,
) -> None:
    """Measure operations a second and their latency.

    URI is a backend's, and pyca stands for the bare library; without any, the backend that --uri or KMSKIT_URI names.
    Keys are made for this, and scheduled for deletion at the end. An interrupt shows what was measured so far.
    """
    from kmskit.bench import Target, throughput  # Here, so that other commands need not wait for it.

    if csv_file is not None:
        check_output(csv_file, "", force=force)
    given: dict[str, Any] = {"operations": operations, "specs": specs, "sizes": sizes, "threads": threads}
    with ExitStack() as stack:
        targets: list[Target] = [uri if uri == "pyca" else _opened(session, uri, stack) for uri in uris]
        found = throughput(
            targets or [stack.enter_context(session.open())],
            seconds=seconds,
            progress=_bar(stack),
            price=price,
            latency=None if latency is None else (latency / 1000, "--latency"),
            **{name: value for name, value in given.items() if value},
        )
    if baseline is not None:
        found = found.ratio(baseline)
    if csv_file is not None:
        write_whole(csv_file, found.to_csv().encode(), force=force)
    if session.json:
        output.json_array(asdict(row) for row in found)
        return
    if not len(found):
        output.note("nothing was measured")
        return
    headers, rows = found.cells(str.strip)
    output.table(headers, rows, [max(len(str(line[at])) for line in [headers, *rows]) for at in range(len(headers))])


def _bar(stack: ExitStack) -> bool | Callable[[int, int], None]:
    """A bar of the samples taken, if someone is looking."""
    screen = output.screen(stderr=True)
    if not screen.is_terminal:
        return False
    shown = (BarColumn(), MofNCompleteColumn(), TextColumn("samples"), TimeRemainingColumn())
    bar = Progress(*shown, console=screen, transient=True, redirect_stdout=False, redirect_stderr=False)
    task = stack.enter_context(bar).add_task("")
    return lambda done, total: bar.update(task, completed=done, total=total)


def _opened(session: Session, uri: str, stack: ExitStack) -> Kms:
    return stack.enter_context(session.connect(uri))
