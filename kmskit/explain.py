"""`explain`: what the bytes of any ciphertext say of themselves, without a key."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kmskit import ciphertext as local
from kmskit import markup
from kmskit.key import Key
from kmskit.kms import Kms

__all__ = ["Explanation", "explain"]

_VERSION_ID = re.compile(rb"[0-9a-zA-Z-]{36}")
_ALIBABA_OVERHEAD = 36 + 12 + 16
_ENVELOPE_SUITES = {0x0478: "", 0x0578: ", signed"}
_RSA_SIZES = {256: "RSA_2048", 384: "RSA_3072", 512: "RSA_4096"}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a ciphertext tells without being decrypted. Nothing of it is authenticated; a guess is called one.

    Attributes:
        format: `local`, `alibaba`, `envelope` or `unknown`.
        size: length in bytes.
        key_version: the version named in the bytes, if any.
        key: the key this version belongs to, if a Kms was given and has it.
        recipients: for envelopes, the names of the recipients.
        context: for envelopes, the context that stands in the header.
        note: one sentence in plain words.
    """

    format: Literal["local", "alibaba", "envelope", "unknown"]
    size: int
    note: str
    key_version: str | None = None
    key: Key | None = None
    recipients: tuple[str, ...] = ()
    context: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        version = f" version {markup.volatile_text(self.key_version)}" if self.key_version else ""
        return f"<Explanation {self.format}, {self.size} bytes{version}: {markup.printable(self.note)}>"

    def _repr_html_(self) -> str:
        rows: dict[str, object] = {
            "size": f"{self.size} bytes",
            "key version": self.key_version and markup.volatile_html(self.key_version),
            "key": self.key.title_html() if self.key else None,
            "recipients": ", ".join(self.recipients) or None,
            "context": markup.pairs(self.context) if self.context else None,
            "note": self.note,
        }
        return markup.card("Ciphertext", rows, mark=markup.badge(self.format))


def explain(ciphertext: bytes, kms: Kms | None = None) -> Explanation:
    """Tell what the bytes of a ciphertext say: its format, the key version or recipients named in it.

    Args:
        ciphertext: any bytes.
        kms: where to look the key version up.

    Raises:
        TypeError: not bytes.
    """
    if not isinstance(ciphertext, bytes | bytearray | memoryview):
        raise TypeError(f"ciphertext: bytes expected, not {type(ciphertext).__name__}")
    data = bytes(ciphertext)
    size = len(data)
    if size >= 4 and data[0] == 0x02 and (suite := int.from_bytes(data[1:3])) in _ENVELOPE_SUITES:
        return Explanation("envelope", size, f"an envelope message, suite 0x{suite:04x}{_ENVELOPE_SUITES[suite]}")
    if size >= local.OVERHEAD and data[0] == local.FORMAT:
        version = local.version_name(local.parse(data).version)
        held = size - local.OVERHEAD
        note = f"a guess from the first byte: {held} bytes under AES-GCM or SM4-GCM, from a local backend"
        return Explanation("local", size, note, version, kms.key_of_version(version) if kms else None)
    if (version_id := _alibaba_version(data)) is not None:
        note = "a guess from its shape: a CiphertextBlob of Alibaba Cloud KMS; only the service knows the version's key"
        return Explanation("alibaba", size, note, version_id, kms.key_of_version(version_id) if kms else None)
    if size in _RSA_SIZES:
        return Explanation("unknown", size, f"a guess from its length: {_RSA_SIZES[size]} ciphertext or signature")
    return Explanation("unknown", size, "no format that kmskit writes")


def _alibaba_version(data: bytes) -> str | None:
    """The version id in front of a CiphertextBlob (base64 of: version id 36 | iv 12 | ciphertext | tag 16)."""
    try:
        blob = b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(blob) < _ALIBABA_OVERHEAD or not _VERSION_ID.fullmatch(blob[:36]):
        return None
    return blob[:36].decode("ascii")
