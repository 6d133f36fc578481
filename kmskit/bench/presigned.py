"""A client of the emulator that is not the limit: it signs its requests beforehand, and then only sends and reads them.

`python -m kmskit.bench.presigned` reads what to do as JSON from stdin, so that no secret stands in a command line, and
prints the seconds that the calls took.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import ssl
import sys
import time
from collections.abc import Mapping
from urllib.parse import quote
from uuid import uuid4

__all__ = ["signed", "timed"]

_EMPTY = hashlib.sha256(b"").hexdigest()


def signed(host: str, access_key_id: str, secret: str, action: str, parameters: Mapping[str, str]) -> bytes:
    """A request in ACS3-HMAC-SHA256, with all its parameters in the URL as the vendor's SDK sends them."""
    query = "&".join(f"{quote(name, safe='')}={quote(parameters[name], safe='')}" for name in sorted(parameters))
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": _EMPTY,
        "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "x-acs-signature-nonce": uuid4().hex,
        "x-acs-version": "2016-01-20",
    }
    lines, names = "".join(f"{name}:{value}\n" for name, value in headers.items()), ";".join(headers)
    canonical = "\n".join(("POST", "/", query, lines, names, _EMPTY))
    string_to_sign = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(secret.encode(), string_to_sign.encode(), "sha256").hex()
    authorization = f"ACS3-HMAC-SHA256 Credential={access_key_id},SignedHeaders={names},Signature={signature}"
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /?{query} HTTP/1.1\r\n{told}authorization: {authorization}\r\ncontent-length: 0\r\n\r\n".encode()


def timed(host: str, ca_path: str, requests: list[bytes]) -> float:
    """Seconds for all of them, one after the other on one connection; each must succeed."""
    name, _, port = host.rpartition(":")
    context = ssl.create_default_context(cafile=ca_path)
    with (
        socket.create_connection((name, int(port)), 30) as plain,
        context.wrap_socket(plain, server_hostname=name) as line,
    ):
        start = time.perf_counter()
        for request in requests:
            line.sendall(request)
            answer = _answer(line)
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError("the emulator refused a call")
        return time.perf_counter() - start


def _answer(line: ssl.SSLSocket) -> bytes:
    data = b""
    while True:
        data += line.recv(65_536)
        head, end, body = data.partition(b"\r\n\r\n")
        if end:
            length = next(each for each in head.lower().split(b"\r\n") if each.startswith(b"content-length:"))
            if len(body) >= int(length.partition(b":")[2]):
                return data


def _main() -> None:
    task = json.load(sys.stdin)
    requests = [
        signed(task["host"], task["access_key_id"], task["secret"], task["action"], task["parameters"])
        for _ in range(task["calls"])
    ]
    sys.stdout.write(f"{timed(task['host'], task['ca_path'], requests)}\n")


if __name__ == "__main__":
    _main()
