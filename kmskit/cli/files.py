"""Files that commands read and write. `-` is stdin or stdout."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from kmskit import AlreadyExistsError
from kmskit.cli import output
from kmskit.envelope.files import replacing
from kmskit.markup import printable

__all__ = ["check_output", "digest", "read_whole", "write_whole"]

_PIECE = 1 << 20
_SHOW_PROGRESS_FROM = 64 << 20


def _open(path: str) -> BinaryIO:
    if path == "-" and sys.stdin is None:
        raise click.ClickException("stdin is closed")
    return cast(BinaryIO, click.open_file(path, "rb"))  # At the end of a block stdin stays open.


def read_whole(path: str, limit: int | None = None) -> bytes:
    """All bytes of a file, if they are no more than `limit`."""
    with _open(path) as file:
        data = file.read() if limit is None else file.read(limit + 1)
    if limit is not None and len(data) > limit:
        raise click.ClickException(f"{path}: more than {limit:,} bytes, so it is another file than expected")
    return bytes(data)


def digest(path: str, algorithm: str) -> bytes:
    """The hash of a file of any size, read piece by piece; on a terminal with a progress bar.

    Args:
        path: the file.
        algorithm: the hash's name, such as `SHA256`.
    """
    hasher = hashlib.new(algorithm.lower())
    with _open(path) as file, _progress(file, path) as watched:
        while piece := watched.read(_PIECE):
            hasher.update(piece)
    return hasher.digest()


@contextmanager
def _progress(file: BinaryIO, path: str) -> Iterator[BinaryIO]:
    """The same file, whose reading moves a bar on a terminal, if it is long or of unknown length."""
    out, size = output.screen(stderr=True), _size(file)
    if not out.is_terminal or (size is not None and size < _SHOW_PROGRESS_FROM):
        yield file
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        yield progress.wrap_file(file, total=size, description=printable(path))


def _size(file: BinaryIO) -> int | None:
    """A regular file's size; None for a pipe."""
    try:
        size = os.fstat(file.fileno()).st_size
    except OSError:  # Not a file of the operating system.
        return None
    return size if file.seekable() else None


def check_output(path: str, source: str, *, force: bool) -> None:
    """Refuse an output before any work is done for it.

    Raises:
        click.ClickException: there is such a file already, and not `force`; or it is no regular file, or the source.
        click.UsageError: it is a terminal.
    """
    if path == "-":
        if sys.stdout.buffer.isatty():
            raise click.UsageError("a terminal does not take raw bytes; name a file with -o FILE")
        return
    if os.path.exists(path) and not os.path.isfile(path):
        raise click.ClickException(f"{path}: not a regular file; - writes to stdout")
    if os.path.exists(path) and os.path.exists(source) and os.path.samefile(path, source):
        raise click.ClickException(f"{path}: the output would replace the input")
    if os.path.lexists(path) and not force:
        raise _exists(path)


def write_whole(path: str, data: bytes, *, force: bool) -> None:
    """Write a file whole or not at all; where a link points, if it is one."""
    if path == "-":
        sys.stdout.buffer.write(data)
        return
    try:
        with replacing(os.path.realpath(path), force) as file:
            file.write(data)
    except AlreadyExistsError:
        raise _exists(path) from None


def _exists(path: str) -> click.ClickException:
    return click.ClickException(f"{path} is there already; --force replaces it")
