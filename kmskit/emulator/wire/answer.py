"""The bodies of answers: objects with a RequestId, and the error object that all clients know how to read.

They are JSON, or XML where a V1 request asks for it by `Format=XML`: the same fields as elements, a list as elements of
one name, under `KMS` for an answer and `Error` for an error. Without `Format` it is JSON: emulator-defined.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import quote
from uuid import uuid4
from xml.sax.saxutils import escape

from kmskit.emulator.errors import ServiceError

__all__ = ["Format", "error_fields", "media_type", "new_request_id", "write"]

Format = Literal["JSON", "XML"]

_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def new_request_id() -> str:
    return str(uuid4())


def error_fields(error: ServiceError, request_id: str, host: str) -> dict[str, Any]:
    """HttpStatus is what the service's own samples have; HostId and Recommend are the gateway's."""
    about = f"q={quote(error.code, safe='')}&product=Kms&requestId={request_id}"
    fields: dict[str, Any] = {
        "HostId": host,
        "HttpStatus": error.status,
        "Code": error.code,
        "Message": error.message,
        "Recommend": f"https://api.aliyun.com/troubleshoot?{about}",
    }
    if error.detail is not None:
        fields["AccessDeniedDetail"] = dict(error.detail)
    return fields


def media_type(form: Format) -> str:
    """Clients compare it letter by letter."""
    return "text/xml;charset=utf-8" if form == "XML" else "application/json;charset=utf-8"


def write(fields: Mapping[str, Any], request_id: str, form: Format, root: Literal["KMS", "Error"]) -> bytes:
    """The body of an answer."""
    told = {**fields, "RequestId": request_id}
    if form == "JSON":
        return _dump(told).encode("utf-8", "replace")
    text = f'<?xml version="1.0" encoding="UTF-8"?><{root}>{"".join(_elements(told))}</{root}>'
    return text.encode("utf-8", "replace")


def _elements(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Mapping):
                inner = "".join(_elements(each))
            elif isinstance(each, bool):
                inner = str(each).lower()
            else:
                inner = escape(_NO_XML.sub("\ufffd", str(each)))
            yield f"<{name}>{inner}</{name}>"
