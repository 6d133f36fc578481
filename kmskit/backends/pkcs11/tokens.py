"""Tokens and modules from the outside: what is in the slots, what it can do, and how a token is made."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PKCS11Error

from kmskit.backends.pkcs11 import faults
from kmskit.backends.pkcs11.location import Location
from kmskit.backends.pkcs11.module import Module
from kmskit.backends.pkcs11.openssl import clear_errors
from kmskit.errors import AlreadyExistsError, ConfigurationError, ServiceUnavailableError

__all__ = [
    "TRIES_WERE_WRONG",
    "check_label",
    "find",
    "identity",
    "initialise",
    "mechanisms",
    "notes_file",
    "of_path",
    "opened",
    "present",
    "set_pin",
    "version",
]

_SO = 0  # CKU_SO
_LONGEST_LABEL = 32
TRIES_WERE_WRONG = TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.USER_PIN_FINAL_TRY | TokenFlag.USER_PIN_LOCKED
"""Flags of a token that was sent a wrong PIN since it was last sent the right one."""


def of_path(module: str | os.PathLike[str]) -> Location:
    """The location of all tokens of a module; ConfigurationError if there is no such file."""
    path = os.path.abspath(module)
    if not os.path.isfile(path):
        raise ConfigurationError(f"there is no module {path}", hint="kmskit token modules lists the modules there are")
    return Location(os.path.realpath(path), None, None, (), None)


@contextmanager
def opened(location: Location) -> Iterator[Module]:
    """A module for the time of the block; its errors come as kmskit's."""
    module = Module.open(location)
    try:
        with faults.translated():
            yield module
    finally:
        module.close()
        clear_errors()


# What is there


def present(slot: Any) -> Any:
    """The token in a slot, as python-pkcs11 has it, initialised or not; None if the slot is empty."""
    try:
        return slot.get_token()
    except PKCS11Error:
        return None


def find(module: Module, label: str) -> Any:
    """The token with a label, as python-pkcs11 has it; None if there is none."""
    return next((token for token in module.tokens() if token.label == label), None)


def version(module: Module) -> str:
    """The version of a module, as it tells it."""
    with module.lock:
        return module.cryptoki.version


def mechanisms(module: Module, slot: Any) -> Iterator[tuple[int, int, int, int]]:
    """Number, least and greatest key size and flags of each mechanism of a slot."""
    with module.lock:
        for number in sorted(map(int, slot.get_mechanisms())):
            if facts := module.cryptoki.mechanism(slot.slot_id, number):
                yield number, *facts


def identity(token: Any) -> bytes:
    """What tells a token from all others in a module. Serial numbers alone do not: NSS gives all of its tokens one."""
    return b"|".join((token.manufacturer_id.encode(), token.model.encode(), token.serial, token.label.encode()))


def notes_file(location: Location, identity: bytes) -> Path:
    """Where the backend keeps its notes on a token: beside a configuration of the user's own; else in the user's data
    folder."""
    name = hashlib.sha256(identity + (location.reserved or "").encode()).hexdigest()[:32] + ".db"
    if location.configuration is not None:
        return Path(location.configuration).parent / f"notes-{name}"
    return platformdirs.user_data_path("kmskit") / "tokens" / name


# Making one


def check_label(label: str) -> None:
    """Refuse a label that a token cannot have, or would not give back: it is 32 bytes, filled up with blanks.

    Raises:
        TypeError: it is no text.
        ValueError: it is empty, too long, or ends in white space.
    """
    if not isinstance(label, str):
        raise TypeError(f"label: text expected, not {type(label).__name__}")
    if not 0 < len(label.encode(errors="replace")) <= _LONGEST_LABEL:
        raise ValueError(f"label: 1 to {_LONGEST_LABEL} bytes of UTF-8 expected")
    if any("\ud800" <= character <= "\udfff" for character in label):
        raise ValueError("label: text that UTF-8 can encode expected")
    if label != label.rstrip() or "\0" in label:
        raise ValueError("label: neither NUL nor white space at the end expected")


def initialise(module: Module, label: str, so_pin: str, pin: str) -> Any:
    """Make a token in a free slot, with both PINs.

    Args:
        label: 1 to 32 bytes of UTF-8; no other token of the module has it.

    Returns:
        the token, as python-pkcs11 has it.

    Raises:
        AlreadyExistsError: a token has this label.
        ServiceUnavailableError: no slot is free.
        ValueError: a token cannot have this label.
    """
    check_label(label)
    with module.undisturbed(), faults.translated():
        if find(module, label) is not None:
            raise AlreadyExistsError(f"there is a token {label!r} already", hint="choose another label")
        slot = next((slot for slot in module.slots() if _is_free(slot)), None)
        if slot is None:
            raise ServiceUnavailableError("no slot is free for a new token", hint="the module's own tool makes slots")
        module.cryptoki.init_token(slot.slot_id, so_pin.encode(), label)
        made = find(module, label)
        set_pin(module, made, so_pin, pin)
    return made


def set_pin(module: Module, token: Any, so_pin: str, pin: str) -> None:
    """Give a token its user PIN, as the security officer does it."""
    with module.undisturbed(), faults.translated():
        session = token.open(rw=True)
        try:
            module.cryptoki.login(session.handle, _SO, so_pin.encode())
            session.init_pin(pin)
            module.cryptoki.logout(session.handle)
        finally:
            module.cryptoki.close_session(session.handle)


def _is_free(slot: Any) -> bool:
    token = present(slot)
    return token is not None and TokenFlag.TOKEN_INITIALIZED not in token.flags
