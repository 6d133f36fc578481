"""Checks of arguments that every backend shares: aliases, tags, bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kmskit.types import Buffer

__all__ = ["check_alias", "check_bytes", "check_tags", "is_key_id", "strip_alias_prefix"]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SERVICE_KEY_ID = re.compile(r"key-[a-z]{3}[0-9a-z]{12,}")
_MAX_ALIAS = 249  # The service takes 255 characters with its prefix `alias/`.
_MAX_TAG = 256


def is_key_id(text: str) -> bool:
    """Whether a name has the form of a key id: a UUID, or `key-…` as Alibaba Cloud's instances give them."""
    return _UUID.fullmatch(text) is not None or _SERVICE_KEY_ID.fullmatch(text) is not None


def strip_alias_prefix(name: str) -> str:
    """The service writes aliases as `alias/NAME`; kmskit takes both and keeps NAME."""
    if not isinstance(name, str):
        raise TypeError(f"a key id or alias is text (str), not {type(name).__name__}")
    while name.startswith("alias/"):  # All of them, so that an alias is found under the name it is shown with.
        name = name.removeprefix("alias/")
    return name


def check_alias(alias: str) -> str:
    """A new alias, without the service's prefix.

    Raises:
        TypeError: not text.
        ValueError: empty, too long, not encodable, or in the form of a key id.
    """
    name = strip_alias_prefix(alias)
    if not 0 < len(name) <= _MAX_ALIAS:
        raise ValueError(f"alias: 1 to {_MAX_ALIAS} characters expected, not {len(name)}")
    if is_key_id(name):
        raise ValueError("alias: this has the form of a key id; choose a name that cannot be taken for one")
    _check_text("alias", name)
    return name


def check_tags(tags: Mapping[str, str] | None) -> Mapping[str, str]:
    """Tags as a read-only mapping.

    Raises:
        TypeError: not a mapping of str to str.
        ValueError: a name is empty, or a name or value is too long or not encodable.
    """
    if tags is None:
        return MappingProxyType({})
    if not isinstance(tags, Mapping):
        raise TypeError(f"tags: a mapping of str to str expected, not {type(tags).__name__}")
    for name, value in tags.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise TypeError("tags: names and values are text (str)")
        if not name or len(name) > _MAX_TAG or len(value) > _MAX_TAG:
            raise ValueError(f"tags: names have 1 to {_MAX_TAG} characters, values at most {_MAX_TAG}")
        _check_text("tags", name + value)
    return MappingProxyType(dict(tags))


def _check_text(argument: str, text: str) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{argument}: a NUL or a lone surrogate cannot be stored")


def check_bytes(argument: str, value: Any) -> Buffer:
    """`value` if it is binary; other buffers (arrays, mapped files) as bytes.

    Raises:
        TypeError: not binary, text above all.
    """
    if isinstance(value, bytes | bytearray):
        return value
    try:
        return memoryview(value).tobytes()
    except TypeError:
        cure = "; encode text first, for example with .encode()" if isinstance(value, str) else ""
    raise TypeError(f"{argument}: bytes expected, not {type(value).__name__}{cure}")
