"""`Intruder`: somebody who found an access key, for lessons about incidents. What he does is real, and what he gets is.

He asks the KMS to unwrap data keys for as long as it lets him, and keeps them. With a data key he opens envelopes by
himself, by the format's public specification, as any program can; then no KMS is asked, and no trail tells of it.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kmskit import envelope
from kmskit.errors import KmsError
from kmskit.kms import Kms

__all__ = ["Intruder", "opened_with"]

_FORMAT = b"AWSKMSEncryptionClient "


class Intruder:
    """Whoever has a stolen access key.

    Args:
        kms: connected with it.
    """

    def __init__(self, kms: Kms) -> None:
        self._kms = kms
        self._data_keys: list[bytes] = []

    def __repr__(self) -> str:
        return f"<Intruder, {len(self._data_keys)} data key(s)>"

    def asks(self, message: bytes) -> bool:
        """Have the KMS unwrap the data key of an envelope. If it does, he keeps it."""
        info = envelope.inspect(message)
        for recipient in info.recipients:
            if recipient.provider == "kmskit":
                key_id = recipient.info.decode().partition(":")[2]
                try:
                    data_key = self._kms.key(key_id).decrypt_data_key(recipient.wrapped, context=info.context)
                except KmsError:
                    continue
                self._data_keys.append(bytes(data_key.plaintext))
                return True
        return False

    def opens(self, message: bytes) -> bool:
        """Whether one of the data keys that he kept opens an envelope. No KMS is asked."""
        return self.reads(message) is not None

    def reads(self, message: bytes) -> bytes | None:
        """What he reads in an envelope with the data keys that he kept; None if none of them is its own."""
        found = (opened_with(data_key, message) for data_key in self._data_keys)
        return next((plaintext for plaintext in found if plaintext is not None), None)

    def forges(self, message: bytes, plaintext: bytes) -> bytes:
        """An envelope under the same key and context, with another text. The KMS makes its data key, if it still does.

        Raises:
            KmsError: it does not.
        """
        info = envelope.inspect(message)
        key_ids = [one.info.decode().partition(":")[2] for one in info.recipients if one.provider == "kmskit"]
        return envelope.encrypt(plaintext, [self._kms.key(key_id) for key_id in key_ids], context=info.context)


def opened_with(data_key: bytes, message: bytes) -> bytes | None:
    """Open an unsigned envelope with its data key in the clear; None if it is the data key of another one.

    Raises:
        InvalidCiphertextError: it is no envelope.
        cryptography.exceptions.InvalidTag: a frame was changed.
    """
    info = envelope.inspect(message)
    part = {field.name: message[field.offset : field.end] for field in info.fields if field.group in ("header", "seal")}
    suite, message_id = part["suite"], part["message id"]
    uses = b"COMMITKEY", suite + b"DERIVEKEY"
    commitment, secret = (HKDF(SHA512(), 32, message_id, use).derive(data_key) for use in uses)
    if commitment != part["commitment"]:
        return None
    cipher, place, plaintext = AESGCM(secret), info.header_size, []
    for number in range(1, info.frames + 1):
        final = number == info.frames
        size = info.length - (number - 1) * info.frame_length if final else info.frame_length
        iv = place + (8 if final else 4)  # Behind the mark of the final frame, and behind the frame's number.
        start = iv + (16 if final else 12)  # Only the final frame says its length.
        kind = b"Final Frame" if final else b"Frame"
        bound = message_id + _FORMAT + kind + number.to_bytes(4, "big") + size.to_bytes(8, "big")
        place = start + size + 16
        plaintext.append(cipher.decrypt(message[iv : iv + 12], message[start:place], bound))
    return b"".join(plaintext)
