"""The ciphertext bytes of the local backends, `software` and `pkcs11`.

    01 | key version u32, big-endian | iv 12 | ciphertext | tag 16        AES-GCM or SM4-GCM, AAD = the canonical
    context

This is the wire format of Tink's AES-GCM with a TINK prefix, so a Tink keyset exported by `kmskit.interop.tink` opens
it. RSA ciphertexts and signatures are the plain standard bytes. The alibaba backend's ciphertext is the service's own
string.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from kmskit.errors import InvalidCiphertextError
from kmskit.types import Buffer

__all__ = ["FORMAT", "IV_SIZE", "MAX_PLAINTEXT", "OVERHEAD", "LocalCiphertext", "header", "parse", "version_name"]

IV_SIZE = 12
MAX_PLAINTEXT = 65_536
"""Direct encryption is for small things: a data key, a card number. Larger data belongs in an envelope."""
FORMAT = 0x01
_HEADER = Struct(">BI")
_TAG_SIZE = 16
OVERHEAD = _HEADER.size + IV_SIZE + _TAG_SIZE


class LocalCiphertext(NamedTuple):
    """The parts of a local ciphertext. `body` ends in the tag."""

    version: int
    iv: bytes
    body: bytes


def header(version: int) -> bytes:
    """The five bytes every ciphertext of this key version begins with."""
    return _HEADER.pack(FORMAT, version)


def parse(ciphertext: Buffer) -> LocalCiphertext:
    """Cut a local ciphertext into its parts.

    Raises:
        InvalidCiphertextError: not this format, or too short for it.
    """
    if len(ciphertext) < OVERHEAD:
        raise InvalidCiphertextError(
            f"the ciphertext is too short: {len(ciphertext)} bytes, at least {OVERHEAD} expected",
            hint="it may have been cut when it was stored",
        )
    form, version = _HEADER.unpack_from(ciphertext)
    if form != FORMAT:
        raise InvalidCiphertextError(
            f"the ciphertext begins with {form:02x}, not {FORMAT:02x}",
            hint="it is not from this kind of backend; kmskit.explain(ciphertext) tells what it looks like",
        )
    return LocalCiphertext(version, bytes(ciphertext[5:17]), bytes(ciphertext[17:]))


def version_name(version: int) -> str:
    """A version id as users see it: the hex digits that also stand in the ciphertext."""
    return f"{version:08x}"
