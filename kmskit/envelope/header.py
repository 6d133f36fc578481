"""The header of an envelope message: bytes only, no keys.

The format is the AWS Encryption SDK message format, version 2 (big-endian):

    02 | suite u16 | message id 32
    | context length u16 [| pair count u16 | (key length u16 | key | value length u16 | value)*]
    | recipient count u16 | (u16 provider id | u16 provider info | u16 wrapped data key)*
    | 02 | frame length u32 | commitment 32                                               the header body
    | tag 16                                                                              over the header body

The context is as `kmskit.context` encodes it; an empty one is the length 0. Everything here is the attacker's until the
tag was checked, so counts and lengths are capped before anything is read or allocated.

Source: AWS Encryption SDK message format reference and algorithm suite reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import Struct

from kmskit import context as contexts
from kmskit.errors import InvalidCiphertextError, LimitExceededError

__all__ = [
    "FOOTER_SIZE",
    "MAX_FRAME_LENGTH",
    "MAX_RECIPIENTS",
    "PUBLIC_KEY_NAME",
    "SIGNED_SUITE",
    "SUITE",
    "Header",
    "Recipient",
    "encode",
    "read",
]

SUITE = 0x0478
"""AES-256-GCM, HKDF-SHA-512, key commitment."""
SIGNED_SUITE = 0x0578
"""The same, and an ECDSA P-384 signature over the whole message."""
PUBLIC_KEY_NAME = "aws-crypto-public-key"
"""Where a signed message's context holds the key that verifies it."""
FOOTER_SIZE = 2 + 103
"""A signed message ends in: u16 length | DER ECDSA-P384 signature. The writer makes every signature 103 bytes long."""
MAX_RECIPIENTS = 8
MAX_FRAME_LENGTH = 64 * 1024 * 1024
MESSAGE_ID_SIZE = 32
TAG_SIZE = 16

_VERSION = 2
_FRAMED = 2
_COMMITMENT_SIZE = 32
_FIXED = Struct(">BH32s")
_TAIL = Struct(">BI32s")
_u16 = Struct(">H").pack
_OTHER_SUITES = {
    0x0014: "AES-128-GCM without key derivation",
    0x0046: "AES-192-GCM without key derivation",
    0x0078: "AES-256-GCM without key derivation",
    0x0114: "AES-128-GCM with HKDF",
    0x0146: "AES-192-GCM with HKDF",
    0x0178: "AES-256-GCM with HKDF",
    0x0214: "AES-128-GCM with HKDF and a signature",
    0x0346: "AES-192-GCM with HKDF and a signature",
    0x0378: "AES-256-GCM with HKDF and a signature",
}


@dataclass(frozen=True, slots=True)
class Recipient:
    """One wrapped data key: who can unwrap it, and its bytes.

    Attributes:
        provider: the kind of key: `kmskit`, or a raw key's namespace.
        info: which key: `scheme:key id`, or what a raw key writes there.
        wrapped: the wrapped data key.
    """

    provider: str
    info: bytes
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What stands in a header. Nothing of it is authenticated before the tag was checked."""

    suite: int
    message_id: bytes
    context: Mapping[str, str]
    recipients: tuple[Recipient, ...]
    frame_length: int
    commitment: bytes

    @property
    def signed(self) -> bool:
        return self.suite == SIGNED_SUITE

    @property
    def own_context(self) -> dict[str, str]:
        """The context without what the format itself put there."""
        return {name: value for name, value in self.context.items() if name != PUBLIC_KEY_NAME}


def encode(header: Header) -> bytes:
    """The header body.

    Raises:
        LimitExceededError: more recipients or longer parts than the format or kmskit takes.
    """
    if not 0 < len(header.recipients) <= MAX_RECIPIENTS:
        raise LimitExceededError(f"keys: 1 to {MAX_RECIPIENTS} recipients expected, not {len(header.recipients)}")
    context = contexts.canonical(header.context)
    parts = [
        _FIXED.pack(_VERSION, header.suite, header.message_id),
        _u16(len(context)),
        context,
        _u16(len(header.recipients)),
    ]
    for recipient in header.recipients:
        for field in (recipient.provider.encode(), recipient.info, recipient.wrapped):
            if len(field) > 0xFFFF:
                raise LimitExceededError("keys: a name or wrapped data key is longer than 65,535 bytes")
            parts += (_u16(len(field)), field)
    parts.append(_TAIL.pack(_FRAMED, header.frame_length, header.commitment))
    return b"".join(parts)


def read(source: Callable[[int], bytes]) -> tuple[Header, bytes, bytes]:
    """Read a header from a function that returns up to that many bytes, as a file's `read` does.

    Returns:
        the header, its body's bytes, and the tag over them.

    Raises:
        InvalidCiphertextError: no header of this format, or of a suite that kmskit does not take.
    """
    taken: list[bytes] = []

    def take(size: int) -> bytes:
        data = source(size) if size else b""
        if len(data) != size:
            raise InvalidCiphertextError("the envelope's header is cut short", hint="was it stored whole?")
        taken.append(data)
        return data

    def take_field() -> bytes:
        return take(int.from_bytes(take(2)))

    version, suite, message_id = _FIXED.unpack(take(_FIXED.size))
    if version != _VERSION:
        raise InvalidCiphertextError(
            f"this is not an envelope message: it begins with {version:02x}, not {_VERSION:02x}",
            hint="messages of format version 1 have no key commitment and are not read"
            if version == 1
            else "kmskit.explain() tells what the bytes look like",
        )
    if suite not in (SUITE, SIGNED_SUITE):
        what = _OTHER_SUITES.get(suite, "not known")
        raise InvalidCiphertextError(
            f"the envelope's suite 0x{suite:04x} ({what}) is not read: it does not commit to its key",
            hint=f"write it with suite 0x{SUITE:04x} or 0x{SIGNED_SUITE:04x}",
        )
    try:
        context = contexts.parse(take_field())
    except ValueError as error:
        raise InvalidCiphertextError(f"the envelope's {error}") from None
    count = int.from_bytes(take(2))
    if not 0 < count <= MAX_RECIPIENTS:
        raise InvalidCiphertextError(f"the envelope names {count} recipients, and 1 to {MAX_RECIPIENTS} are read")
    recipients = tuple(Recipient(_text(take_field()), take_field(), take_field()) for _ in range(count))
    framed, frame_length, commitment = _TAIL.unpack(take(_TAIL.size))
    if framed != _FRAMED or not 0 < frame_length <= MAX_FRAME_LENGTH:
        raise InvalidCiphertextError(
            "the envelope is not framed, or its frames are too long", hint=f"at most {MAX_FRAME_LENGTH:,} bytes a frame"
        )
    if (suite == SIGNED_SUITE) != (PUBLIC_KEY_NAME in context):
        raise InvalidCiphertextError("the envelope's suite and context disagree about a signature")
    body = b"".join(taken)
    header = Header(suite, message_id, context, recipients, frame_length, commitment)
    return header, body, take(TAG_SIZE)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidCiphertextError("a recipient's provider id is not UTF-8") from None
