"""Files and folders: who may use them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from kmskit.doctor.finding import Finding

__all__ = ["existing", "guarded", "mode_of", "private"]


def private(topic: str, what: str, path: str | Path) -> Iterator[Finding]:
    """Whether only its owner can use a file."""
    mode = mode_of(path)
    if mode is None:
        yield Finding(topic, "problem", f"{what}{path} cannot be looked at", "look what it is, and whose")
    elif os.name == "posix" and mode & 0o077:
        yield Finding(
            topic, "problem", f"{what}{path}: others may use it (mode {mode:04o})", f"chmod 600 {quote(str(path))}"
        )
    else:
        yield Finding(topic, "ok", f"{what}{path} (mode {mode:04o})")


def guarded(topic: str, what: str, folder: Path) -> Iterator[Finding]:
    """Whoever can write to a folder can put something else in the place of what is in it."""
    mode = mode_of(folder)
    if os.name == "posix" and mode is not None and mode & 0o022 and not mode & stat.S_ISVTX:
        text = f"others can write to the folder {folder} (mode {mode:04o}), and so replace {what}"
        yield Finding(topic, "problem", text, f"chmod go-w {quote(str(folder))}")


def mode_of(path: str | Path) -> int | None:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return None


def existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if os.path.exists(path))
