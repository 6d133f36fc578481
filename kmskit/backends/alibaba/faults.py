"""The service's error codes to KmsError: the one place where its errors become kmskit's.

A fault is read from the SDK's exception, which is then dropped: it holds the request with the plaintext in it. Codes
are matched, not classes, because the SDK's classes depend on the signature scheme. Sources: the service's error centre
and API pages, the metadata of its API, and its transfer SDKs, as far as they agree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

from alibabacloud_credentials.exceptions import CredentialException

from kmskit import refusals
from kmskit.backends.alibaba.endpoints import in_a_vpc
from kmskit.backends.alibaba.transport import TransportError
from kmskit.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    AuthenticationError,
    ConfigurationError,
    KeyNotFoundError,
    KeyStateError,
    KmsError,
    LimitExceededError,
    ServiceUnavailableError,
    ThrottledError,
    UnsupportedError,
)
from kmskit.types import KeyState

__all__ = ["MEANINGS", "Fault", "may_retry", "read", "translate"]

_CRYPTOGRAPHY = frozenset(
    f"{prefix}{name}"
    for prefix, names in {
        "": ("Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext"),
        "Asymmetric": ("Encrypt", "Decrypt", "Sign", "Verify"),
        "Generate": ("Mac",),
        "Verify": ("Mac",),
    }.items()
    for name in names
)


def changes_nothing(action: str) -> bool:
    """Whether an action changes nothing in the service, so that asking twice does no harm."""
    return action in _CRYPTOGRAPHY or action.startswith(("Describe", "Get", "List"))


_DECRYPTING = frozenset({"Decrypt", "ReEncrypt", "AsymmetricDecrypt"})
_BECAUSE_OF_THE_BYTES = frozenset({"InvalidParameter", "Forbidden.KeyNotFound", "Forbidden.KeyVersionNotFound"})
_THROTTLING = frozenset({"Rejected.Throttling", "Throttling", "Throttling.User", "Throttling.Api"})
_LONGEST_QUOTE = 300
_SECRET_PARAMETERS = ("Plaintext", "Message", "CiphertextBlob", "EncryptedKeyMaterial", "ImportToken", "Digest")

_Meaning = tuple[type[KmsError], str, str]
_KEY = "kms.keys() shows the keys that are there"
_ACCESS_KEY: _Meaning = (
    AuthenticationError,
    "the service does not know the access key",
    "see that id and secret are of one pair, not deleted, and that an STS token has not expired",
)
_SIGNATURE: _Meaning = (
    AuthenticationError,
    "the service refuses the signature",
    "the access key's secret is wrong, or a proxy changes the request",
)
_CLOCK: _Meaning = (
    AuthenticationError,
    "the service refuses the time of the request",
    "set this machine's clock: it may be 15 minutes off at most",
)
_ACCOUNT: _Meaning = (
    AccessDeniedError,
    "the account may not use the service now",
    "open the KMS console: the service may have to be enabled or a bill to be paid",
)
_STATE: _Meaning = (KeyStateError, "the key's state does not allow that", "key.refresh() and key.state tell the state")
_PARAMETER: _Meaning = (
    UnsupportedError,
    "the service does not take a value of this call",
    "kms.capabilities() shows what is offered",
)
_UNSUPPORTED: _Meaning = (
    UnsupportedError,
    "the service does not offer this for this key, or not at this gateway",
    "default keys serve server-side encryption only; an instance's keys want ?instance=kst-… in the URI",
)
_LIMIT: _Meaning = (
    LimitExceededError,
    "a quota of the account or instance is used up",
    "delete what is not needed, or raise the quota in the console",
)
_IMPORT: _Meaning = (UnsupportedError, "the service does not take this key material", "import it anew")
_INSTANCE: _Meaning = (
    ConfigurationError,
    "the KMS instance cannot be used",
    "see instance= in the URI, and the instance's state in the console",
)
_AWAY: _Meaning = (ServiceUnavailableError, "the service cannot answer now", "try again in a while")
_TAKEN: _Meaning = (AlreadyExistsError, "this exists already", "kms.key(alias) opens the key that has the alias")

MEANINGS: dict[str, _Meaning] = {
    **dict.fromkeys(("InvalidAccessKeyId.NotFound", "InvalidAccessKeyId"), _ACCESS_KEY),
    **dict.fromkeys(
        ("InvalidSecurityToken", "InvalidSecurityToken.Expired", "InvalidSecurityToken.Malformed"),
        (AuthenticationError, "the service refuses the STS token", "ask for a new one; it may have expired"),
    ),
    "MissingSecurityToken": (
        AuthenticationError,
        "the access key is a temporary one and needs its token",
        "set ALIBABA_CLOUD_SECURITY_TOKEN as well",
    ),
    **dict.fromkeys(
        ("InvalidAccessKeyId.Inactive", "Forbidden.AccessKey"),
        (AuthenticationError, "the access key is disabled", "enable it in the RAM console, or take another one"),
    ),
    **dict.fromkeys(
        ("SignatureDoesNotMatch", "IncompleteSignature", "InvalidSignatureMethod", "SignatureNonceUsed"), _SIGNATURE
    ),
    **dict.fromkeys(("InvalidTimeStamp.Expired", "InvalidTimeStamp.Format", "IllegalTimestamp"), _CLOCK),
    **dict.fromkeys(
        ("Forbidden.NoPermission", "Forbidden.RAM", "NoPermission", "Forbidden", "AccessDeniedError"),
        (AccessDeniedError, "a policy refuses this", "a RAM policy or the key's own policy must allow it"),
    ),
    **dict.fromkeys(
        (
            "Forbidden.KmsServiceNotEnabled",
            "Forbidden.ProhibitedByRiskControl",
            "Forbidden.InDebt",
            "Forbidden.InDebtOverdue",
            "Forbidden.UbsmsInvalidUserid",
            "Forbidden.UbsmsInvalidBid",
            "Forbidden.NoRealNameAuthentication",
            "Forbidden.Opened",
            "CreateLXOrderFailed",
        ),
        _ACCOUNT,
    ),
    "Forbidden.KeyNotFound": (KeyNotFoundError, "the service has no such key here", _KEY),
    "Forbidden.KeyVersionNotFound": (
        KeyNotFoundError,
        "the key has no such version",
        "key.versions lists its versions",
    ),
    "Forbidden.AliasNotFound": (KeyNotFoundError, "the service has no such alias here", _KEY),
    **dict.fromkeys(
        ("Forbidden.ResourceNotFound", "InvalidResourceId.NotFound"),
        (KeyNotFoundError, "the service has no such thing here", _KEY),
    ),
    "Rejected.Disabled": (KeyStateError, str(refusals.unusable(KeyState.DISABLED)), "key.enable() allows it again"),
    "Rejected.PendingDeletion": (
        KeyStateError,
        str(refusals.unusable(KeyState.PENDING_DELETION)),
        "key.cancel_deletion() allows it again",
    ),
    "Rejected.PendingImport": (
        KeyStateError,
        str(refusals.unusable(KeyState.PENDING_IMPORT)),
        "its material has to be imported first",
    ),
    "Rejected.StateModifiedFailed": _STATE,
    "Rejected.ResourceInDeleteWindow": _STATE,
    "Rejected.ResourceInUse": _STATE,
    "Rejected.Unavailable": (
        ServiceUnavailableError,
        "the key cannot be used now: its instance or external manager is away",
        "see the instance's state in the console",
    ),
    "AliasAlreadyExists": _TAKEN,
    "Rejected.ResourceExist": _TAKEN,
    **dict.fromkeys(
        (
            "MissingParameter",
            "InvalidParameter",
            "ParseRequestParameterException",
            "Rejected.InvalidRequest",
            "Duplicate.TagKey",
            "InvalidParameter.TagKey",
            "InvalidParameter.TagValue",
            "ValidationError",
        ),
        _PARAMETER,
    ),
    **dict.fromkeys(
        (
            "UnsupportedOperation",
            "Rejected.UnsupportedOperation",
            "UnsupportedHTTPMethod",
            "Unsupported.Origin",
            "Unsupported.Alias",
            "Unsupported.ProtectionLevel",
            "Forbidden.KeyPolicyUnSupported",
            "InvalidApi.NotFound",
            "InvalidAction.NotFound",
            "InvalidVersion",
            "InvalidProtocol.NeedSsl",
        ),
        _UNSUPPORTED,
    ),
    "Emulator.NotImplemented": (
        UnsupportedError,
        "the emulator does not have this action",
        "kmskit emulator --actions lists what it has",
    ),
    **dict.fromkeys(("Rejected.LimitExceeded", "Rejected.ShareQuotaExceedLimit"), _LIMIT),
    **dict.fromkeys(("InvalidKeyMaterial", "InvalidImportToken", "ExpiredImportToken"), _IMPORT),
    **dict.fromkeys(("Forbidden.DKMSInstanceNotFound", "Forbidden.DKMSInstanceStateInvalid"), _INSTANCE),
    **dict.fromkeys(
        _THROTTLING,
        (ThrottledError, "too many requests", "slow down; the shared gateway takes 1,000 a second from one user"),
    ),
    **dict.fromkeys(
        (
            "InternalFailure",
            "InternalError",
            "ServiceUnavailable",
            "ServiceUnavailableTemporary",
            "SerivceUnvailableTemporary",  # The service's own spelling in some places.
        ),
        _AWAY,
    ),
    "DryRunOperationError": (UnsupportedError, "this was a dry run: the call would have succeeded", "leave DryRun out"),
}
"""Code -> error class, message and hint."""

_TRANSPORT = {
    "name": "see the region or host in the URI",
    "connect": "see the host and port in the URI, and the firewall",
    "proxy": "see HTTPS_PROXY and NO_PROXY",
    "certificate": "ca= (instance-ca= for an instance's gateway) names the CA of this gateway, in PEM",
    "timeout": "try again, or give it more time: timeout= in the URI, in seconds",
    "broken": "try again",
}
_VPC = "an instance's own gateway is reachable only inside its VPC"
_QUIET = frozenset(code for code, meaning in MEANINGS.items() if meaning in (_SIGNATURE, _CLOCK))
"""Their messages repeat what was signed, and so what was sent."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What the SDK's exception told, without the request.

    Attributes:
        action: the action that was called.
        code: the service's; None if no answer of the service came.
        message: the service's text, without anything that was sent as a secret.
        status: the HTTP status; 0 if not known.
        retry_after: seconds that the service wants to be left alone; None if it says nothing.
        transport: what happened on the way, where no answer came.
        no_credentials: whether there was nothing to sign with.
    """

    action: str
    code: str | None = None
    message: str = ""
    status: int = 0
    request_id: str | None = None
    recommend: str | None = None
    retry_after: float | None = None
    denied: str = ""
    transport: TransportError | None = None
    no_credentials: bool = False


def read(error: Exception, action: str, parameters: Mapping[str, str]) -> Fault:
    """The fault that an exception of the SDK stands for."""
    code, data = getattr(error, "code", None), getattr(error, "data", None)
    if not code or code == "None" or not isinstance(data, Mapping):
        inner = getattr(error, "inner_exception", error)
        if isinstance(inner, CredentialException):
            return Fault(action, no_credentials=True)
        cause = inner.__context__ if isinstance(inner, BaseException) else None
        if not isinstance(cause, TransportError):
            cause = TransportError("broken", "the gateway's answer is not one of this service", sent=True)
        return Fault(action, transport=cause)
    after = getattr(error, "retry_after", None)
    status = getattr(error, "status_code", None) or data.get("statusCode")
    return Fault(
        action,
        str(code),
        _harmless(_text(data, "Message"), parameters),
        status if isinstance(status, int) else 0,
        _text(data, "RequestId") or None,
        _text(data, "Recommend") or None,
        after / 1000 if isinstance(after, int | float) else None,
        _denied(data.get("AccessDeniedDetail")),
    )


def may_retry(fault: Fault) -> bool:
    """Whether the same request may be sent again: it was turned away at the door, never came, or changes nothing."""
    if fault.transport is not None:
        return fault.transport.kind != "certificate" and (not fault.transport.sent or changes_nothing(fault.action))
    if fault.code in _THROTTLING or fault.status == 429:
        return True
    return changes_nothing(fault.action) and (_meaning(fault) is _AWAY or fault.code == "SignatureNonceUsed")


def translate(fault: Fault, host: str = "") -> KmsError:
    """The KmsError for a fault."""
    if fault.no_credentials:
        return ConfigurationError(
            "no credentials: neither in the environment nor elsewhere in the vendor's chain",
            hint="set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET; kmskit doctor looks for others",
        )
    if fault.transport is not None:
        kind = fault.transport.kind
        hint = _VPC if in_a_vpc(host) and kind in ("name", "connect") else _TRANSPORT[kind]
        if fault.transport.sent and not changes_nothing(fault.action):
            hint = f"see first whether it was done: {fault.action} may have been carried out"
        wanted = ConfigurationError if kind == "certificate" else ServiceUnavailableError
        return wanted(str(fault.transport), hint=hint)
    if fault.action in _DECRYPTING and fault.code in _BECAUSE_OF_THE_BYTES:
        return _attributed(refusals.unopened(), fault)
    kind_of_error, message, hint = _meaning(fault)
    if kind_of_error is AccessDeniedError and fault.denied.endswith("ExplicitDeny"):
        hint = "a statement of that policy denies it and must go: no Allow elsewhere outweighs it"
    told = "" if fault.code in _QUIET else fault.denied or fault.message
    known = kind_of_error in (KeyStateError, KeyNotFoundError) and fault.code in MEANINGS
    return _attributed(kind_of_error(f"{message}: {told}" if told and not known else message, hint=hint), fault)


def _attributed(error: KmsError, fault: Fault) -> KmsError:
    error.code, error.request_id, error.recommend = fault.code, fault.request_id, fault.recommend
    return error


def _meaning(fault: Fault) -> _Meaning:
    """By code; a code that is not known is judged by what stands before the dot, and by the HTTP status."""
    code = fault.code or ""
    if code in MEANINGS:
        return MEANINGS[code]
    if code.startswith("Throttling") or fault.status == 429:
        return MEANINGS["Throttling"]
    if code.startswith(("MissingParameter", "Missing", "InvalidParameter")):
        return _PARAMETER
    if code.startswith("Unsupported"):
        return _UNSUPPORTED
    if fault.status >= 500 or not fault.status:
        return _AWAY
    if fault.status in (401, 403):
        return MEANINGS["Forbidden.NoPermission"]
    return _PARAMETER


def _denied(detail: Any) -> str:
    """Which policy refused which action to whom, where the service tells."""
    if not isinstance(detail, Mapping):
        return ""
    who = _text(detail, "AuthPrincipalDisplayName")
    names = ("AuthAction", "PolicyType", "NoPermissionType")
    return ", ".join(filter(None, [who and f"user {who}", *(_text(detail, name) for name in names)]))


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _harmless(message: str, parameters: Mapping[str, str]) -> str:
    """The service's message, or nothing if it repeats a secret of the request."""
    for name in _SECRET_PARAMETERS:
        value = parameters.get(name)
        if value and any(form in message for form in (value, quote(value, safe=""), quote_plus(value))):
            return ""
    return re.sub(r"\s+", " ", message).strip()[:_LONGEST_QUOTE]
