"""Where the keys of a Kms are, read from its URI: a file, a token, or gateways and the CAs that vouch for them."""

from __future__ import annotations

from kmskit import Kms
from kmskit.uri import parse

__all__ = ["gateways", "place"]


def place(kms: Kms) -> str:
    """In a few words."""
    uri = parse(kms.uri)
    if uri.scheme == "pkcs11":
        named = uri.attributes.get("token") or uri.attributes.get("serial", "")
        return f"token {named}" if named else "a token"
    if uri.query.get("memory"):
        return "in memory"
    return uri.authority or uri.path or "this user's key store"


def gateways(kms: Kms) -> dict[str, str]:
    """Of a cloud: which gateways are called, and the files with the CAs that their certificates are checked against."""
    uri = parse(kms.uri)
    if uri.scheme != "alibaba":
        return {}
    query = uri.query
    only_ca = None if "endpoint" in query else query.get("ca")  # Of the instance, if the URI names one.
    rows = {
        "instance": query.get("instance"),
        "instance gateway": query.get("instance-endpoint"),
        "its CA": query.get("instance-ca") or (only_ca if "instance" in query else None),
        "shared gateway": query.get("endpoint") or uri.authority,
        "shared CA": query.get("ca") if "endpoint" in query or "instance" not in query else None,
    }
    return {name: _short(value) for name, value in rows.items() if value}


def _short(value: str) -> str:
    return "given in the URI itself" if "-----BEGIN" in value else value
