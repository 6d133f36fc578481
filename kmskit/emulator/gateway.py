"""One gateway as an ASGI application: bytes in, bytes out. What they mean is `service`'s."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kmskit.emulator.errors import ServiceError
from kmskit.emulator.service import Reply, Service
from kmskit.emulator.wire.request import MAX_BODY, parse_request
from kmskit.emulator.wire.request import Request as Parsed

__all__ = ["Gateway"]


class Gateway:
    """
    Attributes:
        instance: the id of the KMS instance whose own gateway it is; empty for the shared one.
    """

    def __init__(self, service: Service, workers: Executor, instance: str = "") -> None:
        self._service = service
        self._workers = workers
        self.instance = instance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("a gateway speaks HTTP")
        client = scope.get("client")
        source = client[0] if client else ""
        try:
            request = await _read(scope, receive, source)
        except ClientDisconnect:
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
        await _respond(reply)(scope, receive, send)
        return None


async def _read(scope: Scope, receive: Receive, source: str) -> Parsed | ServiceError:
    body = b""
    async for chunk in Request(scope, receive).stream():
        if len(body) + len(chunk) > MAX_BODY:
            return ServiceError(413, "InvalidParameter", "The request is larger than the gateway takes.")
        body += chunk
    try:
        return parse_request(scope["method"], scope["path"], scope["query_string"], scope["headers"], body, source)
    except ServiceError as error:
        return error


def _respond(reply: Reply) -> Response:
    headers = {"x-acs-request-id": reply.request_id}
    if reply.retry_after is not None:
        headers["x-acs-retry-after"] = str(reply.retry_after)
    return Response(reply.body, reply.status, headers, reply.media_type)


async def _hang_up(scope: Scope, receive: Receive) -> None:
    """Close the connection without a word, as a server does that falls over."""
    scope["kmskit.hang_up"]()
    while (await receive())["type"] != "http.disconnect":
        pass
