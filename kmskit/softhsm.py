"""A SoftHSM token of one's own: no root, nothing in `/etc`, everything in one folder.

    token = kmskit.softhsm.token("my-tokens")
    kms = kmskit.connect(token.uri)            # also in another process: the URI names the PIN's file

    softhsm2.conf       SoftHSM's configuration; the URI names it
    tokens/             the tokens, as SoftHSM keeps them
    LABEL.pin           the PIN of a token; the URI names it
    LABEL.so-pin        the PIN of its security officer, who can set a new PIN
    notes-….db          what a token has no place for; the backend keeps it
    kept/               copies of the tokens' own records, for the case of a crash; the backend keeps them

It is for learning, tests and development: whoever has the folder has the keys.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

import platformdirs

from kmskit import markup
from kmskit.backends.pkcs11.extra import needed
from kmskit.backends.pkcs11.places import find_modules, pin_file, searched, token_folder
from kmskit.errors import ConfigurationError
from kmskit.uri import Uri

__all__ = ["Token", "default_folder", "module_path", "token", "tokens_uri"]

# SoftHSM reads lines of up to 1,023 bytes, takes what follows a # for a comment, and a second = for an end.
_NOT_IN_A_PATH = "#=\r\n"
_LONGEST_PATH = 900
_SO_PIN = (0x8000534C).to_bytes(8, "big")
"""In a token's own record: the attribute of SoftHSM's with the security officer's PIN."""
_SETTLING_SECONDS = 0.1
_CONFIGURATION_FILE = "softhsm2.conf"
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
        made: whether this call made it; if not, it was there already.
    """

    label: str
    serial: str
    folder: Path
    pin_path: Path
    uri: str
    made: bool = field(default=False, compare=False)

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
    for product, path in find_modules():
        if product == "SoftHSM":
            return os.path.realpath(path)
    raise ConfigurationError(
        f"SoftHSM is not installed; looked for {searched()}", hint="apt-get install softhsm2, or make setup"
    )


def tokens_uri(folder: str | os.PathLike[str]) -> str:
    """A URI of all tokens in a folder, for `kmskit.tokens`.

    Raises:
        ConfigurationError: SoftHSM is not installed, or no token was ever made in the folder.
    """
    place = Path(folder).absolute()
    if not (place / _CONFIGURATION_FILE).is_file():
        raise ConfigurationError(f"no token was made in {place}", hint="kmskit token init makes one")
    return str(Uri("pkcs11", query=_query(place)))


def token(folder: str | os.PathLike[str], label: str = "kmskit") -> Token:
    """The token with this label in a folder; made, with a random PIN, if it is not there.

    Args:
        folder: is made, for its owner only, if it is not there. Several tokens may lie in one.
        label: 1 to 32 bytes of UTF-8.

    Raises:
        ConfigurationError: SoftHSM is not installed, the folder cannot be used, or the token's PIN is not in it.
        MissingDependencyError: python-pkcs11 is not installed.
        ValueError: a token cannot have this label.
    """
    with needed():
        from pkcs11.constants import TokenFlag

        from kmskit.backends.pkcs11 import tokens
        from kmskit.backends.pkcs11.location import Location
    tokens.check_label(label)
    place = Path(folder).absolute()
    _check(place)
    query = _query(place)
    pin_path = pin_file(place, label)
    so_pin_path = pin_path.with_suffix(".so-pin")
    uri = Uri(
        "pkcs11", attributes={"token": label}, query={**query, "pin-source": f"file:{quote(os.fsencode(pin_path))}"}
    )
    with _locked(place):
        _configure(place)
        _drop_half_made(place)
        location = Location.parse(Uri("pkcs11", query=query))
        # A module that is in use in this process does not see what other processes have made since. Under another
        # spelling of the configuration's path there is one of its own for this look.
        with tokens.opened(replace(location, configuration=f"{place}/./{_CONFIGURATION_FILE}")) as module:
            found = tokens.find(module, label)
            made = found is None
            if found is not None and not (pin_path.exists() and so_pin_path.exists()):
                raise ConfigurationError(
                    f"there is a token {label!r} in {place}, and its PIN is not there",
                    hint=f"put the PIN back into {pin_path}, or choose another label",
                )
            # The PINs are stored before a token is made, so that a token that is there can always be opened.
            pin, so_pin = _pin(pin_path), _pin(so_pin_path)
            if found is not None and TokenFlag.USER_PIN_INITIALIZED not in found.flags:
                tokens.set_pin(module, found, so_pin, pin)
        if found is None:
            with tokens.opened(location) as module:
                found = tokens.initialise(module, label, so_pin, pin)
    return Token(label, found.serial.decode(errors="replace"), place, pin_path, str(uri), made)


def _query(folder: Path) -> dict[str, str]:
    return {"module-path": module_path(), "x-softhsm2-conf": str(folder / _CONFIGURATION_FILE)}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the folder, and keep other processes from making a token in it at the same time."""
    with _usable(folder):
        _make(folder)
        (folder / "tokens").mkdir(mode=0o700, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)  # Closing it is not enough: a child that was forked meanwhile has it open too.
        os.close(lock)


def _drop_half_made(folder: Path) -> None:
    """Remove tokens whose maker was killed before they had any PIN. SoftHSM takes none for them, and they hold no key.

    It stores a token first, and the PIN of its security officer in a second step.
    """
    with _usable(folder):
        found = [record.parent for record in folder.glob("tokens/*/token.object") if _has_no_pin(record)]
        if found:
            time.sleep(_SETTLING_SECONDS)  # Another program may be just at it.
        for place in found:
            kept = folder / "kept" / place.name
            if _has_no_pin(place / "token.object") and (not kept.exists() or _has_no_pin(kept)):
                shutil.rmtree(place)
                kept.unlink(missing_ok=True)


def _has_no_pin(record: Path) -> bool:
    content = record.read_bytes()
    return bool(content) and _SO_PIN not in content


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot hold a token: {error.strerror}", hint="choose a folder that can be written to"
        ) from error


def _make(folder: Path) -> None:
    """Make a folder, and those above it, for their owner. `mkdir(parents=True)` lets others into the upper ones."""
    for path in (*reversed(folder.parents), folder):
        if not path.exists():
            path.mkdir(mode=0o700, exist_ok=True)


def _configure(folder: Path) -> None:
    """Write the configuration, if it is not there or, in a folder that was moved or copied, names another folder."""
    text, path = _CONFIGURATION.format(tokens=folder / "tokens"), folder / _CONFIGURATION_FILE
    with _usable(folder):
        if not path.exists() or token_folder(path) != str(folder / "tokens"):
            _write(path, text)


def _check(folder: Path) -> None:
    """Refuse a folder that SoftHSM would read as another one from its configuration."""
    if any(character in _NOT_IN_A_PATH for character in str(folder)) or len(os.fsencode(folder)) > _LONGEST_PATH:
        raise ConfigurationError(
            f"SoftHSM cannot keep tokens in {folder}",
            hint=f"choose a path without # and = of at most {_LONGEST_PATH} bytes",
        )


def _pin(path: Path) -> str:
    """The PIN in a file; a new random one, if there is no file."""
    with _usable(path.parent):
        if not path.exists():
            _write(path, secrets.token_hex(16) + "\n")
        return path.read_text().rstrip("\n")


def _write(path: Path, text: str) -> None:
    """Make a file whole, for its owner only, and see that it stays: a token must not outlive its PIN."""
    new = path.with_name(path.name + ".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text.encode(errors="surrogateescape"))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
