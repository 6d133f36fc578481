"""SoftHSM's record of a token, kept a second time, because SoftHSM may lose it.

SoftHSM 2.6.1 empties `token.object` and writes it again at every login. A process that is killed between the two leaves
an empty file, and with it go all keys of the token: the record holds the key of the keys, sealed under the PINs. So
whenever kmskit initialises SoftHSM with a configuration of the user's own, it puts a copy of each sound record beside
the configuration, and an empty record is replaced by its copy. And its processes log in one after the other: between
the two a token is none to whoever looks for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from kmskit.backends.pkcs11.places import token_folder

__all__ = ["mend", "undisturbed"]

_KEPT = "kept"
_RECORD = "token.object"
_COUNTER = 8
"""Bytes at the beginning of a record that count how often it was written, and say nothing else."""
_SETTLING_SECONDS = 0.1
_PATIENCE = 5.0


@contextmanager
def undisturbed(configuration: str) -> Iterator[None]:
    """Keep other processes of kmskit out of their logins, during which the token seems not to be there.

    It is a lock on the configuration's file. One who keeps it for too long, a process that was stopped perhaps, is not
    waited for.
    """
    try:
        file = os.open(configuration, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        end = monotonic() + _PATIENCE
        with suppress(OSError):  # A file system without locks.
            while monotonic() < end and not _locked(file):
                sleep(0.001)
        yield
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    import fcntl  # Not above: where there is none no configuration of one's own can be named either.

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def mend(configuration: str) -> None:
    """Keep the records of a configuration's tokens, and put those back that are empty. Errors are SoftHSM's to tell.

    Args:
        configuration: the path of a `softhsm2.conf`.
    """
    with suppress(OSError):
        kept = Path(configuration).parent / _KEPT
        for record in Path(token_folder(configuration) or os.devnull).glob(f"*/{_RECORD}"):
            copy = kept / record.parent.name
            content = _settled(record)
            if content:
                _keep(copy, content)
            elif copy.exists():
                _put(record, copy.read_bytes())


def _settled(record: Path) -> bytes:
    """What is in a record, once a process that is just writing it is done."""
    content = record.read_bytes()
    if not content:
        sleep(_SETTLING_SECONDS)
        content = record.read_bytes()
    return content


def _keep(copy: Path, content: bytes) -> None:
    if not copy.exists() or copy.read_bytes()[_COUNTER:] != content[_COUNTER:]:
        copy.parent.mkdir(mode=0o700, exist_ok=True)
        _put(copy, content)


def _put(path: Path, content: bytes) -> None:
    """Write a file so that it appears whole."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    new.replace(path)
