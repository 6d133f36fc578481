"""Which keys a run has made: written down before they are used, so that even a killed run can be cleared away."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from kmskit import KeyStateError, Kms, KmsError

__all__ = ["JOURNAL", "Journal"]

JOURNAL = Path(".cache") / "cloud-keys.txt"
_DELETION_DAYS = 7  # The least that the service takes.


class Journal:
    """The ids of keys that are to be deleted.

    Args:
        path: one id a line; deleted when nothing is left to be done.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def ids(self) -> list[str]:
        with suppress(FileNotFoundError):
            return self._path.read_text().split()
        return []

    def watch(self, kms: Kms) -> None:
        """Note each key that is made through a Kms."""
        backend: Any = kms._backend
        for name in ("create", "import_key"):
            setattr(backend, name, self._noting(getattr(backend, name)))

    def _noting(self, make: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any) -> Any:
            info = make(*arguments)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write(f"{info.id}\n")
                os.fsync(file.fileno())
            return info

        return noting

    def clear(self, kms: Kms) -> list[str]:
        """Take the aliases of all noted keys away and schedule their deletion; the ids for which that failed."""
        left = []
        for key_id in self.ids:
            try:
                key = kms.key(key_id)
                for alias in key.aliases:
                    key.remove_alias(alias)
                with suppress(KeyStateError):  # It is scheduled already.
                    key.schedule_deletion(_DELETION_DAYS)
            except KmsError as error:
                if type(error).__name__ != "KeyNotFoundError":
                    left.append(key_id)
        self._path.unlink(missing_ok=True)
        if left:
            self._path.write_text("\n".join(left) + "\n")
        return left
