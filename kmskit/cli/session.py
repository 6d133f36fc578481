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
from kmskit.markup import printable
from kmskit.uri import parse

__all__ = ["Session"]

_LONGEST_SECRET = 4096


@dataclass
class Session:
    """One run of the command line.

    Attributes:
        uri: the backend's URI; None for KMSKIT_URI or the default.
        json: whether to write JSON.
        passphrase_file: the file whose first line opens a `software:` store.
        pin_file: the file whose first line is the PIN of a `pkcs11:` token.
    """

    uri: str | None = None
    json: bool = False
    passphrase_file: str | None = None
    pin_file: str | None = None

    def open(self) -> Kms:
        """The Kms that the options name."""
        uri = self.uri if self.uri is not None else os.environ.get("KMSKIT_URI") or "software:"
        return self.connect(uri)

    def connect(self, uri: str) -> Kms:
        """Open a URI. If it wants a passphrase or PIN and none was given, ask for it, if there is a terminal.

        Nothing was tried when the question comes: a wrong PIN is sent once, and never again by itself.
        """
        given = self._given(uri)
        if given:
            return kmskit.connect(uri, **given)
        try:
            return kmskit.connect(uri)
        except ConfigurationError as error:
            wanted = _WANTED.get(error.code or "")
            if wanted is None:
                raise
            error.hint = wanted.hint
            if not _may_ask():
                raise
            secret = getpass(wanted.question(uri))
            if not secret and wanted is _PIN:  # The token would count it as a wrong one.
                raise
        return kmskit.connect(uri, **{wanted.option: secret})

    def _given(self, uri: str) -> dict[str, str]:
        """What the files that the options name hold, as options of `kmskit.connect`."""
        given = {}
        for path, scheme, wanted in (
            (self.passphrase_file, "software", _PASSPHRASE),
            (self.pin_file, "pkcs11", _PIN),
        ):
            if path is not None:
                if uri.partition(":")[0].lower() != scheme:
                    raise click.UsageError(f"--{wanted.option}-file is for {scheme}: {wanted.places}")
                given[wanted.option] = _first_line(path, wanted.name)
        return given


@dataclass(frozen=True)
class _Wanted:
    """A secret that a backend may want.

    Attributes:
        name: what it is called.
        option: of `kmskit.connect`.
        of: whose it is, for the question.
        places: where it is wanted.
        hint: what to do where nobody can be asked.
    """

    name: str
    option: str
    of: str
    places: str
    hint: str

    def question(self, uri: str) -> str:
        label = parse(uri).attributes.get("token", "")
        return printable(f"{self.name[0].upper()}{self.name[1:]} of {self.of} {label}".rstrip() + ": ")


_PASSPHRASE = _Wanted(
    "passphrase",
    "passphrase",
    "the key store",
    "stores",
    "name a file with --passphrase-file, or set KMSKIT_PASSPHRASE",
)
_PIN = _Wanted(
    "PIN",
    "pin",
    "the token",
    "tokens",
    "name a file with --pin-file, write pin-source=file:/path in the URI, or set KMSKIT_PKCS11_PIN and name the token",
)
_WANTED = {"PASSPHRASE_REQUIRED": _PASSPHRASE, "PIN_REQUIRED": _PIN}
"""Code of the refusal -> what is wanted."""


def _may_ask() -> bool:
    """Whether someone would see the question, and could answer it although stdin may be the data."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except (OSError, AttributeError):  # Windows has neither the device nor the flag.
        return sys.stdin.isatty() and sys.stderr.isatty()
    return sys.stderr.isatty()


def _first_line(path: str, what: str) -> str:
    """The secret in the first line of a file that only its owner can read."""
    with open(path, "rb") as file:
        if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise ConfigurationError(f"others can read the {what} file {path}", hint=f"chmod 600 {path}")
        line = file.readline(_LONGEST_SECRET + 1).removesuffix(b"\n").removesuffix(b"\r")
    try:
        secret = line.decode()
    except UnicodeDecodeError:
        secret = ""
    if not secret or len(line) > _LONGEST_SECRET:
        raise ConfigurationError(
            f"the first line of the {what} file {path} is no {what}",
            hint=f"it is UTF-8 text of 1 to {_LONGEST_SECRET} bytes",
        )
    return secret
