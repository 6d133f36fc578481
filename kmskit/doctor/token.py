"""The token of a `pkcs11:` URI: its module, files and flags. No PIN is sent here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Any

from kmskit.backends.pkcs11.places import token_folder
from kmskit.doctor.files import existing, guarded, mode_of, private
from kmskit.doctor.finding import Finding, Subject
from kmskit.errors import KmsError

__all__ = ["held_back", "token"]

_TOPIC = "token"
_ELSEWHERE = "make it writable for this user, or kmskit token init --folder DIR makes a token elsewhere"


def token(subject: Subject) -> Iterator[Finding]:
    """All about the token but whether the login works. What keeps the URI from being used at all is told by `opens`."""
    location = subject.location()
    if location is None:
        return
    yield Finding(_TOPIC, "ok", f"module {location.module}")
    if location.configuration is not None:
        yield from _configuration(Path(location.configuration))
    if location.pin_source is not None:
        yield from private(_TOPIC, "PIN file ", location.pin_source)
    try:
        from kmskit.backends.pkcs11 import tokens

        with tokens.opened(location) as module:
            found = module.find(location.wanted)
            identity = tokens.identity(found)
    except (KmsError, ModuleNotFoundError):
        return
    yield Finding(_TOPIC, "ok", f"{found.label} (serial {found.serial.decode(errors='replace')}, {found.model})")
    yield from _flags(found)
    yield from _notes(tokens.notes_file(location, identity))


def held_back(subject: Subject) -> Finding | None:
    """What the token's flags say against sending it a PIN by the way, as opening it does; None if they say nothing."""
    location = subject.location()
    if location is None:
        return None
    try:
        from kmskit.backends.pkcs11 import tokens

        with tokens.opened(location) as module:
            found = module.find(location.wanted)
            return _tries(found) if found.flags & tokens.TRIES_WERE_WRONG else None
    except (KmsError, ModuleNotFoundError):
        return None  # Opening it tells.


def _configuration(path: Path) -> Iterator[Finding]:
    """SoftHSM's configuration, and the folder of tokens that it names."""
    cure = f"kmskit token init --folder {quote(str(path.parent))} writes it anew"
    try:
        named = token_folder(path)
    except OSError as error:
        yield Finding(_TOPIC, "problem", f"configuration {path}: {error.strerror}", cure)
        return
    if named is None:
        yield Finding(_TOPIC, "problem", f"configuration {path} names no directories.tokendir", cure)
        return
    yield Finding(_TOPIC, "ok", f"configuration {path}")
    folder, mode = Path(named), mode_of(named)
    if mode is None:
        yield Finding(_TOPIC, "problem", f"token folder {folder} is not there", cure)
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(_TOPIC, "problem", f"token folder {folder} cannot be used by this user", _ELSEWHERE)
    elif os.name == "posix" and mode & 0o077:
        text = f"token folder {folder}: others may use it (mode {mode:04o})"
        yield Finding(_TOPIC, "problem", text, f"chmod 700 {_quoted(folder)}")
    else:
        yield Finding(_TOPIC, "ok", f"token folder {folder} (mode {mode:04o})")
    yield from guarded(_TOPIC, "the tokens", path.parent)


def _flags(found: Any) -> Iterator[Finding]:
    """What the token says of its PIN, and of itself."""
    from pkcs11.constants import TokenFlag

    if TokenFlag.LOGIN_REQUIRED in found.flags and TokenFlag.USER_PIN_INITIALIZED not in found.flags:
        cure = "its security officer sets one; kmskit token init does, in a folder of its own"
        yield Finding(_TOPIC, "problem", "it has no user PIN yet", cure)
    if tries := _tries(found):
        yield tries
    if TokenFlag.WRITE_PROTECTED in found.flags:
        yield Finding(_TOPIC, "ok", "it is write-protected: keys can be used, and none made")


def _tries(found: Any) -> Finding | None:
    """What the token says of wrong PINs, the gravest first."""
    from pkcs11.constants import TokenFlag

    sure = "make sure of the PIN, then log in with it: that sets the count back"
    said = {
        TokenFlag.USER_PIN_LOCKED: ("its PIN is locked", "its security officer can set a new one with its own tool"),
        TokenFlag.USER_PIN_FINAL_TRY: ("one more wrong PIN locks it", sure),
        TokenFlag.USER_PIN_COUNT_LOW: ("it was sent a wrong PIN since the last right one", sure),
    }
    return next((Finding(_TOPIC, "problem", *words) for flag, words in said.items() if flag in found.flags), None)


def _notes(path: Path) -> Iterator[Finding]:
    """The file of aliases, tags and dates beside the token."""
    if path.exists():
        yield from private(_TOPIC, "notes ", path)
        yield from guarded(_TOPIC, "the notes", path.parent)
        return
    folder = existing(path.parent)
    if os.access(folder, os.W_OK | os.X_OK):
        yield Finding(_TOPIC, "ok", "no notes on it yet: the first key makes them")
    else:
        yield Finding(
            _TOPIC,
            "problem",
            f"notes cannot be made in {folder}",
            "make it writable for this user: without notes no key can be made",
        )


def _quoted(path: Path) -> str:
    return quote(str(path))
