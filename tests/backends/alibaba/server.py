"""A real HTTPS server that answers what it is told to: for faults that a service shows only now and then."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

__all__ = ["Authority", "Reply", "Server", "error", "serve"]


class Authority:
    """A CA of one's own, as each KMS instance has one.

    Attributes:
        pem: its certificate.
    """

    def __init__(self, folder: Path, name: str = "test CA") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        certificate = self._build(self._name, self._key.public_key(), (constraints, True))
        self.pem = certificate.public_bytes(Encoding.PEM).decode()
        self.path = folder / f"{name.replace(' ', '-')}.pem"
        self.path.write_text(self.pem)

    def context(self, host: str = "127.0.0.1", age: timedelta = timedelta()) -> ssl.SSLContext:
        """What a server of this name needs; `age` makes its certificate end so long ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        name: x509.GeneralName
        name = x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
        certificate = self._build(
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")]),
            key.public_key(),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.SubjectAlternativeName([name]), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False),
            age=age,
        )
        path = self._folder / f"server-{certificate.serial_number}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _build(
        self, subject: x509.Name, key: Any, *extensions: tuple[Any, bool], age: timedelta = timedelta(days=-2)
    ) -> x509.Certificate:
        end = datetime.now(UTC) - age if age else datetime.now(UTC) + timedelta(days=2)
        builder = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
        builder = builder.not_valid_before(end - timedelta(days=30)).not_valid_after(end)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self._key, hashes.SHA256())


@dataclass
class Reply:
    """An answer: a body, or something that breaks."""

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    drop: bool = False
    wait: float = 0


@dataclass
class Server:
    """Answers each request with what `answer` returns.

    Attributes:
        seen: action and parameters of the requests so far.
    """

    address: str
    answer: Callable[[str, dict[str, str]], Reply]
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def actions(self) -> list[str]:
        return [action for action, _ in self.seen]


def error(code: str, status: int = 400, message: str = "No.", **more: Any) -> Reply:
    body = {"Code": code, "Message": message, "RequestId": "3c1b-request", "HostId": "host", **more}
    return Reply({**body, "Recommend": "https://api.example.com/troubleshoot?q=x"}, status)


@contextmanager
def serve(context: ssl.SSLContext, answer: Callable[[str, dict[str, str]], Reply]) -> Iterator[Server]:
    """Run a server on loopback for as long as the `with` lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            action = self.headers.get("x-acs-action", "")
            parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            server.seen.append((action, parameters))
            reply = server.answer(action, parameters)
            time.sleep(reply.wait)
            if reply.drop:
                self.close_connection = True
                return
            data = json.dumps(reply.body).encode() if reply.raw is None else reply.raw
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: Any) -> None:
            pass

    class Listener(ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self) -> Any:
            connection, address = super().get_request()
            return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

        def handle_error(self, *arguments: Any) -> None:
            """A client that refuses the certificate is one of the tests."""

    listener = Listener(("127.0.0.1", 0), Handler)
    server = Server(f"127.0.0.1:{listener.server_port}", answer)
    thread = Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
