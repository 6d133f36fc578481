"""A client of the emulator that is not the limit: its requests are signed beforehand, and one is always waiting."""

from __future__ import annotations

import hashlib
import hmac
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import cycle
from urllib.parse import quote
from uuid import uuid4

__all__ = ["Line", "serve", "signed"]

_EMPTY = hashlib.sha256(b"").hexdigest()


def signed(host: str, access_key_id: str, secret: str, action: str, parameters: Mapping[str, str]) -> bytes:
    """A request in ACS3-HMAC-SHA256, with its parameters in the URL and the headers that the vendor's SDK sends."""
    query = "&".join(f"{quote(name, safe='')}={quote(parameters[name], safe='')}" for name in sorted(parameters))
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": _EMPTY,
        "x-acs-credentials-provider": "static_ak",
        "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "x-acs-signature-nonce": uuid4().hex,
        "x-acs-version": "2016-01-20",
    }
    lines, names = "".join(f"{name}:{value}\n" for name, value in headers.items()), ";".join(headers)
    canonical = "\n".join(("POST", "/", query, lines, names, _EMPTY))
    string_to_sign = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(secret.encode(), string_to_sign.encode(), "sha256").hex()
    authorization = f"ACS3-HMAC-SHA256 Credential={access_key_id},SignedHeaders={names},Signature={signature}"
    headers |= {"accept": "application/json", "user-agent": "kmskit.bench", "authorization": authorization}
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /?{query} HTTP/1.1\r\n{told}content-length: 0\r\n\r\n".encode()


class Line:
    """A connection that is kept alive, as cheap for its own side as can be."""

    def __init__(self, host: str, ca_path: str) -> None:
        name, _, port = host.rpartition(":")
        context = ssl.create_default_context(cafile=ca_path)
        self._socket = context.wrap_socket(socket.create_connection((name, int(port)), 30), server_hostname=name)
        self.send = self._socket.sendall

    def receive(self) -> bytes:
        """The body of the next answer, which must be of a call that succeeded."""
        data = b""
        while True:
            more = self._socket.recv(65_536)
            data += more
            head, end, body = data.partition(b"\r\n\r\n")
            if not more or (end and not head.startswith(b"HTTP/1.1 200 ")):
                raise RuntimeError("the emulator refused a call")
            if end and len(body) >= int(head.lower().partition(b"content-length:")[2].split()[0]):
                return body

    def close(self) -> None:
        self._socket.close()


def serve(lines: Sequence[Line], requests: Sequence[bytes]) -> list[bytes]:
    """Send all requests, each as soon as a line is free, and return the answers."""
    answers: list[bytes] = []
    waiting: deque[Line] = deque()
    for line, request in zip(cycle(lines), requests, strict=False):
        if len(waiting) == len(lines):
            answers.append(waiting.popleft().receive())
        line.send(request)
        waiting.append(line)
    return [*answers, *(line.receive() for line in waiting)]
