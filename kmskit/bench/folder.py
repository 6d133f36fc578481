"""Where the files of a measurement lie: in memory, so that a slow or busy disk is not what is measured."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["folder_in_memory"]

_MEMORY = "/dev/shm"  # noqa: S108 (Linux's. On a busy disk a token's key takes 45 ms, and 10,000 keys take minutes.)


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder that is deleted at the end; where there is none in memory, an ordinary one."""
    with TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as folder:
        yield Path(folder)
