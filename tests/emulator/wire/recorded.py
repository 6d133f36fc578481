"""Requests that real clients have sent, with their dummy secrets: Python's V2 SDK in three schemes, the old, Node's."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kmskit.emulator.wire.nonces import Nonces
from kmskit.emulator.wire.request import Request, parse_request
from kmskit.emulator.wire.verify import Credential, Signed, verify

_FILE: dict[str, Any] = json.loads((Path(__file__).parent / "recorded-requests.json").read_text("utf-8"))


def find(access_key_id: str) -> Credential | None:
    secret = _FILE["secrets"].get(access_key_id)
    if secret is None:
        return None
    token = _FILE["sts_token"] if access_key_id.startswith("STS.") else None
    return Credential(access_key_id, secret, token=token)


@dataclass(frozen=True)
class Recorded:
    name: str
    scheme: str
    action: str
    method: str
    target: str
    headers: list[tuple[str, str]] = field(repr=False)
    body: str
    received_at: float
    sts: bool

    def parsed(self) -> Request:
        path, _, query = self.target.partition("?")
        headers = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in self.headers]
        return parse_request(self.method, path, query.encode(), headers, self.body.encode())

    def verified(self, nonces: Nonces | None = None, now: float | None = None) -> Signed:
        return verify(self.parsed(), find, nonces or Nonces(), self.received_at if now is None else now)

    def header(self, name: str) -> str:
        return next(value for key, value in self.headers if key.lower() == name)

    def with_header(self, name: str, value: str | None) -> Recorded:
        """Changed, added, or with None left out."""
        kept = [(key, old) for key, old in self.headers if key.lower() != name]
        return replace(self, headers=kept if value is None else [*kept, (name, value)])


REQUESTS = [
    Recorded(
        f"{number}-{each['client']}-{each['scheme']}{'-sts' if each['sts'] else ''}-{each['action']}-{each['method']}",
        each["scheme"],
        each["action"],
        each["method"],
        each["target"],
        [(name, value) for name, value in each["headers"]],
        each["body"],
        each["received_at"],
        each["sts"],
    )
    for number, each in enumerate(_FILE["requests"])
]
