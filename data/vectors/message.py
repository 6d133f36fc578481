"""A writer of envelope messages that shares no code with kmskit, and can set every part to what it must not be.

It follows the AWS Encryption SDK message format, version 2, from its description. Nothing is random: what others draw
is computed from the vector's name, and what pyca/cryptography would draw by itself (OAEP's seed) is written out.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LENGTH = 128  # The AWS Encryption SDK takes multiples of it.


def drawn(name: str, size: int) -> bytes:
    return hashlib.shake_256(f"kmskit test vector: {name}".encode()).digest(size)


def counted(data: bytes) -> bytes:
    """A length in two bytes, and the data."""
    return len(data).to_bytes(2) + data


def pairs(context: Sequence[tuple[str, str]]) -> bytes:
    """A context in the order given: the format wants it sorted."""
    return len(context).to_bytes(2) + b"".join(counted(text.encode()) for pair in context for text in pair)


def gcm(key: bytes, iv: bytes, plaintext: bytes, aad: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.GCM(iv)).encryptor()
    encryptor.authenticate_additional_data(aad)
    return encryptor.update(plaintext) + encryptor.finalize() + encryptor.tag


def oaep(modulus: int, exponent: int, digest: str, message: bytes, seed: bytes) -> bytes:
    """RSAES-OAEP (RFC 8017, 7.1.1) with a given seed."""
    size, hashed = (modulus.bit_length() + 7) // 8, hashlib.new(digest).digest()

    def masked(data: bytes, origin: bytes) -> bytes:
        blocks = (hashlib.new(digest, origin + count.to_bytes(4)).digest() for count in range(len(data) // 20 + 1))
        return bytes(left ^ right for left, right in zip(data, b"".join(blocks), strict=False))

    padding = bytes(size - len(message) - 2 * len(hashed) - 2)
    block = masked(hashed + padding + b"\x01" + message, seed[: len(hashed)])
    return pow(int.from_bytes(b"\0" + masked(seed[: len(hashed)], block) + block), exponent, modulus).to_bytes(size)


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message to be. What is None is made as the format says.

    Attributes:
        name: of the vector; everything drawn follows from it.
        recipients: (provider, info, wrapped data key); at most one of them is right.
        context: as bytes, so that it may be wrong.
        ivs: of the frames, if they are not their sequence numbers.
        empty_end: end a plaintext that fills its frames in an empty frame.
        claims: the header says this suite, and all else is made for `suite`.
    """

    name: str
    plaintext: bytes
    recipients: tuple[tuple[bytes, bytes, bytes], ...]
    context: bytes = b""
    suite: int = 0x0478
    claims: int | None = None
    version: int = 2
    content_type: int = 2
    frame_length: int = LENGTH
    claimed_length: int | None = None
    commitment: bytes | None = None
    ivs: tuple[bytes, ...] = ()
    empty_end: bool = False
    data_key: bytes = field(default=b"")

    @property
    def message_id(self) -> bytes:
        return drawn(f"{self.name}: message id", 32)

    def derived(self, info: bytes) -> bytes:
        """HKDF with SHA-512 (RFC 5869), of which one block is enough."""
        data_key = self.data_key or drawn(f"{self.name}: data key", 32)
        return hmac.digest(hmac.digest(self.message_id, data_key, "sha512"), info + b"\x01", "sha512")[:32]

    def key(self) -> bytes:
        return self.derived(self.suite.to_bytes(2) + b"DERIVEKEY")

    def header(self) -> bytes:
        recipients = b"".join(counted(part) for recipient in self.recipients for part in recipient)
        length = self.frame_length if self.claimed_length is None else self.claimed_length
        body = (
            self.version.to_bytes()
            + (self.claims or self.suite).to_bytes(2)
            + self.message_id
            + counted(self.context)
            + len(self.recipients).to_bytes(2)
            + recipients
            + self.content_type.to_bytes()
            + length.to_bytes(4)
            + (self.commitment or self.derived(b"COMMITKEY"))
        )
        return body + gcm(self.key(), bytes(12), b"", body)

    def frames(self) -> list[bytes]:
        step = self.frame_length
        parts = [self.plaintext[at : at + step] for at in range(0, len(self.plaintext), step)] or [b""]
        if self.empty_end:
            parts.append(b"")
        return [self.frame(number, part, number == len(parts)) for number, part in enumerate(parts, 1)]

    def frame(self, number: int, plaintext: bytes, final: bool) -> bytes:
        kind = b"AWSKMSEncryptionClient Final Frame" if final else b"AWSKMSEncryptionClient Frame"
        sequence, size = number.to_bytes(4), len(plaintext)
        iv = self.ivs[number - 1] if self.ivs else number.to_bytes(12)
        sealed = gcm(self.key(), iv, plaintext, self.message_id + kind + sequence + size.to_bytes(8))
        return b"\xff" * 4 + sequence + iv + size.to_bytes(4) + sealed if final else sequence + iv + sealed

    def bytes(self) -> bytes:
        return self.header() + b"".join(self.frames())


def signer(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(drawn(f"{name}: signing key", 47)), ec.SECP384R1())


def point(private: ec.EllipticCurvePrivateKey) -> str:
    return b64encode(private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)).decode()


def signed(data: bytes, private: ec.EllipticCurvePrivateKey) -> bytes:
    """The data and a footer; deterministic (RFC 6979)."""
    return data + counted(private.sign(data, ec.ECDSA(SHA384(), deterministic_signing=True)))
