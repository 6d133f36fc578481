"""The bodies of answers: JSON objects with a RequestId, and the error object that all clients know how to read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from kmskit.emulator.errors import ServiceError

__all__ = ["failure", "new_request_id", "success"]

_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def new_request_id() -> str:
    return str(uuid4())


def success(fields: Mapping[str, Any], request_id: str) -> bytes:
    return _dump({**fields, "RequestId": request_id}).encode("utf-8", "replace")


def failure(error: ServiceError, request_id: str, host: str) -> bytes:
    """HttpStatus is what the service's own samples have; HostId and Recommend are the gateway's."""
    about = f"q={quote(error.code, safe='')}&product=Kms&requestId={request_id}"
    body: dict[str, Any] = {
        "RequestId": request_id,
        "HostId": host,
        "HttpStatus": error.status,
        "Code": error.code,
        "Message": error.message,
        "Recommend": f"https://api.aliyun.com/troubleshoot?{about}",
    }
    if error.detail is not None:
        body["AccessDeniedDetail"] = dict(error.detail)
    return _dump(body).encode("utf-8", "replace")
