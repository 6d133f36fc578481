"""A request as the gateway understands it: parameters out of query and form, decoded once.

Clients encode differently (`+` or `%20`, `%2A` or `*`) and put the same parameters into the query or into a form body,
so everything behind this module works on the decoded parameters, and signatures are computed by encoding them again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from kmskit.emulator.errors import ServiceError, invalid

__all__ = ["MAX_BODY", "MAX_HEAD", "MAX_PARAMETERS", "Request", "parse_pairs", "parse_request"]

MAX_HEAD = 128 << 10
"""Request line and headers. The documented largest calls are some 11 KB, and clients must be able to send 64 KiB."""
MAX_BODY = 1 << 20
MAX_PARAMETERS = 500

_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Its repr tells no value, since parameters hold plaintexts and headers hold tokens.

    Attributes:
        query: parameters out of the request line.
        form: parameters out of a form body.
        headers: names in lower case.
        repeated: header names that came more than once, which no signature can speak for.
        source: the address it came from.
    """

    method: str
    path: str
    query: dict[str, str] = field(repr=False)
    form: dict[str, str] = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    repeated: frozenset[str] = frozenset()
    source: str = ""

    @property
    def parameters(self) -> dict[str, str]:
        return {**self.query, **self.form} if self.form else self.query


def parse_request(
    method: str,
    path: str,
    query: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    source: str = "",
) -> Request:
    """
    Raises:
        ServiceError: the parameters cannot be read, or one is given twice: then client and server could mean different
        ones.
    """
    named: dict[str, str] = {}
    repeated = set()
    for raw, value in headers:
        name = raw.decode("latin-1").lower()
        if name in named:
            repeated.add(name)
        named[name] = value.decode("utf-8", "surrogateescape").strip()
    in_query = parse_pairs(query)
    in_form: dict[str, str] = {}
    if body and named.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        in_form = parse_pairs(body)
        if not in_form.keys().isdisjoint(in_query):
            raise _twice()
    return Request(method, path, in_query, in_form, named, body, frozenset(repeated), source)


def parse_pairs(text: bytes) -> dict[str, str]:
    """`name=value&name=value`, percent-encoded UTF-8, where a `+` is a space."""
    pairs: dict[str, str] = {}
    parts = text.split(b"&") if text else []
    if len(parts) > MAX_PARAMETERS:
        raise invalid("Parameters", f"There are more than {MAX_PARAMETERS}.")
    for part in parts:
        if not part:
            continue
        name, _, value = part.partition(b"=")
        key = _decode(name)
        if key in pairs:
            raise _twice()
        pairs[key] = _decode(value)
    return pairs


def _decode(text: bytes) -> str:
    if b"+" in text:
        text = text.replace(b"+", b" ")
    if b"%" in text:
        text = unquote_to_bytes(text)
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        pass
    # Outside of `except`, as the error would carry the text along.
    raise ServiceError(400, "ParseRequestParameterException", "A parameter is not UTF-8.")


def _twice() -> ServiceError:
    return ServiceError(400, "ParseRequestParameterException", "A parameter is given more than once.")
