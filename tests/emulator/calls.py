"""Calls by name, through the vendor's generic OpenAPI client, which signs and sends as its typed ones do."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from alibabacloud_tea_openapi.client import Client
from alibabacloud_tea_openapi.models import Config, OpenApiRequest, Params
from darabonba.runtime import RuntimeOptions

from kmskit.emulator import Cloud, Identity

__all__ = ["Caller", "b64"]


def b64(data: bytes) -> str:
    return b64encode(data).decode()


class Caller:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._clients: dict[tuple[str, str], Any] = {}

    def __call__(
        self, action: str, who: Identity | None = None, instance: str | None = None, **parameters: object
    ) -> dict[str, Any]:
        """The answer's body. Parameters that are not text go as JSON; a dot in a name is written `__`."""
        query = {
            name.replace("__", "."): value if isinstance(value, str) else json.dumps(value)
            for name, value in parameters.items()
            if value is not None
        }
        version = "2015-04-01" if action in ("AssumeRole", "GetCallerIdentity") else "2016-01-20"
        described = Params(
            action=action,
            version=version,
            protocol="HTTPS",
            pathname="/",
            method="POST",
            auth_type="AK",
            style="RPC",
            req_body_type="formData",
            body_type="json",
        )
        client = self._client(who or self._cloud.ram.root, instance or "")
        body: dict[str, Any] = client.call_api(described, OpenApiRequest(query=query), RuntimeOptions())["body"]
        assert body.pop("RequestId")
        return body

    def _client(self, who: Identity, instance: str) -> Any:
        found = self._clients.get((who.access_key_id, instance))
        if found is None:
            gateway = self._cloud.instances[instance] if instance else self._cloud
            found = self._clients[who.access_key_id, instance] = Client(
                Config(
                    access_key_id=who.access_key_id,
                    access_key_secret=who.access_key_secret,
                    security_token=who.security_token,
                    endpoint=gateway.endpoint,
                    ca=gateway.ca_path,
                    region_id=self._cloud.region,
                )
            )
        return found

    def key(self, **parameters: object) -> dict[str, Any]:
        """A new key's metadata."""
        metadata: dict[str, Any] = self("CreateKey", **parameters)["KeyMetadata"]
        return metadata
