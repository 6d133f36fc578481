"""`explain`: what the bytes of any ciphertext say of themselves, without a key."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Literal

from kmskit import ciphertext as local
from kmskit import markup
from kmskit.errors import InvalidCiphertextError, KeyNotFoundError
from kmskit.key import Key
from kmskit.kms import Kms

if TYPE_CHECKING:
    from kmskit.envelope.header import Recipient

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
        key: the key this version belongs to, or the first recipient of an envelope that is a key of the Kms given.
        recipients: for envelopes, the names of the recipients: `kmskit software:…`, or a raw key's namespace and name.
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
            "recipients": markup.Html("<br>".join(map(_recipient_html, self.recipients))) or None,
            "context": markup.pairs(self.context) if self.context else None,
            "note": self.note,
        }
        return markup.card("Ciphertext", rows, mark=markup.badge(self.format))


def _recipient_html(name: str) -> markup.Html:
    return markup.volatile_html(name) if name.startswith("kmskit ") else markup.escape(name)  # A key's id is random.


def explain(ciphertext: bytes, kms: Kms | None = None) -> Explanation:
    """Tell what the bytes of a ciphertext say: its format, the key version or recipients named in it.

    Args:
        ciphertext: any bytes.
        kms: where to look the key up.

    Raises:
        TypeError: not bytes.
    """
    if not isinstance(ciphertext, bytes | bytearray | memoryview):
        raise TypeError(f"ciphertext: bytes expected, not {type(ciphertext).__name__}")
    data = bytes(ciphertext)
    size = len(data)
    if size >= 3 and data[0] == 0x02 and int.from_bytes(data[1:3]) in _ENVELOPE_SUITES:
        return _of_envelope(data, kms)
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


def _of_envelope(data: bytes, kms: Kms | None) -> Explanation:
    from kmskit.envelope.header import read  # On first use: most programs have none.
    from kmskit.envelope.recipients import title

    suite = int.from_bytes(data[1:3])
    what = f"an envelope message, suite 0x{suite:04x}{_ENVELOPE_SUITES[suite]}"
    try:
        header, _, _ = read(BytesIO(data).read)
    except InvalidCiphertextError as error:
        return Explanation("envelope", len(data), f"a guess from the first bytes: {what}; but {error}")
    keys = (_key_of_recipient(recipient, kms) for recipient in header.recipients) if kms else ()
    return Explanation(
        "envelope",
        len(data),
        what,
        key=next(filter(None, keys), None),
        recipients=tuple(map(title, header.recipients)),
        context=header.own_context,
    )


def _key_of_recipient(recipient: Recipient, kms: Kms) -> Key | None:
    """The key that an envelope's recipient names, if it is one of this Kms."""
    scheme, _, key_id = recipient.info.decode(errors="replace").partition(":")
    if (recipient.provider, scheme) == ("kmskit", kms.backend):
        with suppress(KeyNotFoundError):
            key = kms.key(key_id)
            return key if key.id == key_id else None  # A header's alias is nobody's.
    return None


def _alibaba_version(data: bytes) -> str | None:
    """The version id in front of a CiphertextBlob (base64 of: version id 36 | iv 12 | ciphertext | tag 16)."""
    try:
        blob = b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(blob) < _ALIBABA_OVERHEAD or not _VERSION_ID.fullmatch(blob[:36]):
        return None
    return blob[:36].decode("ascii")
