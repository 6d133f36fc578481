"""Gateways on sockets: uvicorn in a thread of this process, TLS on each, and bounds on what a client may send.

uvicorn's own logger of accesses would write whole URLs, in which plaintexts stand; it is off.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kmskit.emulator.gateway import Gateway
from kmskit.emulator.service import Service
from kmskit.emulator.wire.request import MAX_BODY, MAX_HEAD
from kmskit.errors import ConfigurationError

__all__ = ["Door", "Server", "listen"]

_REQUEST_SECONDS = 30.0
_KEEP_ALIVE_SECONDS = 75
_START_SECONDS = 30.0
_BACKLOG = 512
_TOO_LARGE = b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_HEAD_TOO_LARGE = _TOO_LARGE % b"431 Request Header Fields Too Large"
_BODY_TOO_LARGE = _TOO_LARGE % b"413 Content Too Large"
# Otherwise Python writes uvicorn's complaints about broken requests to stderr where nobody has set up logging.
logging.getLogger("uvicorn").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Door:
    """A listening socket, the certificate shown at it, and the instance whose gateway is behind (empty: the shared)."""

    socket: socket.socket
    tls: ssl.SSLContext
    instance: str


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound already, so that its port is known before anything runs."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, since asyncio sends at once (TCP_NODELAY) only on sockets that tell theirs.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    problem = None
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(_BACKLOG)
        found.setblocking(False)
    except OSError as error:
        problem = error.strerror or "the address cannot be used"
    if problem is None:
        return found
    found.close()
    raise ConfigurationError(
        f"the emulator cannot listen on {host}:{port}: {problem}", hint="choose another port; 0 finds one"
    )


class _Whole:
    """What an answer takes for its connection. Its head waits for its body, so that both leave in one TLS record and by
    one system call, which saves 6 % of what an Encrypt costs. It does not know the answer: two that know each other are
    left to the garbage collector, and that costs as much."""

    def __init__(self, transport: Any) -> None:
        self._write, self.is_closing, self.close = transport.write, transport.is_closing, transport.close
        self._waits, self._head = True, b""

    def write(self, data: bytes) -> None:
        if self._waits and not data.startswith(b"HTTP/1.1 1"):  # `100 Continue` is waited for by the client.
            self._waits, self._head = False, data
        else:
            self._write(self._head + data)
            self._head = b""


class _Connection(HttpToolsProtocol):
    """A connection whose client must send a whole request soon and within bounds, or is hung up on."""

    _in_head = True
    _received = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.access_log = False  # Here, because uvicorn looks again at each connection whether someone logs at all.
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._request_is_there()
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        self._request_is_there()
        self._in_head, self._received = True, 0
        self._deadline = self.loop.call_later(_REQUEST_SECONDS, self.transport.abort)

    def _request_is_there(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)  # First, since a large chunk may be the end of one request and several others.
        if self._received > MAX_HEAD + (0 if self._in_head else MAX_BODY):
            self._refuse()

    def _refuse(self) -> None:
        """Say so if it is this request's turn to be answered, and hang up. The service then speaks to nobody."""
        self._request_is_there()
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if self._in_head:
            if cycle is None or cycle.response_complete:
                self.transport.write(_HEAD_TOO_LARGE)
        elif cycle is not None and not cycle.response_started and not self.pipeline:
            self.transport.write(_BODY_TOO_LARGE)
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def shutdown(self) -> None:
        """An idle client is not waited for: many do not answer TLS's farewell before their next request."""
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().shutdown()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_request()
        cast("dict[str, Any]", self.scope)["kmskit.hang_up"] = self.transport.abort

    def on_headers_complete(self) -> None:
        self._in_head = False
        # httptools reads URLs of up to 65,535 bytes only, and the path is the part that needs reading.
        self.url, _, query = self.url.partition(b"?")
        super().on_headers_complete()
        # In time: what super() has begun does not run before this method returns.
        self.scope["query_string"] = query
        if self.scope["method"] != "HEAD":  # Its answer has no body to wait for.
            self.cycle.transport = cast("asyncio.Transport", _Whole(self.transport))
        if self.parser.should_upgrade():  # Its body is left unread, and must not be taken for the next request.
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._request_is_there()
        self._received = 0
        super().on_message_complete()


class Server:
    """All gateways of one Cloud on one event loop, in a thread."""

    def __init__(self, service: Service, doors: Sequence[Door]) -> None:
        self._workers = ThreadPoolExecutor(8, thread_name_prefix="kmskit-emulator")
        self._servers = [self._server(service, door) for door in doors]
        self._sockets = [door.socket for door in doors]
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="kmskit-emulator", daemon=True)

    def _server(self, service: Service, door: Door) -> uvicorn.Server:
        config = uvicorn.Config(
            Gateway(service, self._workers, door.instance),
            http=_Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=2,
            ssl_context_factory=lambda config, default: door.tls,
        )
        return uvicorn.Server(config)

    def start(self) -> None:
        """Returns once all gateways answer."""
        started = threading.Event()
        self._started = started
        self._thread.start()
        if not started.wait(_START_SECONDS) or self._failure is not None:
            self.stop()
            raise ConfigurationError("the emulator did not start") from self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:  # noqa: BLE001  # Told to whoever waits for the start.
            self._failure = failure
        finally:
            self._started.set()

    async def _serve(self) -> None:
        running = [
            asyncio.create_task(server.serve(sockets=[found]))
            for server, found in zip(self._servers, self._sockets, strict=True)
        ]
        while not all(server.started for server in self._servers):
            if any(task.done() for task in running):
                break
            await asyncio.sleep(0.005)
        self._started.set()
        await asyncio.gather(*running)

    def stop(self) -> None:
        """Let requests under way end, then close everything. Stopping twice is fine."""
        for server in self._servers:
            server.should_exit = True
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(10)
        self._workers.shutdown(wait=True, cancel_futures=True)
        for found in self._sockets:
            with suppress(OSError):
                found.close()
