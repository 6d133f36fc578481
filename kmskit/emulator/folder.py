"""The folder in which a cloud keeps its state: one emulator's at a time, and nobody else's to read."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

from kmskit.errors import ConfigurationError

__all__ = ["Folder"]


class Folder:
    """
    Attributes:
        path: absolute.
        temporary: whether it goes when it is closed.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        """None: a temporary one."""
        self.temporary = path is None
        # Not TemporaryDirectory, which would delete the folder also at the end of a forked child.
        self.path = Path(mkdtemp(prefix="kmskit-cloud-") if path is None else os.path.abspath(os.fspath(path)))
        self._lock = -1
        problem, hint = None, "it holds keys and access keys: chmod 700, or choose another"
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.path.stat().st_mode & 0o077:
                problem = "can be read by others"
            else:
                self._lock = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR, 0o600)
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            problem, hint = "is another emulator's, which is running", "stop that one, or choose another folder"
        except OSError as error:
            problem = f"cannot be used: {error.strerror}"
        if problem is not None:
            if self._lock >= 0:
                os.close(self._lock)
            raise ConfigurationError(f"the emulator's data folder {problem}", hint=hint)

    def close(self) -> None:
        """Let others have it."""
        if self._lock >= 0:
            with suppress(OSError):  # Explicitly, since a forked child may hold the lock too.
                fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
            self._lock = -1
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)
