"""A SoftHSM token of one's own: no root, nothing in `/etc`, everything in one folder.

    token = kmskit.softhsm.token("my-tokens")
    kms = kmskit.connect(token.uri)            # also in another process: the URI names the PIN's file

The folder holds SoftHSM's configuration, the tokens, and for each token a file with its PIN. It is for learning, tests
and development: whoever has the folder has the keys.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import platformdirs

from kmskit import markup
from kmskit.errors import ConfigurationError, MissingDependencyError
from kmskit.uri import Uri

__all__ = ["Token", "default_folder", "module_path", "token"]

_CONFIGURATION = """\
# SoftHSM reads this file; kmskit names it by x-softhsm2-conf= in the URI.
directories.tokendir = {tokens}
objectstore.backend = file
objectstore.umask = 0077
log.level = ERROR
slots.removable = false
"""


@dataclass(frozen=True, slots=True)
class Token:
    """A token that `token` made or found.

    Attributes:
        label: its name.
        serial: its serial number.
        folder: where its configuration, its objects and its PIN lie.
        pin_path: the file with the PIN, which only its owner can read.
        uri: opens it. It names the file with the PIN and holds no secret.
    """

    label: str
    serial: str
    folder: Path
    pin_path: Path
    uri: str

    def __repr__(self) -> str:
        return f"<Token {markup.printable(self.label)} {markup.volatile_text(self.serial)}>"

    def _repr_html_(self) -> str:
        rows = {"serial": markup.volatile_html(self.serial), "folder": markup.volatile_html(self.folder)}
        return markup.card(f"Token {self.label}", rows)


def default_folder() -> Path:
    """Where `kmskit token init` makes tokens if it is not told otherwise."""
    return platformdirs.user_data_path("kmskit") / "softhsm"


def module_path() -> str:
    """The path of SoftHSM's library.

    Raises:
        ConfigurationError: it is not installed.
    """
    from kmskit.backends.pkcs11.places import find_modules, searched

    for product, path in find_modules():
        if product == "SoftHSM":
            return os.path.realpath(path)
    raise ConfigurationError(
        f"SoftHSM is not installed; looked for {searched()}", hint="apt-get install softhsm2, or make setup"
    )


def token(folder: str | os.PathLike[str], label: str = "kmskit") -> Token:
    """The token with this label in a folder; made, with a random PIN, if it is not there.

    Args:
        folder: is made if it is not there; nobody else can then look into it. Several tokens may lie in one.
        label: 1 to 32 bytes of UTF-8.

    Raises:
        ConfigurationError: SoftHSM is not installed, or the folder cannot be used.
        MissingDependencyError: python-pkcs11 is not installed.
        ValueError: the label is empty or too long.
    """
    try:
        from pkcs11.constants import TokenFlag

        from kmskit.backends.pkcs11 import tokens
        from kmskit.backends.pkcs11.location import Location
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"the pkcs11 backend needs the package {error.name}", hint='pip install "kmskit[pkcs11]"'
        ) from error
    place = Path(folder).absolute()
    with _locked(place):
        configuration = place / "softhsm2.conf"
        if not configuration.exists():
            _write(configuration, _CONFIGURATION.format(tokens=place / "tokens"))
        name = quote(label, safe="")
        pin_path = place / f"{name}.pin"
        # The PINs are stored before the token is made, so that a token that is there can always be opened.
        pin, so_pin = _pin(pin_path), _pin(place / f"{name}.so-pin")
        query = {"module-path": module_path(), "x-softhsm2-conf": str(configuration)}
        with tokens.opened(Location.parse(Uri("pkcs11", query=query))) as module:
            made = tokens.find(module, label)
            if made is None:
                made = tokens.initialise(module, label, so_pin, pin)
            elif TokenFlag.USER_PIN_INITIALIZED not in made.flags:
                tokens.set_pin(module, made, so_pin, pin)
            serial = made.serial.decode()
    uri = Uri("pkcs11", attributes={"token": label}, query={**query, "pin-source": f"file:{quote(str(pin_path))}"})
    return Token(label, serial, place, pin_path, str(uri))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the folder, and keep other processes from making a token in it at the same time."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "tokens").mkdir(mode=0o700, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot hold a token: {error.strerror}", hint="choose a folder that can be written to"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _pin(path: Path) -> str:
    """The PIN in a file; a new random one, if there is no file."""
    if not path.exists():
        _write(path, secrets.token_hex(16) + "\n")
    return path.read_text().rstrip("\n")


def _write(path: Path, text: str) -> None:
    """Make a file whole, for its owner only."""
    new = path.with_name(path.name + ".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
