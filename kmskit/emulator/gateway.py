"""One gateway as an ASGI application: bytes in, bytes out. What they mean is `service`'s."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor
from typing import Any, TypeAlias

from kmskit.emulator.errors import ServiceError
from kmskit.emulator.service import Reply, Service
from kmskit.emulator.wire.request import MAX_BODY, Request, parse_request

__all__ = ["Gateway"]

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]


class Gateway:
    """
    Attributes:
        instance: the id of the KMS instance whose own gateway it is; empty for the shared one.
    """

    def __init__(self, service: Service, workers: Executor, instance: str = "") -> None:
        self._service = service
        self._workers = workers
        self.instance = instance

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("a gateway speaks HTTP")
        client = scope.get("client")
        source = client[0] if client else ""
        request = await _read(scope, receive, source)
        if request is None:
            return None
        exchange = self._service.begin(request, self.instance, source)
        fault = exchange.fault
        if fault is not None:
            if fault.delay:
                await asyncio.sleep(fault.delay)
            if fault.drop == "request":
                return await _hang_up(scope, receive)
        if exchange.slow:
            reply = await asyncio.get_running_loop().run_in_executor(self._workers, exchange.finish)
        else:
            reply = exchange.finish()
        if fault is not None and fault.drop == "answer":
            return await _hang_up(scope, receive)
        return await _respond(reply, send)


async def _read(scope: _Message, receive: _Receive, source: str) -> Request | ServiceError | None:
    """The request, or why there is none; None if the client has gone."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        more = message["more_body"]
        if len(body) > MAX_BODY:
            return ServiceError(413, "InvalidParameter", "The request is larger than the gateway takes.")
    try:
        return parse_request(scope["method"], scope["path"], scope["query_string"], scope["headers"], body, source)
    except ServiceError as error:
        return error


async def _respond(reply: Reply, send: _Send) -> None:
    headers = [
        (b"content-type", reply.media_type.encode()),
        (b"content-length", b"%d" % len(reply.body)),
        (b"x-acs-request-id", reply.request_id.encode()),
    ]
    if reply.retry_after is not None:
        headers.append((b"x-acs-retry-after", b"%d" % reply.retry_after))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _hang_up(scope: _Message, receive: _Receive) -> None:
    """Close the connection without a word, as a server does that falls over."""
    scope["kmskit.hang_up"]()
    while (await receive())["type"] != "http.disconnect":
        pass
