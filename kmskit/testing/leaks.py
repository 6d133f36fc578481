"""Looks for secrets in errors, logs and displays: as text, in base64, in hex, percent-encoded, as Python writes bytes.

Frame locals are not searched: they cannot be cleaned, and SECURITY.md says so.
"""

from __future__ import annotations

import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

__all__ = ["assert_clean", "carried"]


def assert_clean(where: BaseException | str | Iterable[BaseException | str], *secrets: bytes) -> None:
    """Fail if an error, with all that hangs on it, or a text holds one of the secrets.

    Args:
        where: an error, a text, or several of them.
        *secrets: what may not be found; at least eight bytes each, so that none is found by chance.
    """
    assert all(len(secret) >= 8 for secret in secrets), "secrets of at least 8 bytes expected"
    forms = [(secret, form) for secret in secrets for form in _forms(secret)]
    places = [where] if isinstance(where, BaseException | str) else where
    for place in places:
        for text in [place] if isinstance(place, str) else carried(place):
            for secret, form in forms:
                assert form.lower() not in text.lower(), f"a secret of {len(secret)} bytes is in: {text[:60]!r}…"


def carried(error: BaseException) -> Iterator[str]:
    """All text that an error carries: message, arguments, notes, attributes, displays; the same of its whole chain."""
    yield from _texts(error, {})


def _texts(value: object, seen: dict[int, object]) -> Iterator[str]:
    if id(value) in seen:
        return
    seen[id(value)] = value  # Kept alive, so that no later object gets its id.
    yield str(value)
    yield repr(value)
    parts: Iterable[object] = ()
    if isinstance(value, BaseException):
        yield "".join(traceback.format_exception(value))
        displays = [getattr(value, name)() for name in ("_repr_html_", "_render_traceback_") if hasattr(value, name)]
        # Exceptions written in C keep data in slots, which vars() does not show: UnicodeError its `object`.
        slots = [getattr(value, name, None) for name in ("object", "reason", "filename", "filename2")]
        parts = (value.args, vars(value), value.__cause__, value.__context__, *displays, *slots)
    elif isinstance(value, Mapping):
        parts = (*value.keys(), *value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        parts = value
    for part in parts:
        yield from _texts(part, seen)


def _forms(secret: bytes) -> set[str]:
    """Every way in which a text might hold the secret."""
    forms = {secret.decode("latin-1"), repr(secret)[2:-1], secret.hex(), quote(secret)}
    for encode in (b64encode, urlsafe_b64encode):
        # Inside of something longer, a base64 text starts at any of three bytes, and its ends depend on the neighbours.
        for shift in range(3):
            text = encode(bytes(shift) + secret).decode().rstrip("=")[4 * (shift > 0) : -1]
            forms |= {text, quote(text, safe="")}
    return forms
