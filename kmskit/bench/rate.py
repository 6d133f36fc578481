"""How many calls the emulator serves, asked by a client that is not the limit: it signs beforehand, and on each of its
connections a request is always waiting."""

from __future__ import annotations

import hashlib
import hmac
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from contextlib import ExitStack
from time import perf_counter
from urllib.parse import quote
from uuid import uuid4

__all__ = ["seconds_a_call"]

_CONNECTIONS, _EMPTY = 8, hashlib.sha256(b"").hexdigest()


def seconds_a_call(environment: Mapping[str, str], key_id: str, message: bytes, calls: int = 400) -> float:
    """Seconds on the wall from one Encrypt that was answered to the next.

    Raises:
        RuntimeError: a call was refused.
    """
    host, _, port = environment["KMSKIT_SHARED_ENDPOINT"].rpartition(":")
    context = ssl.create_default_context(cafile=environment["KMSKIT_SHARED_CA"])
    parameters = {"KeyId": key_id, "Plaintext": b64encode(message).decode()}
    requests = [_signed(environment, parameters) for _ in range(calls)]
    with ExitStack() as stack:
        bare = [stack.enter_context(socket.create_connection((host, int(port)), 30)) for _ in range(_CONNECTIONS)]
        lines = [stack.enter_context(context.wrap_socket(each, server_hostname=host)) for each in bare]
        start = perf_counter()
        for at in range(calls + _CONNECTIONS):
            if at >= _CONNECTIONS:
                _receive(lines[at % _CONNECTIONS])
            if at < calls:
                lines[at % _CONNECTIONS].sendall(requests[at])
        return (perf_counter() - start) / calls


def _receive(line: socket.socket) -> None:
    """The next answer, which must be of a call that succeeded."""
    data = b""
    while True:
        more = line.recv(65_536)
        data += more
        head, end, body = data.partition(b"\r\n\r\n")
        if not more or (end and not head.startswith(b"HTTP/1.1 200 ")):
            raise RuntimeError("the emulator refused a call")
        if end and len(body) >= int(head.lower().partition(b"content-length:")[2].split()[0]):
            return


def _signed(environment: Mapping[str, str], parameters: Mapping[str, str]) -> bytes:
    """A request in ACS3-HMAC-SHA256, with its parameters in the URL as the vendor's SDK sends them."""
    query = "&".join(f"{quote(name, safe='')}={quote(parameters[name], safe='')}" for name in sorted(parameters))
    headers = {
        "host": environment["KMSKIT_SHARED_ENDPOINT"],
        "x-acs-action": "Encrypt",
        "x-acs-content-sha256": _EMPTY,
        "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "x-acs-signature-nonce": uuid4().hex,
        "x-acs-version": "2016-01-20",
    }
    lines, names = "".join(f"{name}:{value}\n" for name, value in headers.items()), ";".join(headers)
    digest = hashlib.sha256("\n".join(("POST", "/", query, lines, names, _EMPTY)).encode()).hexdigest()
    secret = environment["ALIBABA_CLOUD_ACCESS_KEY_SECRET"].encode()
    signature = hmac.digest(secret, f"ACS3-HMAC-SHA256\n{digest}".encode(), "sha256").hex()
    credential = f"Credential={environment['ALIBABA_CLOUD_ACCESS_KEY_ID']},SignedHeaders={names}"
    headers["authorization"] = f"ACS3-HMAC-SHA256 {credential},Signature={signature}"
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /?{query} HTTP/1.1\r\n{told}content-length: 0\r\n\r\n".encode()
