"""One message: what is common to writing or reading it at once, as a stream, and from file to file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from kmskit.envelope import header as headers
from kmskit.envelope.cache import DataKeyCache
from kmskit.envelope.header import Header
from kmskit.envelope.materials import check_context, for_encryption, unwrap, verification_key
from kmskit.envelope.recipients import EnvelopeKey, wrappers
from kmskit.envelope.suite import MessageKey, body_size, max_frames, split
from kmskit.errors import InvalidCiphertextError, LimitExceededError

__all__ = ["FRAME_LENGTH", "Opening", "Sealing", "encrypted_size"]

FRAME_LENGTH = 256 * 1024
"""The default. Longer frames bring little more speed; shorter ones make a range read cheaper."""
_COMMITMENT_SIZE = 32


class Sealing:
    """A message being written: the header is made, its frames and footer are to come.

    Attributes:
        start: the header's bytes with its tag.
        key: seals the frames.
    """

    def __init__(
        self,
        keys: Iterable[EnvelopeKey],
        *,
        context: Mapping[str, str] | None = None,
        signed: bool = False,
        frame_length: int = FRAME_LENGTH,
        cache: DataKeyCache | None = None,
        size: int | None = None,
    ) -> None:
        check_frame_length(frame_length, size)
        materials = for_encryption(wrappers(keys), check_context(context), signed, cache, size)
        message_id = os.urandom(headers.MESSAGE_ID_SIZE)
        self.key = MessageKey(materials.data_key, materials.suite, message_id)
        self.header = Header(
            materials.suite, message_id, materials.context, materials.recipients, frame_length, self.key.commitment
        )
        body = headers.encode(self.header)
        self.start = body + self.key.header_tag(body)
        self._signing_key = materials.signing_key
        self._digest: Any = None if materials.signing_key is None else hashlib.sha384(self.start)

    @property
    def footer_size(self) -> int:
        return headers.FOOTER_SIZE if self.header.signed else 0

    def written(self, frames: memoryview) -> None:
        """To be called with every byte behind the header, in order: a signature covers them."""
        if self._digest is not None:
            self._digest.update(frames)

    def footer(self) -> bytes:
        """The signature of a signed message, else nothing. DER lengths vary: it signs until the length is the usual."""
        if self._signing_key is None:
            return b""
        from cryptography.hazmat.primitives.asymmetric import ec, utils
        from cryptography.hazmat.primitives.hashes import SHA384

        digest, scheme = self._digest.digest(), ec.ECDSA(utils.Prehashed(SHA384()))
        while True:
            signature = self._signing_key.sign(digest, scheme)
            if len(signature) == headers.FOOTER_SIZE - 2:
                return len(signature).to_bytes(2) + signature


class Opening:
    """A message being read: its header is authenticated, its frames and footer are to come.

    Attributes:
        header: authenticated.
        start: the header's bytes with its tag.
        key: opens the frames.
    """

    def __init__(
        self,
        source: Callable[[int], bytes],
        keys: Iterable[EnvelopeKey],
        *,
        require_context: Mapping[str, str] | None = None,
        require_signed: bool = False,
    ) -> None:
        given = wrappers(keys)
        required = check_context(require_context)
        self.header, body, tag = headers.read(source)
        if require_signed and not self.header.signed:
            raise InvalidCiphertextError("the envelope is not signed, and a signature is required")
        data_key = unwrap(self.header.recipients, self.header.context, given)
        self.key = MessageKey(data_key, self.header.suite, self.header.message_id)
        self.key.check_header(body, tag, self.header.commitment)
        for name, value in required.items():
            if self.header.context.get(name) != value:
                raise InvalidCiphertextError(
                    f"the envelope's context does not have the required {name!r}",
                    hint="it is another row's or purpose's",
                )
        self.start = body + tag
        self._verification_key = verification_key(self.header) if self.header.signed else None
        self._digest: Any = hashlib.sha384(self.start) if self.header.signed else None

    def seen(self, frames: memoryview) -> None:
        """To be called with every byte of the frames, in order: a signature covers them."""
        if self._digest is not None:
            self._digest.update(frames)

    def check_footer(self, footer: memoryview) -> None:
        """InvalidCiphertextError unless the signature follows the final frame, or nothing where none belongs."""
        if self._verification_key is None:
            if len(footer):
                raise InvalidCiphertextError("bytes follow the envelope's final frame", hint="were files put together?")
            return
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec, utils
        from cryptography.hazmat.primitives.hashes import SHA384

        if len(footer) >= 2 and int.from_bytes(footer[:2]) == len(footer) - 2:
            try:
                scheme = ec.ECDSA(utils.Prehashed(SHA384()))
                self._verification_key.verify(bytes(footer[2:]), self._digest.digest(), scheme)
                return
            except InvalidSignature:
                pass
        raise InvalidCiphertextError("the envelope's signature does not verify", hint="was the end cut off or changed?")


def check_frame_length(frame_length: int, size: int | None) -> None:
    """TypeError, ValueError, LimitExceededError."""
    if not isinstance(frame_length, int) or isinstance(frame_length, bool):
        raise TypeError(f"frame_length: a number of bytes expected, not {type(frame_length).__name__}")
    if not 0 < frame_length <= headers.MAX_FRAME_LENGTH:
        raise ValueError(f"frame_length: 1 to {headers.MAX_FRAME_LENGTH:,} bytes expected, not {frame_length}")
    if size is not None and split(size, frame_length)[0] >= max_frames(frame_length):
        raise too_long(frame_length)


def too_long(frame_length: int) -> LimitExceededError:
    """The error for more plaintext than one message may have."""
    return LimitExceededError(
        f"plaintext: at most {max_frames(frame_length):,} frames of {frame_length:,} bytes a message",
        hint="take a larger frame_length=, or several messages",
    )


def encrypted_size(
    length: int,
    keys: Iterable[EnvelopeKey],
    *,
    context: Mapping[str, str] | None = None,
    signed: bool = False,
    frame_length: int = FRAME_LENGTH,
    cache: DataKeyCache | None = None,
) -> int:
    """The size of the message that `encrypt` makes of `length` bytes. No key is used and no request made.

    Args:
        length: of the plaintext, in bytes.
        keys, context, signed, frame_length, cache: as they will be given to `encrypt_into`.
    """
    if not isinstance(length, int) or isinstance(length, bool):
        raise TypeError(f"length: a number of bytes expected, not {type(length).__name__}")
    if length < 0:
        raise ValueError(f"length: a number of bytes expected, not {length}")
    check_frame_length(frame_length, length)
    whole = check_context(context)
    if signed:
        whole[headers.PUBLIC_KEY_NAME] = "A" * 68  # Base64 of a compressed P-384 point.
    blank = Header(headers.SUITE, bytes(32), whole, (), frame_length, bytes(_COMMITMENT_SIZE))
    start = headers.encode(replace(blank, recipients=tuple(wrapper.placeholder() for wrapper in wrappers(keys))))
    return len(start) + headers.TAG_SIZE + body_size(length, frame_length) + (headers.FOOTER_SIZE if signed else 0)
