"""Who sent this? Signatures of all three schemes, verified in full.

A header scheme (ACS3, ACS4) speaks for the query, the body through its hash, and the listed headers. So host, action,
version, date, nonce and body hash must be in the list, and so must every `x-acs-*` header, since whoever is in between
could otherwise add or change one; and the content type, if there is a body of which it says that it holds parameters.
(aiohttp adds an unsigned one to requests without a body.) V1 speaks for the parameters alone, so its action, version
and token are taken from there and from no header.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest

from kmskit.emulator.errors import ServiceError
from kmskit.emulator.wire.nonces import WINDOW, Nonces
from kmskit.emulator.wire.request import Request
from kmskit.emulator.wire.signing import acs3_signature, acs4_key, header_string, rpc_signature, rpc_string

__all__ = ["Credential", "Signed", "verify"]

_AUTHORIZATION = re.compile(
    r"(ACS[34]-HMAC-SHA256) +Credential=([^,\s]+), *SignedHeaders=([^,\s]*), *Signature=([0-9A-Fa-f]*)"
)
_SCOPE = re.compile(r"([^/]+)/([0-9]{8})/([^/]+)/([^/]+)/aliyun_v4_request")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_MUST_BE_SIGNED = {
    "host": "Host",
    "x-acs-action": "Action",
    "x-acs-version": "Version",
    "x-acs-date": "Timestamp",
    "x-acs-signature-nonce": "SignatureNonce",
    "x-acs-content-sha256": "ContentSha256",
}
_V1_COMMON = (
    "Action",
    "Version",
    "AccessKeyId",
    "SignatureMethod",
    "SignatureVersion",
    "Timestamp",
    "SignatureNonce",
    "Signature",
)
# The only parameters whose values an answer repeats. Not the reverse, a list of those it must not: a plaintext can come
# under a name that somebody has misspelt.
_SHOWN = {
    *_V1_COMMON,
    "Format",
    "SignatureType",
    "RegionId",
    "KeyId",
    "KeyVersionId",
    "KeySpec",
    "KeyUsage",
    "AliasName",
    "Algorithm",
    "PageNumber",
    "PageSize",
    "PendingWindowInDays",
    "DKMSInstanceId",
    "KmsInstanceId",
}


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key as the verifier needs it.

    Attributes:
        token: the STS token that belongs to it, and without which it is worth nothing.
        expires: seconds since 1970, by the service's clock; None for a permanent key.
    """

    id: str
    secret: str = field(repr=False)
    active: bool = True
    token: str | None = field(default=None, repr=False)
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Signed:
    """What a verified signature vouches for."""

    scheme: str
    credential: Credential
    action: str
    version: str
    product: str | None = None
    """What an ACS4 signature is for; the other schemes do not say."""


def verify(request: Request, find: Callable[[str], Credential | None], nonces: Nonces, now: float) -> Signed:
    """
    Args:
        find: the credential with this access key id.
        now: seconds since 1970, by the gateway's watch.

    Raises:
        ServiceError: the documented refusal.
    """
    authorization = request.headers.get("authorization", "")
    if not authorization:
        return _verify_parameters(request, find, nonces, now)
    parts = _AUTHORIZATION.fullmatch(authorization)
    if parts is None:
        if not re.match(r"ACS[34]-HMAC-SHA256(\s|$)", authorization):
            raise _unknown_method()
        raise _incomplete()
    return _verify_headers(request, parts, find, nonces, now)


def _verify_headers(
    request: Request,
    parts: re.Match[str],
    find: Callable[[str], Credential | None],
    nonces: Nonces,
    now: float,
) -> Signed:
    scheme, claimed, listed, signature = parts.groups()
    headers, signed = request.headers, listed.split(";")
    for name, parameter in _MUST_BE_SIGNED.items():
        if not headers.get(name):
            raise _mandatory(parameter)
    must = {name for name in headers if name.startswith("x-acs-")} | _MUST_BE_SIGNED.keys()
    if request.body and "content-type" in headers:
        must.add("content-type")
    names = set(signed)
    if not must <= names <= headers.keys() or signed != sorted(names) or names & request.repeated:
        raise _incomplete()
    dated = _moment(headers["x-acs-date"], now)
    access_key_id, _, _ = claimed.partition("/")
    if headers.get("x-acs-accesskey-id", access_key_id) != access_key_id:
        raise _incomplete()
    credential = _usable(find(access_key_id), headers.get("x-acs-security-token"))
    key, product = credential.secret.encode(), None
    if scheme.startswith("ACS4"):
        scope = _SCOPE.fullmatch(claimed)
        if scope is None or scope[2] != headers["x-acs-date"][:10].replace("-", ""):
            raise _incomplete()
        key, product = acs4_key(credential.secret, scope[2], scope[3], scope[4]), scope[4]
    elif "/" in claimed:
        raise _incomplete()
    body_hash = headers["x-acs-content-sha256"]
    string_to_sign = header_string(scheme, request, signed, body_hash)
    same_body = compare_digest(sha256(request.body).hexdigest().encode(), body_hash.encode("utf-8", "surrogateescape"))
    same = compare_digest(acs3_signature(key, string_to_sign).encode(), signature.encode())
    if not (same_body and same):
        raise _mismatch(request, string_to_sign.replace("\n", " "))
    _use_once(nonces, access_key_id, headers["x-acs-signature-nonce"], dated, now)
    return Signed(scheme, credential, headers["x-acs-action"], headers["x-acs-version"], product)


def _verify_parameters(
    request: Request, find: Callable[[str], Credential | None], nonces: Nonces, now: float
) -> Signed:
    given = request.parameters
    for name in _V1_COMMON:
        if not given.get(name):
            raise _mandatory(name)
    method = given["SignatureMethod"]
    if method not in ("HMAC-SHA1", "HMAC-SHA256") or given.get("SignatureType") or given["SignatureVersion"] != "1.0":
        raise _unknown_method()
    dated = _moment(given["Timestamp"], now)
    credential = _usable(find(given["AccessKeyId"]), given.get("SecurityToken"))
    string_to_sign = rpc_string(request)
    expected = rpc_signature(credential.secret, string_to_sign, method)
    if not compare_digest(expected.encode(), given["Signature"].encode()):
        raise _mismatch(request, string_to_sign)
    _use_once(nonces, credential.id, given["SignatureNonce"], dated, now)
    return Signed(f"V1-{method}", credential, given["Action"], given["Version"])


def _moment(text: str, now: float) -> float:
    try:
        dated = datetime.fromisoformat(text).timestamp() if _DATE.fullmatch(text) else None
    except ValueError:  # Such as the 31st of February.
        dated = None
    if dated is None:
        raise ServiceError(400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
    if abs(now - dated) > WINDOW:
        raise ServiceError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
    return dated


def _usable(credential: Credential | None, token: str | None) -> Credential:
    """The key, if it may be used with this token. An expired or wrong token is answered as an unknown key is."""
    if credential is not None and credential.token is not None and not token:
        raise ServiceError(400, "MissingSecurityToken", "SecurityToken is mandatory for this action.")
    known = credential is not None and not credential.expired
    if credential is None or not known or (token and not _same(token, credential.token or "")):
        raise ServiceError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    if not credential.active:
        raise ServiceError(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
    return credential


def _same(one: str, other: str) -> bool:
    """In a time that does not tell where they differ."""
    return compare_digest(one.encode("utf-8", "surrogateescape"), other.encode("utf-8", "surrogateescape"))


def _use_once(nonces: Nonces, access_key_id: str, nonce: str, dated: float, now: float) -> None:
    """Last of all, or whoever can send a request could use up someone's nonces."""
    if not nonces.use(access_key_id, nonce, dated, now):
        raise ServiceError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")


def _mandatory(parameter: str) -> ServiceError:
    return ServiceError(400, f"Missing{parameter}", f"{parameter} is mandatory for this action.")


def _incomplete() -> ServiceError:
    return ServiceError(400, "IncompleteSignature", "The request signature does not conform to Aliyun standards.")


def _unknown_method() -> ServiceError:
    return ServiceError(400, "InvalidSignatureMethod", "Specified signature method is not supported.")


def _mismatch(request: Request, string_to_sign: str) -> ServiceError:
    """A client compares what follows the colon with what it has signed itself, to tell a wrong secret from a changed
    request. That repeats all parameters, so it is left out where one of them is secret; the old Python SDK takes the
    message apart at its colon, which therefore is always there."""
    secret = not request.parameters.keys() <= _SHOWN or "x-acs-security-token" in request.headers
    shown = "(not shown, since the request may hold a secret)" if secret else string_to_sign
    return ServiceError(
        400,
        "SignatureDoesNotMatch",
        f"Specified signature is not matched with our calculation. server string to sign is:{shown}",
    )
