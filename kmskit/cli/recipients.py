"""The keys of envelopes: those that a command names, and those that a message names itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from kmskit import InvalidCiphertextError, Key, KeyNotFoundError, Kms
from kmskit.cli.files import read_whole
from kmskit.envelope import RawAesKey, RawRsaKey
from kmskit.envelope.header import Recipient

__all__ = ["Openers", "recipients", "title"]

_PROVIDER = "kmskit"
_NAMESPACE = "recovery"
_LARGEST_PEM = 64 << 10


def recipients(
    kms: Kms | None, names: Iterable[str], pem: str | None, name: str | None
) -> list[Key | RawAesKey | RawRsaKey]:
    """Who shall open a new message.

    Args:
        kms: where the keys are; None if only the recovery key is named.
        names: ids or aliases.
        pem: the file of an RSA public key.
        name: what that key is called in the message; the file's name without its ending if left out.
    """
    if pem is None and name is not None:
        raise click.UsageError("--recovery-name is for a --recovery-key")
    found: list[Key | RawAesKey | RawRsaKey] = [kms.key(one) for one in names] if kms else []
    if pem is not None:
        found.append(RawRsaKey(_NAMESPACE, name or Path(pem).stem, read_whole(pem, _LARGEST_PEM)))
    if not found:
        raise click.UsageError("name who shall open it: --to KEY, or --recovery-key PEM")
    return found


class Openers:
    """Keys to open messages with.

    Args:
        kms: where the keys are; None if only a recovery key shall be tried.
        names: ids or aliases; without any, those keys that a message names and `kms` has.
        pem: the file of an RSA private key, tried on every recipient that is not a key of a backend.
    """

    def __init__(self, kms: Kms | None, names: Sequence[str], pem: str | None) -> None:
        self._kms = kms
        self._named: list[Key] = [kms.key(name) for name in names] if kms else []
        self._pem = None if pem is None else read_whole(pem, _LARGEST_PEM)
        if self._pem is not None:
            if b"PRIVATE KEY" not in self._pem:
                raise click.ClickException(f"{pem}: no private key is in there, and only that opens a message")
            RawRsaKey(_NAMESPACE, "", self._pem)  # Tells what is wrong with the file.

    def of(self, found: Iterable[Recipient]) -> list[Key | RawAesKey | RawRsaKey]:
        """The keys to try on a message with these recipients.

        Raises:
            InvalidCiphertextError: none of its recipients is here.
        """
        found = list(found)
        keys: list[Key | RawAesKey | RawRsaKey] = [*self._named]
        for recipient in found:
            key = self._raw(recipient) if recipient.provider != _PROVIDER else self._key(recipient)
            if key is not None:
                keys.append(key)
        if not keys:
            raise InvalidCiphertextError(
                "no key that is here is a recipient of this envelope",
                hint=f"its recipients: {', '.join(map(title, found))}",
            )
        return keys

    def _key(self, recipient: Recipient) -> Key | None:
        """The key that a recipient names, if this is its backend and no keys were named instead."""
        scheme, _, key_id = recipient.info.decode(errors="replace").partition(":")
        if self._kms is None or self._named or scheme != self._kms.backend:
            return None
        try:
            return self._kms.key(key_id)
        except KeyNotFoundError:
            return None

    def _raw(self, recipient: Recipient) -> RawRsaKey | None:
        if self._pem is None:
            return None
        try:
            return RawRsaKey(recipient.provider, recipient.info.decode(), self._pem)
        except ValueError:
            return None  # A raw AES key's, or one of AWS KMS.


def title(recipient: Recipient) -> str:
    """A recipient in a line."""
    info = recipient.info.decode(errors="backslashreplace")
    return info if recipient.provider == _PROVIDER else f"{recipient.provider} {info}"
