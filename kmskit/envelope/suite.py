"""The keys of one message, and its frames: what the two suites do with a data key.

    PRK             HKDF-Extract(SHA-512, salt = message id, data key)
    encryption key  HKDF-Expand(PRK, suite u16 | "DERIVEKEY", 32)
    commitment      HKDF-Expand(PRK, "COMMITKEY", 32)

    regular frame   sequence u32 | iv 12 | ciphertext of the frame length | tag 16
    final frame     FFFFFFFF | sequence u32 | iv 12 | length u32 | ciphertext | tag 16        0 <= length <= frame
    length

The sequence begins at 1 and is the iv (8 zero bytes before it); the header's tag uses the iv 0. A frame's associated
data
are: message id | its kind's name | sequence u32 | plaintext length u64. So no frame can be moved, cut off or taken for
one of another message.
"""

from __future__ import annotations

from hmac import compare_digest
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from kmskit.errors import InvalidCiphertextError

__all__ = [
    "DATA_KEY_SIZE",
    "FINAL_MARK",
    "FINAL_OVERHEAD",
    "FRAME_OVERHEAD",
    "MAX_FRAMES",
    "MessageKey",
    "body_size",
    "max_frames",
    "split",
    "split_body",
]

DATA_KEY_SIZE = 32
FRAME_OVERHEAD = 4 + 12 + 16
FINAL_OVERHEAD = 4 + 4 + 12 + 4 + 16
MAX_FRAMES = 0xFFFFFFFF
MAX_PLAINTEXT = 64 * 2**40
"""Of one message: with 2**42 blocks under its key, to tell them from random ones succeeds with less than 2**-40."""
FINAL_MARK = b"\xff\xff\xff\xff"
"""What the final frame has in place of a sequence number."""
_REGULAR = Struct(">I8xI")  # sequence | iv, whose last four bytes are the sequence again
_FINAL = Struct(">4sI8xII")
_AAD = Struct(">IQ")


class MessageKey:
    """The derived keys of one message, and everything that is encrypted under them."""

    def __init__(self, data_key: bytes | bytearray, suite: int, message_id: bytes) -> None:
        pseudorandom = HKDF.extract(SHA512(), message_id, bytes(data_key))
        self.commitment = HKDFExpand(SHA512(), 32, b"COMMITKEY").derive(pseudorandom)
        self._aead = AESGCM(HKDFExpand(SHA512(), 32, suite.to_bytes(2) + b"DERIVEKEY").derive(pseudorandom))
        self._regular = message_id + b"AWSKMSEncryptionClient Frame"
        self._final = message_id + b"AWSKMSEncryptionClient Final Frame"

    def header_tag(self, body: bytes) -> bytes:
        return self._aead.encrypt(bytes(12), b"", body)

    def check_header(self, body: bytes, tag: bytes, commitment: bytes) -> None:
        """InvalidCiphertextError unless the header is whole and its data key is the one that was committed to."""
        if compare_digest(self.commitment, commitment):
            try:
                self._aead.decrypt(bytes(12), tag, body)
                return
            except InvalidTag:
                pass
        raise InvalidCiphertextError("the envelope's header does not belong to this key", hint="it was changed")

    def seal(self, sequence: int, plaintext: memoryview, out: memoryview) -> int:
        """Write a regular frame to the start of `out`; its size."""
        size = len(plaintext)
        _REGULAR.pack_into(out, 0, sequence, sequence)
        aad = self._regular + _AAD.pack(sequence, size)
        self._aead.encrypt_into(out[4:16], plaintext, aad, out[16 : size + FRAME_OVERHEAD])
        return size + FRAME_OVERHEAD

    def seal_final(self, sequence: int, plaintext: memoryview, out: memoryview) -> int:
        """Write the final frame to the start of `out`; its size."""
        size = len(plaintext)
        _FINAL.pack_into(out, 0, FINAL_MARK, sequence, sequence, size)
        aad = self._final + _AAD.pack(sequence, size)
        self._aead.encrypt_into(out[8:20], plaintext, aad, out[24 : size + FINAL_OVERHEAD])
        return size + FINAL_OVERHEAD

    def open(self, sequence: int, frame: memoryview, out: memoryview) -> int:
        """Decrypt a regular frame into the start of `out`; the plaintext's size."""
        if int.from_bytes(frame[:4]) != sequence:
            raise _not_its_place(sequence)
        return self._open(self._regular, sequence, frame[4:16], frame[16:], out)

    def open_final(self, sequence: int, frame: memoryview, out: memoryview) -> int:
        """Decrypt the final frame into the start of `out`; the plaintext's size."""
        if bytes(frame[:4]) != FINAL_MARK or int.from_bytes(frame[4:8]) != sequence:
            raise _not_its_place(sequence)
        if int.from_bytes(frame[20:24]) != len(frame) - FINAL_OVERHEAD:
            raise InvalidCiphertextError("the final frame's length is not what is there", hint="was it stored whole?")
        return self._open(self._final, sequence, frame[8:20], frame[24:], out)

    def _open(self, kind: bytes, sequence: int, iv: memoryview, sealed: memoryview, out: memoryview) -> int:
        size = len(sealed) - 16
        try:
            return self._aead.decrypt_into(iv, sealed, kind + _AAD.pack(sequence, size), out[:size])
        except InvalidTag:
            out[:size] = bytes(size)  # decrypt_into leaves the plaintext there even when the tag is wrong.
        raise InvalidCiphertextError(
            f"frame {sequence} does not open", hint="it was changed, or it is of another message"
        )


def _not_its_place(sequence: int) -> InvalidCiphertextError:
    return InvalidCiphertextError(
        f"frame {sequence} is not where it belongs", hint="frames were cut off, swapped or doubled"
    )


def max_frames(frame_length: int) -> int:
    """How many frames a message may have, the final one included."""
    return min(MAX_FRAMES, MAX_PLAINTEXT // frame_length)


def split(size: int, frame_length: int) -> tuple[int, int]:
    """How the writer frames a plaintext of `size` bytes: the number of regular frames, and the final frame's length.

    A plaintext that fills its frames ends in a full final frame; the other legal ending, an empty one, is only read.
    """
    regular = (size - 1) // frame_length if size else 0
    return regular, size - regular * frame_length


def body_size(size: int, frame_length: int) -> int:
    """Bytes of all frames of a plaintext."""
    regular, last = split(size, frame_length)
    return regular * (frame_length + FRAME_OVERHEAD) + last + FINAL_OVERHEAD


def split_body(size: int, frame_length: int) -> tuple[int, int]:
    """How a body of `size` bytes must be framed: the number of regular frames, and the final frame's length.

    Raises:
        InvalidCiphertextError: no message has a body of this size.
    """
    regular, last = divmod(size - FINAL_OVERHEAD, frame_length + FRAME_OVERHEAD)
    if size < FINAL_OVERHEAD or last > frame_length:
        raise InvalidCiphertextError("the envelope's length fits no number of frames", hint="was it stored whole?")
    return regular, last
