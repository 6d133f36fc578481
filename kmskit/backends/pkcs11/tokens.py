"""Tokens and modules from the outside: what is in the slots, and how a token is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PKCS11Error

from kmskit.backends.pkcs11 import faults
from kmskit.backends.pkcs11.location import Location
from kmskit.backends.pkcs11.module import Module
from kmskit.errors import AlreadyExistsError, KmsError, ServiceUnavailableError

__all__ = ["find", "initialise", "opened", "set_pin"]

_SO = 0  # CKU_SO
_LONGEST_LABEL = 32


@contextmanager
def opened(location: Location) -> Iterator[Module]:
    """A module for the time of the block; its errors come as kmskit's."""
    module = Module.open(location)
    try:
        with _translated():
            yield module
    finally:
        module.close()


@contextmanager
def _translated() -> Iterator[None]:
    problem: KmsError
    try:
        yield
        return
    except PKCS11Error as error:
        problem = faults.translate(error)
    raise problem


def find(module: Module, label: str) -> Any:
    """The token with a label, as python-pkcs11 has it; None if there is none."""
    return next((token for token in module.tokens() if token.label == label), None)


def initialise(module: Module, label: str, so_pin: str, pin: str) -> Any:
    """Make a token in a free slot, with both PINs.

    Args:
        label: 1 to 32 bytes of UTF-8; no other token of the module has it.

    Returns:
        the token, as python-pkcs11 has it.

    Raises:
        AlreadyExistsError: a token has this label.
        ServiceUnavailableError: no slot is free.
        ValueError: the label is empty or too long.
    """
    if not 0 < len(label.encode()) <= _LONGEST_LABEL:
        raise ValueError(f"label: 1 to {_LONGEST_LABEL} bytes of UTF-8 expected")
    with module.lock, _translated():
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
    with module.lock, _translated():
        session = token.open(rw=True)
        try:
            module.cryptoki.login(session.handle, _SO, so_pin.encode())
            session.init_pin(pin)
            module.cryptoki.logout(session.handle)
        finally:
            module.cryptoki.close_session(session.handle)


def _is_free(slot: Any) -> bool:
    try:
        return TokenFlag.TOKEN_INITIALIZED not in slot.get_token().flags
    except PKCS11Error:
        return False
