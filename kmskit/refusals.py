"""What several backends have to refuse, in the same words everywhere: a notebook shows one text on every backend."""

from __future__ import annotations

from kmskit.errors import (
    AlreadyExistsError,
    InvalidCiphertextError,
    InvalidMacError,
    InvalidSignatureError,
    KeyNotFoundError,
    KeyStateError,
    LimitExceededError,
)
from kmskit.types import KeyState

__all__ = [
    "alias_taken",
    "key_not_found",
    "no_such_alias",
    "no_such_version",
    "of_another_version",
    "require_state",
    "too_large",
    "unopened",
    "unusable",
    "wrong_mac",
    "wrong_signature",
]

_CURES = {
    KeyState.DISABLED: "key.enable()",
    KeyState.ENABLED: "key.schedule_deletion(days)",
    KeyState.PENDING_DELETION: "key.cancel_deletion()",
}


def unopened() -> InvalidCiphertextError:
    """Whatever the bytes may be: nothing is said about why the authentication failed."""
    return InvalidCiphertextError(
        "the ciphertext does not open under this key and context",
        hint="bytes, key, context and algorithm must be those of the encryption",
    )


def of_another_version() -> InvalidCiphertextError:
    """Without the version's id, which is random: `explain` marks it so, and stored outputs stay comparable."""
    return InvalidCiphertextError(
        "the ciphertext names a version that this key does not have",
        hint="another key made it, or its first bytes were changed; kmskit.explain(ciphertext) shows it",
    )


def too_large(size: int, what: str, limit: int) -> LimitExceededError:
    return LimitExceededError(
        f"plaintext: {size:,} bytes, and {what} takes {limit:,}",
        limit=limit,
        hint="use envelope encryption: kmskit.envelope.encrypt(data, [key])",
    )


def wrong_signature() -> InvalidSignatureError:
    return InvalidSignatureError(
        "the signature does not belong to this message and key",
        hint="message, key and algorithm must be those of the signing",
    )


def wrong_mac() -> InvalidMacError:
    return InvalidMacError(
        "the tag does not belong to this message and key", hint="the tag is the whole HMAC, not a part of it"
    )


def unusable(state: KeyState) -> KeyStateError:
    """About a use of a key that is not enabled."""
    cure = "cancel_deletion" if state is KeyState.PENDING_DELETION else "enable"
    return KeyStateError(f"the key is {state} and refuses every use", hint=f"key.{cure}() allows it again")


def require_state(state: KeyState, *allowed: KeyState) -> None:
    """KeyStateError if a key's state does not allow a change."""
    if state not in allowed:
        raise KeyStateError(f"the key is {state}", hint=f"{_CURES[state]} changes that")


def alias_taken(alias: str) -> AlreadyExistsError:
    return AlreadyExistsError(f"the alias {alias!r} is taken", hint=f"kms.key({alias!r}) opens the key that has it")


def key_not_found(id_or_alias: str) -> KeyNotFoundError:
    return KeyNotFoundError(
        f"there is no key with the id or alias {id_or_alias!r}",
        hint="list(kms.keys()) shows the keys that are there",
    )


def no_such_alias(alias: str) -> KeyNotFoundError:
    return KeyNotFoundError(f"this key has no alias {alias!r}", hint="key.aliases lists those it has")


def no_such_version(version: str) -> KeyNotFoundError:
    return KeyNotFoundError(f"this key has no version {version!r}", hint="key.versions lists those it has")
