"""What the shared options say, and how they open the backend."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from getpass import getpass

import click

import kmskit
from kmskit import ConfigurationError, Kms

__all__ = ["Session"]

_LONGEST_PASSPHRASE = 4096


@dataclass
class Session:
    """One run of the command line.

    Attributes:
        uri: the backend's URI; None for KMSKIT_URI or the default.
        json: whether to write JSON.
        passphrase_file: the file whose first line opens a `software:` store.
    """

    uri: str | None = None
    json: bool = False
    passphrase_file: str | None = None

    def open(self) -> Kms:
        """The Kms that the options name."""
        uri = self.uri if self.uri is not None else os.environ.get("KMSKIT_URI") or "software:"
        return self.connect(uri)

    def connect(self, uri: str) -> Kms:
        """Open a URI. If its store wants a passphrase and none was given, ask for it, if there is a terminal."""
        if self.passphrase_file is not None:
            if not uri.startswith("software:"):
                raise click.UsageError("--passphrase-file is for software: stores")
            return kmskit.connect(uri, passphrase=_passphrase(self.passphrase_file))
        try:
            return kmskit.connect(uri)
        except ConfigurationError as error:
            if error.code != "PASSPHRASE_REQUIRED":
                raise
            if not _may_ask():
                error.hint = "name a file with --passphrase-file, or set KMSKIT_PASSPHRASE"
                raise
        return kmskit.connect(uri, passphrase=getpass("Passphrase of the key store: "))


def _may_ask() -> bool:
    """Whether someone would see the question, and could answer it although stdin may be the data."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except (OSError, AttributeError):  # Windows has neither the device nor the flag.
        return sys.stdin.isatty() and sys.stderr.isatty()
    return sys.stderr.isatty()


def _passphrase(path: str) -> str:
    """The first line of a file that only its owner can read."""
    with open(path, "rb") as file:
        if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise ConfigurationError(f"others can read the passphrase file {path}", hint=f"chmod 600 {path}")
        line = file.readline(_LONGEST_PASSPHRASE + 1).removesuffix(b"\n").removesuffix(b"\r")
    try:
        passphrase = line.decode()
    except UnicodeDecodeError:
        passphrase = ""
    if not passphrase or len(line) > _LONGEST_PASSPHRASE:
        raise ConfigurationError(
            f"the first line of the passphrase file {path} is no passphrase",
            hint=f"it is UTF-8 text of 1 to {_LONGEST_PASSPHRASE} bytes",
        )
    return passphrase
