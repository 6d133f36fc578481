"""The connections below the SDK: which CA is trusted, which proxy is used, and what a failure means.

The SDK sends through a `requests` session that it keeps for the whole process by host, port and pool size. A CA once
accepted for a host is accepted there for everyone, public CAs are trusted beside the one that is given, `NO_PROXY` is
not looked at, and failures carry the URL with the plaintext in it. So each gateway takes a pool size that nobody else
has, hence a session of its own, and mounts an adapter on it that trusts exactly the CA it was given.
"""

from __future__ import annotations

import ssl
from itertools import count
from typing import Any, Literal, TypeAlias

import certifi
from darabonba.core import DaraCore
from requests import PreparedRequest, Response
from requests import exceptions as http
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError

from kmskit.backends.alibaba.endpoints import Endpoint, is_loopback
from kmskit.backends.forks import Order, guard
from kmskit.errors import ConfigurationError

__all__ = ["Kind", "Transport", "TransportError", "trust"]

Kind: TypeAlias = Literal["name", "connect", "proxy", "certificate", "timeout", "broken"]
_pool_sizes = count(100)  # Other programs' pools have 40 connections, the SDK's default, or what they set: rarely this.
_MAX_ANSWER = 4 << 20


class TransportError(OSError):
    """A request without an answer. It holds nothing of the request.

    Attributes:
        kind: what went wrong.
        sent: whether the service may have got the request.
    """

    def __init__(self, kind: Kind, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.kind: Kind = kind
        self.sent = sent


class Transport(HTTPAdapter):
    """Connections to one gateway.

    Attributes:
        pool_size: what the SDK's `max_idle_conns` must be, so that it finds the session this adapter is mounted on.
    """

    fork_order = Order.REGISTRY

    def __init__(self, endpoint: Endpoint) -> None:
        self.pool_size = next(_pool_sizes)
        self._context = trust(endpoint.ca)
        url = f"https://{endpoint.address}/"
        self._proxies = {} if is_loopback(endpoint.host) else get_environ_proxies(url)
        super().__init__(pool_connections=1, pool_maxsize=self.pool_size)
        self._session_key = f"https://{endpoint.address}:80:pool={self.pool_size}"
        session = DaraCore._get_session(session_key=self._session_key, protocol="HTTPS", pool_size=self.pool_size)
        session.mount("https://", self)
        guard(self)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **options, ssl_context=self._context)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Here `requests` would add the public CAs to the context."""
        conn.cert_reqs = "CERT_REQUIRED"

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        """The whole answer. Raises TransportError, outside of the `except`, so that no URL hangs on it."""
        try:
            response = super().send(request, True, timeout, True, None, self._proxies)
            if len(response.content) <= _MAX_ANSWER and not response.is_redirect:
                return response
            failure = TransportError("broken", "the gateway's answer is not one of this service", sent=True)
        except (http.RequestException, OSError) as error:
            failure = _meaning(error)
        raise failure

    def close(self) -> None:
        DaraCore._sessions.pop(self._session_key, None)
        super().close()

    def before_fork(self) -> None:
        """Nothing is held: a pool's queue is whole at any moment, and the child makes its own."""

    def after_fork(self, *, in_child: bool) -> None:
        """Two processes that write into one TLS connection break it for both."""
        if in_child:
            self.proxy_manager.clear()
            self.init_poolmanager(1, self.pool_size, block=False)


def trust(ca: str | None) -> ssl.SSLContext:
    """A context that trusts the CAs of a PEM text and no others, or the public CAs.

    Raises:
        ConfigurationError: the text holds no usable certificate.
    """
    try:
        context = ssl.create_default_context(cadata=ca)
    except (ssl.SSLError, ValueError):
        context = None
    if context is None:
        raise ConfigurationError(
            "the CA is not a readable certificate", hint="it is PEM text, or the path of a file that holds it"
        )
    if ca is None and not ssl.get_default_verify_paths().cafile:
        context.load_verify_locations(certifi.where())  # Slim containers have no CAs of their own.
    return context


def _meaning(error: Exception) -> TransportError:
    """What a failure means. Each text here is one of ours: theirs have the URL in them."""
    certificate = _find(error, ssl.SSLCertVerificationError)
    if certificate is not None:
        reason = str(getattr(certificate, "verify_message", "")) or "it is not signed by a trusted CA"
        return TransportError("certificate", f"the gateway's certificate does not verify: {reason}", sent=False)
    if isinstance(error, http.ProxyError):
        return TransportError("proxy", "the proxy cannot be reached or refuses the connection", sent=False)
    if _find(error, NameResolutionError) is not None:
        return TransportError("name", "the gateway's name is not known here", sent=False)
    if isinstance(error, http.ConnectTimeout):
        return TransportError("connect", "the gateway did not take the connection in time", sent=False)
    if _find(error, NewConnectionError) is not None:
        return TransportError("connect", "the gateway takes no connections", sent=False)
    if isinstance(error, http.Timeout):
        return TransportError("timeout", "the gateway did not answer in time", sent=True)
    return TransportError("broken", "the connection to the gateway broke", sent=True)


def _find(error: BaseException, wanted: type[BaseException]) -> BaseException | None:
    """An exception of a type, in a failure of `requests` or in what it was made of."""
    todo: list[Any] = [error]
    for _ in range(20):  # They nest a few deep.
        if not todo:
            break
        current = todo.pop()
        if isinstance(current, wanted):
            return current
        if isinstance(current, BaseException):
            todo += [*current.args, current.__context__]
            if isinstance(current, MaxRetryError):
                todo.append(current.reason)
    return None
