"""The three signature schemes as pure functions from a request and a secret to the signature it should have.

ACS3   hex(HMAC-SHA256(secret, "ACS3-HMAC-SHA256\\n" + hex(sha256(canonical request))))
ACS4   the same with its own name, under a key derived from date, region and product
V1     base64(HMAC-SHA1(secret + "&", METHOD & %2F & canonical parameters))

    canonical request = METHOD \\n path \\n query \\n headers, each ending in \\n \\n names \\n hex(sha256(body))

Source: Alibaba Cloud, "V3 request body and signature method" and "Signature method" (V1); ACS4 as the vendor's
`alibabacloud-gateway-pop` computes it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from hmac import digest
from urllib.parse import quote

from kmskit.emulator.wire.request import Request

__all__ = ["acs3_signature", "acs4_key", "canonical_request", "header_string", "rpc_signature", "rpc_string"]

_V1_HASHES = {"HMAC-SHA1": "sha1", "HMAC-SHA256": "sha256"}


def _encode(text: str) -> str:
    return quote(text, safe="")


def _canonical_parameters(parameters: Mapping[str, str]) -> str:
    return "&".join(f"{_encode(name)}={_encode(parameters[name])}" for name in sorted(parameters))


def canonical_request(request: Request, signed: Sequence[str], body_hash: str) -> bytes:
    """
    Args:
        signed: the names of the signed headers, sorted; each is there.
        body_hash: hex, as the client has sent it and the server has checked it.
    """
    headers = "".join(f"{name}:{request.headers[name]}\n" for name in signed)
    text = "\n".join(
        (
            request.method,
            request.path,
            _canonical_parameters(request.query),
            headers,
            ";".join(signed),
            body_hash,
        )
    )
    return text.encode("utf-8", "surrogateescape")


def header_string(scheme: str, request: Request, signed: Sequence[str], body_hash: str) -> str:
    """What ACS3 and ACS4 sign."""
    return f"{scheme}\n{sha256(canonical_request(request, signed, body_hash)).hexdigest()}"


def acs3_signature(key: bytes, string_to_sign: str) -> str:
    """Also ACS4's, under `acs4_key`."""
    return digest(key, string_to_sign.encode(), "sha256").hex()


def acs4_key(secret: str, date: str, region: str, product: str) -> bytes:
    key = f"aliyun_v4{secret}".encode()
    for part in (date, region, product, "aliyun_v4_request"):
        key = digest(key, part.encode("utf-8", "surrogateescape"), "sha256")
    return key


def rpc_string(request: Request) -> str:
    """What V1 signs: every parameter of query and form but the signature."""
    parameters = {name: value for name, value in request.parameters.items() if name != "Signature"}
    return f"{request.method}&%2F&{_encode(_canonical_parameters(parameters))}"


def rpc_signature(secret: str, string_to_sign: str, method: str) -> str:
    """`method` is HMAC-SHA1, or HMAC-SHA256, which is documented and which no client seen so far sends."""
    return b64encode(digest(f"{secret}&".encode(), string_to_sign.encode(), _V1_HASHES[method])).decode()
