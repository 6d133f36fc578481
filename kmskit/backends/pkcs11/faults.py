"""CK_RV to KmsError: the one place where a module's errors become kmskit's.

Codes and names are those of PKCS#11 v3.1 (pkcs11t.h). python-pkcs11 raises a class a code, whose name is the code's in
another spelling, and `PKCS11Error` with the number for codes that it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from pkcs11.exceptions import PKCS11Error

from kmskit.backends.pkcs11.cryptoki import CryptokiError
from kmskit.errors import (
    AuthenticationError,
    ConfigurationError,
    KeyNotFoundError,
    KeyStateError,
    KmsError,
    LimitExceededError,
    ServiceUnavailableError,
    UnsupportedError,
)

__all__ = ["NAMES", "code_of", "name_of", "translate", "translated"]

NAMES = {
    0x001: "CANCEL",
    0x002: "HOST_MEMORY",
    0x003: "SLOT_ID_INVALID",
    0x005: "GENERAL_ERROR",
    0x006: "FUNCTION_FAILED",
    0x007: "ARGUMENTS_BAD",
    0x008: "NO_EVENT",
    0x009: "NEED_TO_CREATE_THREADS",
    0x00A: "CANT_LOCK",
    0x010: "ATTRIBUTE_READ_ONLY",
    0x011: "ATTRIBUTE_SENSITIVE",
    0x012: "ATTRIBUTE_TYPE_INVALID",
    0x013: "ATTRIBUTE_VALUE_INVALID",
    0x01B: "ACTION_PROHIBITED",
    0x020: "DATA_INVALID",
    0x021: "DATA_LEN_RANGE",
    0x030: "DEVICE_ERROR",
    0x031: "DEVICE_MEMORY",
    0x032: "DEVICE_REMOVED",
    0x040: "ENCRYPTED_DATA_INVALID",
    0x041: "ENCRYPTED_DATA_LEN_RANGE",
    0x042: "AEAD_DECRYPT_FAILED",
    0x050: "FUNCTION_CANCELED",
    0x051: "FUNCTION_NOT_PARALLEL",
    0x054: "FUNCTION_NOT_SUPPORTED",
    0x060: "KEY_HANDLE_INVALID",
    0x062: "KEY_SIZE_RANGE",
    0x063: "KEY_TYPE_INCONSISTENT",
    0x064: "KEY_NOT_NEEDED",
    0x065: "KEY_CHANGED",
    0x066: "KEY_NEEDED",
    0x067: "KEY_INDIGESTIBLE",
    0x068: "KEY_FUNCTION_NOT_PERMITTED",
    0x069: "KEY_NOT_WRAPPABLE",
    0x06A: "KEY_UNEXTRACTABLE",
    0x070: "MECHANISM_INVALID",
    0x071: "MECHANISM_PARAM_INVALID",
    0x082: "OBJECT_HANDLE_INVALID",
    0x090: "OPERATION_ACTIVE",
    0x091: "OPERATION_NOT_INITIALIZED",
    0x0A0: "PIN_INCORRECT",
    0x0A1: "PIN_INVALID",
    0x0A2: "PIN_LEN_RANGE",
    0x0A3: "PIN_EXPIRED",
    0x0A4: "PIN_LOCKED",
    0x0B0: "SESSION_CLOSED",
    0x0B1: "SESSION_COUNT",
    0x0B3: "SESSION_HANDLE_INVALID",
    0x0B4: "SESSION_PARALLEL_NOT_SUPPORTED",
    0x0B5: "SESSION_READ_ONLY",
    0x0B6: "SESSION_EXISTS",
    0x0B7: "SESSION_READ_ONLY_EXISTS",
    0x0B8: "SESSION_READ_WRITE_SO_EXISTS",
    0x0C0: "SIGNATURE_INVALID",
    0x0C1: "SIGNATURE_LEN_RANGE",
    0x0D0: "TEMPLATE_INCOMPLETE",
    0x0D1: "TEMPLATE_INCONSISTENT",
    0x0E0: "TOKEN_NOT_PRESENT",
    0x0E1: "TOKEN_NOT_RECOGNIZED",
    0x0E2: "TOKEN_WRITE_PROTECTED",
    0x0F0: "UNWRAPPING_KEY_HANDLE_INVALID",
    0x0F1: "UNWRAPPING_KEY_SIZE_RANGE",
    0x0F2: "UNWRAPPING_KEY_TYPE_INCONSISTENT",
    0x100: "USER_ALREADY_LOGGED_IN",
    0x101: "USER_NOT_LOGGED_IN",
    0x102: "USER_PIN_NOT_INITIALIZED",
    0x103: "USER_TYPE_INVALID",
    0x104: "USER_ANOTHER_ALREADY_LOGGED_IN",
    0x105: "USER_TOO_MANY_TYPES",
    0x110: "WRAPPED_KEY_INVALID",
    0x112: "WRAPPED_KEY_LEN_RANGE",
    0x113: "WRAPPING_KEY_HANDLE_INVALID",
    0x114: "WRAPPING_KEY_SIZE_RANGE",
    0x115: "WRAPPING_KEY_TYPE_INCONSISTENT",
    0x120: "RANDOM_SEED_NOT_SUPPORTED",
    0x121: "RANDOM_NO_RNG",
    0x130: "DOMAIN_PARAMS_INVALID",
    0x140: "CURVE_NOT_SUPPORTED",
    0x150: "BUFFER_TOO_SMALL",
    0x160: "SAVED_STATE_INVALID",
    0x170: "INFORMATION_SENSITIVE",
    0x180: "STATE_UNSAVEABLE",
    0x190: "CRYPTOKI_NOT_INITIALIZED",
    0x191: "CRYPTOKI_ALREADY_INITIALIZED",
    0x1A0: "MUTEX_BAD",
    0x1A1: "MUTEX_NOT_LOCKED",
    0x1B5: "EXCEEDED_MAX_ITERATIONS",
    0x1B6: "FIPS_SELF_TEST_FAILED",
    0x1B7: "LIBRARY_LOAD_FAILED",
    0x1B8: "PIN_TOO_WEAK",
    0x1B9: "PUBLIC_KEY_INVALID",
    0x200: "FUNCTION_REJECTED",
}
"""CK_RV -> its name without `CKR_`."""

# python-pkcs11's names that are spelled otherwise, and its own, which no module answers with.
_SPELLED_OTHERWISE = {
    "AnotherUserAlreadyLoggedIn": 0x104,
    "FunctionCancelled": 0x050,
    "TokenNotRecognised": 0x0E1,
    "UserPinNotInitialized": 0x102,
}
# For some codes it has a text and neither class nor number.
_TOLD_IN_WORDS = {
    "already initialized": 0x191,
    "not initialized": 0x190,
    "buffer was too small": 0x150,
    "parallel not supported": 0x051,
    "user type invalid": 0x103,
}
_UNKNOWN_CODE = re.compile(r"0x([0-9a-f]+)", re.IGNORECASE)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


_BY_PLAIN_NAME = {_plain(name): code for code, name in NAMES.items()}


def code_of(error: PKCS11Error) -> int | None:
    """The CK_RV behind an exception; None if there is none."""
    if isinstance(error, CryptokiError):
        return error.code
    name = type(error).__name__
    if name in _SPELLED_OTHERWISE:
        return _SPELLED_OTHERWISE[name]
    if name == "PKCS11Error":
        text = str(error)
        if found := _UNKNOWN_CODE.search(text):
            return int(found[1], 16)
        return next((code for words, code in _TOLD_IN_WORDS.items() if words in text.lower()), None)
    return _BY_PLAIN_NAME.get(_plain(name))


def name_of(error: PKCS11Error) -> str:
    """What users see as the code: `CKR_…`, or the exception's name where there is none."""
    code = code_of(error)
    if code is None:
        return type(error).__name__
    return f"CKR_{NAMES[code]}" if code in NAMES else f"CKR_0x{code:x}"


_AWAY = ("the token does not answer", "look whether it is there and its module runs; the same call may then succeed")
_FAILED = ("the token failed and does not say why", "it may be away or out of memory; the same call may succeed later")
_BUSY = ("the token is out of sessions or memory", "close what else uses it, then try again")
_PIN = ("the token refused the PIN", "give the right one to connect(pin=...): nothing is tried again by itself")

# What an error means outside of the places that expect it. Decryption's verdicts, for one, are judged before this.
_MEANINGS: dict[str, tuple[type[KmsError], str, str]] = {
    **dict.fromkeys(
        (
            "DEVICE_ERROR",
            "DEVICE_REMOVED",
            "TOKEN_NOT_PRESENT",
            "TOKEN_NOT_RECOGNIZED",
            "SLOT_ID_INVALID",
            "SESSION_CLOSED",
            "SESSION_HANDLE_INVALID",
            "FUNCTION_CANCELED",
            "CANCEL",
            "CRYPTOKI_NOT_INITIALIZED",
        ),
        (ServiceUnavailableError, *_AWAY),
    ),
    **dict.fromkeys(("GENERAL_ERROR", "FUNCTION_FAILED"), (ServiceUnavailableError, *_FAILED)),
    **dict.fromkeys(
        ("HOST_MEMORY", "DEVICE_MEMORY", "SESSION_COUNT", "EXCEEDED_MAX_ITERATIONS"), (ServiceUnavailableError, *_BUSY)
    ),
    **dict.fromkeys(("PIN_INCORRECT", "PIN_INVALID", "PIN_LEN_RANGE"), (AuthenticationError, *_PIN)),
    "PIN_LOCKED": (
        AuthenticationError,
        "the token has locked the PIN",
        "its security officer can set a new one; no PIN was tried",
    ),
    "PIN_EXPIRED": (AuthenticationError, "the PIN has expired", "set a new one with the token's own tool"),
    "USER_PIN_NOT_INITIALIZED": (
        AuthenticationError,
        "the token has no user PIN yet",
        "its security officer sets one: kmskit token init makes a token with a PIN",
    ),
    "USER_ANOTHER_ALREADY_LOGGED_IN": (
        AuthenticationError,
        "another user of the token, its security officer perhaps, is logged in from this process",
        "log that one out first",
    ),
    "USER_NOT_LOGGED_IN": (AuthenticationError, "the process is no longer logged in to the token", "connect again"),
    "TOKEN_WRITE_PROTECTED": (
        UnsupportedError,
        "the token is write-protected",
        "its keys can be used; making and changing keys needs a token that can be written",
    ),
    "SESSION_READ_ONLY": (
        UnsupportedError,
        "the token gives only read-only sessions",
        "its keys can be used; making and changing keys needs a token that can be written",
    ),
    **dict.fromkeys(
        ("ATTRIBUTE_READ_ONLY", "ACTION_PROHIBITED"),
        (
            UnsupportedError,
            "this token does not let its keys be changed in this way",
            "software keys and SoftHSM's can be disabled, renamed and destroyed",
        ),
    ),
    **dict.fromkeys(
        ("KEY_HANDLE_INVALID", "OBJECT_HANDLE_INVALID"),
        (
            KeyNotFoundError,
            "the key is no longer on the token",
            "another program has destroyed it, or the token was made anew",
        ),
    ),
    "KEY_FUNCTION_NOT_PERMITTED": (
        KeyStateError,
        "the token does not permit this use of the key",
        "key.refresh() and key.state tell whether it is disabled",
    ),
    **dict.fromkeys(
        ("DATA_LEN_RANGE", "ENCRYPTED_DATA_LEN_RANGE", "BUFFER_TOO_SMALL"),
        (LimitExceededError, "the token does not take data of this size", "use envelope encryption"),
    ),
    **dict.fromkeys(
        (
            "MECHANISM_INVALID",
            "MECHANISM_PARAM_INVALID",
            "FUNCTION_NOT_SUPPORTED",
            "CURVE_NOT_SUPPORTED",
            "DOMAIN_PARAMS_INVALID",
            "KEY_SIZE_RANGE",
            "KEY_TYPE_INCONSISTENT",
            "TEMPLATE_INCONSISTENT",
            "TEMPLATE_INCOMPLETE",
            "ATTRIBUTE_TYPE_INVALID",
            "ATTRIBUTE_VALUE_INVALID",
        ),
        (
            UnsupportedError,
            "this token does not offer that",
            "kms.capabilities() shows what it has; the software backend has every spec",
        ),
    ),
    **dict.fromkeys(
        ("CANT_LOCK", "NEED_TO_CREATE_THREADS", "LIBRARY_LOAD_FAILED", "FIPS_SELF_TEST_FAILED", "ARGUMENTS_BAD"),
        (
            ConfigurationError,
            "the PKCS#11 module cannot work as it is configured",
            "kmskit doctor looks at modules and their configuration",
        ),
    ),
}
_OTHERWISE = (
    ServiceUnavailableError,
    "the PKCS#11 module gave an answer that was not expected here",
    "kmskit doctor looks at the module; its log may say more",
)


def translate(error: PKCS11Error) -> KmsError:
    """The KmsError for an exception of a module. It carries the code's name and nothing of the call."""
    name = name_of(error)
    kind, message, hint = _MEANINGS.get(name.removeprefix("CKR_"), _OTHERWISE)
    retryable = False if (kind, message) == _OTHERWISE[:2] else None
    return kind(message, code=name, hint=hint, retryable=retryable)


@contextmanager
def translated() -> Iterator[None]:
    """Around calls of a module: its errors come as kmskit's."""
    problem: KmsError
    try:
        yield
        return
    except PKCS11Error as error:
        problem = translate(error)
    raise problem
