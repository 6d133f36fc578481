"""One gateway of the service: the vendor's client, retries, and errors without the request in them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from threading import Lock
from time import sleep
from typing import Any

from alibabacloud_kms20160120.client import Client
from alibabacloud_tea_openapi.utils_models import Config, OpenApiRequest, Params
from darabonba.runtime import RuntimeOptions
from Tea.exceptions import TeaException

from kmskit.backends.alibaba import faults, redaction
from kmskit.backends.alibaba.endpoints import Endpoint
from kmskit.backends.alibaba.transport import Transport
from kmskit.errors import ConfigurationError

__all__ = ["ATTEMPTS", "Gateway"]

ATTEMPTS = 4
"""How often a request is sent at most, where it may be sent again."""
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_VERSION = "2016-01-20"
_STS_VERSION = "2015-04-01"


class Gateway:
    """A client of one endpoint. Thread-safe.

    The SDK's typed methods (`client.encrypt(EncryptRequest(...))`) only wrap `call_api`, its documented generic call.
    It is used here directly, because it takes and gives plain mappings and saves a fifth of the client's time.

    Attributes:
        calls: how many requests have left so far, retries included.
    """

    def __init__(self, endpoint: Endpoint, credential: Any, timeouts: tuple[float, float], region: str | None) -> None:
        redaction.protect(endpoint.host)
        self.endpoint = endpoint
        self.calls = 0
        self._lock = Lock()
        self._closed = False
        self._transport = Transport(endpoint)
        connect, read = timeouts
        self._client = Client(
            Config(
                credential=credential,
                endpoint=endpoint.address,
                region_id=region,
                connect_timeout=max(1, int(connect * 1000)),  # The SDK's are in milliseconds.
                read_timeout=max(1, int(read * 1000)),
                max_idle_conns=self._transport.pool_size,
            )
        )
        self._runtime = RuntimeOptions()
        self._params: dict[str, Params] = {}

    def call(self, action: str, parameters: dict[str, str]) -> dict[str, Any]:
        """The answer to an action.

        Raises:
            KmsError: mapped by `faults`, raised outside of the `except`, so that nothing of the request hangs on it.
        """
        return self.answer(action, parameters)[0]

    def answer(self, action: str, parameters: dict[str, str]) -> tuple[dict[str, Any], Mapping[str, str]]:
        """The answer and its HTTP headers."""
        params = self._params.get(action) or self._describe(action)
        attempt = 1
        while True:
            with self._lock:
                if self._closed:
                    raise ConfigurationError("this connection to the service is closed", hint="connect again")
                self.calls += 1
            try:
                answer = self._client.call_api(params, OpenApiRequest(query=parameters), self._runtime)
                body = answer["body"]
                if type(body) is dict:
                    return body, answer["headers"]
                fault = faults.read(ValueError(), action, parameters)  # JSON, and not an object.
            except TeaException as error:
                fault = faults.read(error, action, parameters)
            if attempt >= ATTEMPTS or not faults.may_retry(fault):
                break
            self._pause(attempt, fault.retry_after)
            attempt += 1
        raise faults.translate(fault, self.endpoint.host)

    def close(self) -> None:
        """Let go of the connections. The SDK would make others by itself, which trust whom they like."""
        with self._lock:
            self._closed = True
        self._transport.close()

    def _describe(self, action: str) -> Params:
        params = self._params[action] = Params(
            action=action,
            version=_STS_VERSION if action == "GetCallerIdentity" else _VERSION,
            protocol="HTTPS",
            pathname="/",
            method="POST",
            auth_type="AK",
            style="RPC",
            req_body_type="formData",
            body_type="json",
        )
        return params

    @staticmethod
    def _pause(attempt: int, wanted: float | None) -> None:
        """Wait as long as the service says, else twice as long each time; a random part keeps many clients apart."""
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1))
        jitter = random.uniform(0, longest)  # noqa: S311  # It spreads requests, and guards nothing.
        sleep(jitter if wanted is None else min(wanted, _LONGEST_PAUSE) + jitter / 4)
