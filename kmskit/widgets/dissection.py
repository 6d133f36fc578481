"""The parts of what a key makes: which bytes of a ciphertext, a signature or a MAC are what."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kmskit import KeySpec, KeyUsage, explain
from kmskit.algorithms import SPECS
from kmskit.ciphertext import IV_SIZE
from kmskit.svg import BLUE, GREEN, GREY, ORANGE, PURPLE
from kmskit.widgets.bytemap import ByteField

__all__ = ["Dissection", "dissect"]

_TAG_SIZE = 16
_SEQUENCE, _INTEGER = 0x30, 0x02


@dataclass(frozen=True, slots=True)
class Dissection:
    """Bytes and their parts.

    Attributes:
        data: the bytes to be shown.
        fields: what stands where in them.
        note: what they are, in a sentence.
        packed: from the bytes shown to those that the key takes.
    """

    data: bytes
    fields: Sequence[ByteField]
    note: str
    packed: Callable[[bytes], bytes] = bytes


def dissect(made: bytes, spec: KeySpec, usage: KeyUsage) -> Dissection:
    """The parts of what a key of a spec made.

    Args:
        made: what `encrypt` or `mac` returned, or the value of a Signature.
        spec, usage: the key's.
    """
    if usage is KeyUsage.ENCRYPT_DECRYPT and SPECS[spec].symmetric:
        return _of_ciphertext(made)
    if usage is KeyUsage.SIGN_VERIFY and SPECS[spec].family == "EC":
        return Dissection(made, tuple(_of_ecdsa(made)), "An ECDSA signature: two numbers, in DER as RFC 3279 has it.")
    if usage is KeyUsage.SIGN_VERIFY and SPECS[spec].family == "EDWARDS":
        half = len(made) // 2
        fields = (
            ByteField(0, half, "R", "a point on the curve", colour=BLUE),
            ByteField(half, len(made), "S", "the number that only the key's owner can tell", colour=PURPLE),
        )
        return Dissection(made, fields, "An Ed25519 signature: RFC 8032, 5.1.6.")
    name, meaning, note = {
        KeyUsage.ENCRYPT_DECRYPT: ("ciphertext", "one number", "RSA-OAEP: one number as long as the modulus."),
        KeyUsage.SIGN_VERIFY: ("signature", "one number", "An RSA signature: one number as long as the modulus."),
        KeyUsage.GENERATE_VERIFY_MAC: ("tag", "of the message and the key", "An HMAC: as long as the digest."),
    }[usage]
    return Dissection(made, (ByteField(0, len(made), name, meaning, colour=PURPLE),), note)


def _of_ciphertext(made: bytes) -> Dissection:
    told = explain(made)
    if told.format == "local":
        size = len(bytes.fromhex(told.key_version or ""))
        start = ByteField(0, 1, "format", "says how to read the rest", colour=GREY)
        fields = (start, *_of_gcm(made, 1, 1 + size, told.key_version, "as long as the plaintext"))
        return Dissection(made, fields, "The local backends' ciphertext.")
    if told.format == "alibaba":
        blob = b64decode(made)
        # The service takes a plaintext in base64, and encrypts that.
        length = "as long as the plaintext's base64"
        fields = tuple(_of_gcm(blob, 0, len(told.key_version or ""), told.key_version, length))
        return Dissection(blob, fields, "A CiphertextBlob of Alibaba Cloud KMS, out of its base64.", b64encode)
    return Dissection(made, (ByteField(0, len(made), "ciphertext", told.note, colour=PURPLE),), told.note)


def _of_gcm(data: bytes, start: int, end: int, version: str | None, length: str) -> Iterator[ByteField]:
    """Version, iv, ciphertext and tag, which is the order of both."""
    iv, tag = end + IV_SIZE, len(data) - _TAG_SIZE
    yield ByteField(start, end, "key version", "which version of the key opens it", version or "", colour=BLUE)
    yield ByteField(end, iv, "iv", "used once under this key", colour=GREEN)
    if iv < tag:
        yield ByteField(iv, tag, "ciphertext", length, colour=PURPLE)
    yield ByteField(tag, len(data), "tag", "authenticates the ciphertext and the context", colour=ORANGE)


def _of_ecdsa(data: bytes) -> Iterator[ByteField]:
    """SEQUENCE { INTEGER r, INTEGER s }; lengths beyond 127 bytes take a byte more."""
    at = 3 if data[1] & 0x80 else 2
    if data[0] != _SEQUENCE:
        return
    yield ByteField(0, at, "sequence", "DER: two numbers follow", colour=GREY)
    for name, colour in (("r", BLUE), ("s", PURPLE)):
        if data[at] != _INTEGER:
            return
        start, end = at + 2, at + 2 + data[at + 1]
        yield ByteField(at, start, f"length of {name}", "DER: a number of so many bytes", colour=GREY)
        yield ByteField(start, end, name, "of the signature's two numbers", colour=colour)
        at = end
