"""URIs of backends and keys: parsing and formatting, for every scheme.

    scheme:[//authority][/path][?name=value(&name=value)*]            software:, alibaba:, and schemes of others
    pkcs11:[name=value(;name=value)*][?name=value(&name=value)*]      RFC 7512

Parts are percent-encoded UTF-8 (RFC 3986; a `+` is a plus). Bytes that are not UTF-8, as in RFC 7512's binary `id`, are
kept as surrogate escapes, so that parsing and formatting lose nothing.

A URI is trusted configuration and holds no secret. Its query may still tell paths and names, so no repr and no error
here shows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote

from kmskit.errors import ConfigurationError

__all__ = ["Uri", "parse"]

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_ALLOWED = re.compile(r"(?:[A-Za-z0-9\-._~:/\[\]@!$'()*+,;=&?|]|%[0-9A-Fa-f]{2})*")
_MAX_LENGTH = 8192
_IN_AUTHORITY = ":[]"
_IN_PATH = "/:@!$'()*,"
_IN_VALUE = "/:@,"


@dataclass(frozen=True, slots=True)
class Uri:
    """A parsed URI.

    Attributes:
        scheme: in lower case.
        authority: what stands behind `//`, such as a region or `host:port`; None if there is no `//`.
        path: decoded; empty for `pkcs11:`.
        attributes: RFC 7512 path attributes; empty for the other schemes.
        query: the query's attributes.
    """

    scheme: str
    authority: str | None = None
    path: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        text = f"{self.scheme}:"
        if self.authority is not None:
            text += "//" + _encode(self.authority, _IN_AUTHORITY)
        text += _encode(self.path, _IN_PATH)
        text += ";".join(f"{_encode(name)}={_encode(value, _IN_VALUE)}" for name, value in self.attributes.items())
        if self.query:
            text += "?" + "&".join(f"{_encode(name)}={_encode(value, _IN_VALUE)}" for name, value in self.query.items())
        return text

    def __repr__(self) -> str:
        return f"<Uri {self.redacted()}>"

    def redacted(self) -> str:
        """The URI without its query, for messages."""
        return str(replace(self, query={})) + ("?…" if self.query else "")

    def with_query(self, **changes: str | None) -> Uri:
        """A copy with query attributes set, or removed where the value is None; `_` in a name stands for `-`."""
        query = dict(self.query)
        for name, value in changes.items():
            if value is None:
                query.pop(name.replace("_", "-"), None)
            else:
                query[name.replace("_", "-")] = value
        return replace(self, query=query)

    def only(self, known: Iterable[str], attributes: Iterable[str] = ()) -> None:
        """Refuse attributes that the scheme does not know, so that a typing error is not passed over.

        Raises:
            ConfigurationError: there is another one. The message lists the known names and repeats nothing of the
            query.
        """
        for what, given, names in (("query", self.query, [*known]), ("path", self.attributes, [*attributes])):
            if not set(given) <= set(names):
                raise ConfigurationError(
                    f"the {what} of this {self.scheme}: URI has an attribute that is not known",
                    hint=f"known attributes of the {what}: {', '.join(sorted(names)) or 'none'}",
                )


def parse(text: str) -> Uri:
    """The parts of a URI.

    Raises:
        TypeError: not text.
        ConfigurationError: not a URI. The message does not repeat it.
    """
    if not isinstance(text, str):
        raise TypeError(f"uri: text expected, not {type(text).__name__}")
    head, mark, query = text.partition("?")
    scheme = _SCHEME.match(head)
    if len(text) > _MAX_LENGTH or scheme is None:
        raise ConfigurationError(
            "this is not a URI of a backend",
            hint="write software:, software:///abs/keys.db, pkcs11:token=NAME?module-path=FILE or alibaba://REGION",
        )
    if not _ALLOWED.fullmatch(text):
        raise ConfigurationError(
            "the URI has a character that must be percent-encoded", hint="urllib.parse.quote() encodes a value"
        )
    name, rest = scheme[1].lower(), head[scheme.end() :]
    if mark and not query:
        raise ConfigurationError("the URI ends in '?' without a query")
    if name == "pkcs11":
        return Uri(name, attributes=_parse_pairs(rest, ";"), query=_parse_pairs(query, "&"))
    authority: str | None = None
    if rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        authority, rest = _decode(authority), slash + path
    path = _decode(rest)
    if authority is None and path.startswith("//"):
        raise ConfigurationError("the URI's path begins with '//', which would be taken for a host when it is written")
    return Uri(name, authority, path, query=_parse_pairs(query, "&"))


def _parse_pairs(text: str, separator: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in text.split(separator) if text else ():
        name, equals, value = item.partition("=")
        if not (name and equals):
            raise ConfigurationError(f"the URI's attributes are name=value, separated by {separator!r}")
        if (name := _decode(name)) in pairs:
            raise ConfigurationError("the URI names an attribute twice")
        pairs[name] = _decode(value)
    return pairs


def _encode(text: str, safe: str = "") -> str:
    return quote(text, safe=safe, errors="surrogateescape")


def _decode(text: str) -> str:
    return unquote(text, errors="surrogateescape")
