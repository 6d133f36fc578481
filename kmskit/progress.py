"""Progress of long calls: the `progress=` argument is False, True (a tqdm bar) or a function `(done, total)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from kmskit.errors import MissingDependencyError

__all__ = ["Progress", "track"]

Progress: TypeAlias = bool | Callable[[int, int], object]


@contextmanager
def track(progress: Progress, total: int, unit: str) -> Iterator[Callable[[int], object]]:
    """Show progress while the block runs. The block calls what it is given with the amount just done.

    Raises:
        MissingDependencyError: `progress=True` without tqdm.
    """
    if progress is False:
        yield lambda amount: None
    elif progress is True:
        try:
            from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]
        except ImportError as error:
            raise MissingDependencyError(
                "progress=True needs tqdm", hint='pip install "kmskit[notebook]", or pass a function (done, total)'
            ) from error
        scaled = unit == "B"
        with tqdm(total=total, unit=unit, unit_scale=scaled, unit_divisor=1024 if scaled else 1000) as bar:
            yield bar.update
    else:
        done = 0

        def advance(amount: int) -> None:
            nonlocal done
            done += amount
            progress(done, total)

        yield advance
