"""Whole messages in memory: `encrypt`, `decrypt`, and both into a buffer of the caller's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import BytesIO

from kmskit.envelope.cache import DataKeyCache
from kmskit.envelope.message import FRAME_LENGTH, Opening, Sealing
from kmskit.envelope.pages import in_huge_pages
from kmskit.envelope.recipients import EnvelopeKey
from kmskit.envelope.suite import FINAL_MARK, FINAL_OVERHEAD, FRAME_OVERHEAD, body_size, split
from kmskit.errors import InvalidCiphertextError
from kmskit.types import Buffer

__all__ = ["decrypt", "decrypt_into", "encrypt", "encrypt_into"]


def encrypt(
    plaintext: Buffer,
    keys: Iterable[EnvelopeKey],
    *,
    context: Mapping[str, str] | None = None,
    signed: bool = False,
    frame_length: int = FRAME_LENGTH,
    cache: DataKeyCache | None = None,
) -> bytes:
    """Encrypt data of any size, so that any one of `keys` opens it.

    Args:
        plaintext: the bytes.
        keys: up to 8 recipients: Key, RawAesKey, RawRsaKey; of several backends, if you like.
        context: text pairs that stand readable in the message and are authenticated with it.
        signed: end the message in a signature under a key made for it, so that no recipient can change it unnoticed by
            the others. Serial and slower.
        frame_length: plaintext bytes a frame.
        cache: reuse data keys; see DataKeyCache.

    Returns:
        the message, in the AWS Encryption SDK message format, version 2.

    Raises:
        LimitExceededError: too many recipients, or too large a context.
        AccessDeniedError, KeyStateError, ServiceUnavailableError, ...: a key cannot be used.
    """
    source = _view("plaintext", plaintext)
    sealing = Sealing(keys, context=context, signed=signed, frame_length=frame_length, cache=cache, size=len(source))
    out = _sized(len(sealing.start) + body_size(len(source), frame_length) + sealing.footer_size)
    with out.getbuffer() as buffer:
        in_huge_pages(buffer)
        _seal(sealing, source, buffer)
    return out.getvalue()


def encrypt_into(
    plaintext: Buffer,
    out: bytearray | memoryview,
    keys: Iterable[EnvelopeKey],
    *,
    context: Mapping[str, str] | None = None,
    signed: bool = False,
    frame_length: int = FRAME_LENGTH,
    cache: DataKeyCache | None = None,
) -> int:
    """`encrypt` into the start of a buffer, which saves the memory for the result.

    Returns:
        how many bytes were written: `encrypted_size` of the same arguments.

    Raises:
        ValueError: `out` is too small.
    """
    source, target = _view("plaintext", plaintext), _view("out", out, writable=True)
    sealing = Sealing(keys, context=context, signed=signed, frame_length=frame_length, cache=cache, size=len(source))
    needed = len(sealing.start) + body_size(len(source), frame_length) + sealing.footer_size
    if len(target) < needed:
        raise ValueError(f"out: {needed} bytes expected, not {len(target)}; encrypted_size() tells how many")
    return _seal(sealing, source, target)


def _seal(sealing: Sealing, source: memoryview, out: memoryview) -> int:
    at = len(sealing.start)
    out[:at] = sealing.start
    key, length = sealing.key, sealing.header.frame_length
    regular, _ = split(len(source), length)
    for index in range(regular):
        at += key.seal(index + 1, source[index * length : (index + 1) * length], out[at:])
    at += key.seal_final(regular + 1, source[regular * length :], out[at:])
    sealing.written(out[len(sealing.start) : at])
    footer = sealing.footer()
    out[at : at + len(footer)] = footer
    return at + len(footer)


def decrypt(
    message: Buffer,
    keys: Iterable[EnvelopeKey],
    *,
    require_context: Mapping[str, str] | None = None,
    require_signed: bool = False,
) -> bytes:
    """Decrypt a whole message.

    Args:
        message: the bytes.
        keys: any of them that is a recipient will do.
        require_context: pairs that the message's context must have.
        require_signed: refuse a message without a signature.

    Raises:
        InvalidCiphertextError: changed, cut, put together, not for these keys, or not what is required.
        AccessDeniedError, KeyStateError, ServiceUnavailableError, ...: a key that fits cannot be used, and no other
        fits.
    """
    source = _view("message", message)
    opening = _open(source, keys, require_context, require_signed)
    body = source[len(opening.start) :]
    regular, last, end = _locate(body, opening.header.frame_length)
    out = _sized(regular * opening.header.frame_length + last)
    with out.getbuffer() as buffer:
        in_huge_pages(buffer)
        _unseal(opening, body, regular, end, buffer)
    return out.getvalue()


def decrypt_into(
    message: Buffer,
    out: bytearray | memoryview,
    keys: Iterable[EnvelopeKey],
    *,
    require_context: Mapping[str, str] | None = None,
    require_signed: bool = False,
) -> int:
    """`decrypt` into the start of a buffer. After an error the buffer holds no plaintext.

    Returns:
        how many bytes were written.

    Raises:
        ValueError: `out` is too small.
    """
    source, target = _view("message", message), _view("out", out, writable=True)
    opening = _open(source, keys, require_context, require_signed)
    body = source[len(opening.start) :]
    regular, last, end = _locate(body, opening.header.frame_length)
    needed = regular * opening.header.frame_length + last
    if len(target) < needed:
        raise ValueError(f"out: {needed} bytes expected, not {len(target)}")
    try:
        return _unseal(opening, body, regular, end, target)
    except BaseException:
        target[:needed] = bytes(needed)
        raise


def _open(
    source: memoryview,
    keys: Iterable[EnvelopeKey],
    require_context: Mapping[str, str] | None,
    require_signed: bool,
) -> Opening:
    at = 0

    def read(size: int) -> bytes:
        nonlocal at
        at += size
        return bytes(source[at - size : at])

    return Opening(read, keys, require_context=require_context, require_signed=require_signed)


def _locate(body: memoryview, frame_length: int) -> tuple[int, int, int]:
    """Where the final frame is: the number of frames before it, its plaintext's length, and where it ends."""
    at, stride, size = 0, frame_length + FRAME_OVERHEAD, len(body)
    while at + FINAL_OVERHEAD <= size:
        if body[at : at + 4] == FINAL_MARK:
            length = int.from_bytes(body[at + 20 : at + 24])
            end = at + FINAL_OVERHEAD + length
            if length <= frame_length and end <= size:
                return at // stride, length, end
            break
        at += stride
    raise InvalidCiphertextError("the envelope is cut short: its final frame is not there", hint="was it stored whole?")


def _unseal(opening: Opening, body: memoryview, regular: int, end: int, out: memoryview) -> int:
    key, length = opening.key, opening.header.frame_length
    stride = length + FRAME_OVERHEAD
    at = 0
    for index in range(regular):
        at += key.open(index + 1, body[index * stride : (index + 1) * stride], out[at:])
    at += key.open_final(regular + 1, body[regular * stride : end], out[at:])
    opening.seen(body[:end])
    opening.check_footer(body[end:])
    return at


def _sized(size: int) -> BytesIO:
    """A buffer that becomes the result: a BytesIO lends its bytes out for writing, and hands them on without a copy."""
    return BytesIO(bytes(size))


def _view(argument: str, data: Buffer, *, writable: bool = False) -> memoryview:
    """The bytes of a buffer, without a copy."""
    try:
        view = memoryview(data)
        flat = view.cast("B") if view.nbytes else memoryview(bytearray())  # An array without bytes cannot be cast.
    except TypeError:
        raise TypeError(f"{argument}: bytes expected, not {type(data).__name__}") from None
    if writable and view.readonly:
        raise TypeError(f"{argument}: a writable buffer expected, such as a bytearray")
    return flat
