"""The PIN of a token: where it comes from, and how often it may be sent. A token locks after a few wrong ones."""

from __future__ import annotations

import hmac
import os
import sys
from collections.abc import Callable
from getpass import getpass

from kmskit import markup
from kmskit.backends.pkcs11.location import Location
from kmskit.errors import ConfigurationError

__all__ = ["Pin", "PinOption", "find_pin", "missing"]

_VARIABLE = "KMSKIT_PKCS11_PIN"
PinOption = str | Callable[[], str] | None


class Pin:
    """One PIN. It is sent again by itself only if the token has accepted it before, and forgotten once it was refused.

    Attributes:
        accepted: whether the token has taken it.
    """

    __slots__ = ("_value", "accepted")

    def __init__(self, value: str) -> None:
        self._value: str | None = value
        self.accepted = False

    def __repr__(self) -> str:
        return "<Pin>"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a PIN is not pickled")

    @property
    def value(self) -> bytes | None:
        """What is sent; None once it was refused."""
        return None if self._value is None else self._value.encode()

    def forget(self) -> None:
        self._value = None
        self.accepted = False

    def equals(self, other: Pin) -> bool:
        """Whether the two are the same, compared without telling by the time where they differ."""
        return hmac.compare_digest(self.value or b"", other.value or b"")


def find_pin(location: Location, option: PinOption, *, may_ask: bool) -> Pin | None:
    """The PIN for a token: the option, else the file that the URI names, else the environment's; None if there is none.

    Raises:
        TypeError: the option is neither text nor a function that returns some.
        ConfigurationError: the file cannot be used.
    """
    value = option() if callable(option) else option
    if value is None:
        value = location.pin_from_file()
    if value is None and location.names_a_token():
        value = os.environ.get(_VARIABLE) or None
    if value is None and may_ask and _can_ask():
        label = markup.printable(dict(location.wanted).get("token", ""))
        value = _ask(f"PIN of the token {label}".rstrip() + ": ")
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"pin: text, or a function that returns it, expected, not {type(value).__name__}")
    return Pin(value)


def missing() -> ConfigurationError:
    return ConfigurationError(
        "the token wants a PIN, and none was given",
        code="PIN_REQUIRED",
        hint=f"connect(uri, pin=...), pin-source=file:/path in the URI, or {_VARIABLE} with a URI that names the token",
    )


def _can_ask() -> bool:
    """Whether someone would see the question: at a terminal, or in Jupyter, whose kernel passes it on."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel") or (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty())


def _ask(question: str) -> str | None:
    try:
        return getpass(question) or None  # Whoever only presses Enter has no PIN to send.
    except (EOFError, NotImplementedError):  # A kernel that runs a notebook by itself has nobody to pass it to.
        return None
