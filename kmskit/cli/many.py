"""Many files, one after the other: one bar for all, and a file that fails does not stop the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from kmskit import AlreadyExistsError, KmsError
from kmskit.cli import output
from kmskit.markup import printable

__all__ = ["Job", "Run", "Watch"]

Watch = Callable[[int, int], object] | bool
"""What the library takes as `progress=`: False, or a function of the bytes done and their total."""

Job = tuple[str, str]
"""A file that is read and one that is written; `-` is stdin or stdout."""

_SHOW_PROGRESS_FROM = 64 << 20


class Run:
    """One run over files.

    Attributes:
        failed: whether a file failed so far.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self.failed = False

    def results(self, work: Callable[[Job, Watch], dict[str, object] | None]) -> Iterator[dict[str, object]]:
        """What `work` tells of each file, as soon as it is done. A failure is reported on stderr, with the file's name.

        Args:
            work: does one job, and returns what there is to say of it.
        """
        with _bar([source for source, _ in self._jobs]) as bar:
            for at, job in enumerate(self._jobs):
                try:
                    told = work(job, bar.watch(at) if bar else False)
                except (KmsError, OSError, click.ClickException) as error:
                    if isinstance(error, BrokenPipeError | click.UsageError):
                        raise
                    self.failed = True
                    with _put_away(bar):
                        _report(job[0], error)
                    continue
                if told is not None:
                    with _put_away(bar):
                        yield told


def _report(file: str, error: Exception) -> None:
    if isinstance(error, AlreadyExistsError):
        error.hint = "--force replaces it"
    if isinstance(error, KmsError):
        output.report(f"{file}: {error}", hint=error.hint, code=error.code, request_id=error.request_id)
    elif isinstance(error, click.ClickException):
        output.report(error.format_message())
    elif isinstance(error, OSError):
        output.report(f"{error.filename or file}: {error.strerror or error}")


class _Bar:
    """How far all files together are, by their bytes."""

    def __init__(self, progress: Progress, sources: Sequence[str], sizes: Sequence[int]) -> None:
        self.progress = progress
        self._sources, self._sizes = sources, sizes
        self._task = progress.add_task("", total=sum(sizes) or None)

    def watch(self, at: int) -> Callable[[int, int], object]:
        before, name = sum(self._sizes[:at]), printable(self._sources[at])
        self.progress.update(self._task, completed=before, description=name)
        return lambda done, _: self.progress.update(self._task, completed=before + done)


@contextmanager
def _bar(sources: Sequence[str]) -> Iterator[_Bar | None]:
    """A bar, if someone is looking and it will take a while."""
    screen, sizes = output.screen(stderr=True), [_size(source) for source in sources]
    if not screen.is_terminal or sum(sizes) < _SHOW_PROGRESS_FROM:
        yield None
        return
    shown = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    # stdout may be the data, so rich must not take it.
    with Progress(
        *shown, TimeRemainingColumn(), console=screen, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as progress:
        yield _Bar(progress, sources, sizes)


@contextmanager
def _put_away(bar: _Bar | None) -> Iterator[None]:
    """Take the bar off the terminal while something else is written there."""
    if bar is None:
        yield
        return
    bar.progress.stop()
    yield
    bar.progress.start()


def _size(source: str) -> int:
    """A file's size; 0 for stdin and for what cannot be read, which will be reported when its turn comes."""
    try:
        return 0 if source == "-" else os.stat(source).st_size
    except OSError:
        return 0
