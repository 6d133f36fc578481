"""Envelopes as files: a writer that needs no length beforehand, and a reader that can seek.

Both hold one frame of plaintext and one of ciphertext, whatever the message's size.
"""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from threading import RLock
from types import MappingProxyType, TracebackType
from typing import IO, Any

from kmskit.envelope.header import FOOTER_SIZE
from kmskit.envelope.message import Opening, Sealing, too_long
from kmskit.envelope.recipients import EnvelopeKey
from kmskit.envelope.suite import FINAL_MARK, FINAL_OVERHEAD, FRAME_OVERHEAD, MAX_FRAMES, max_frames, split_body
from kmskit.errors import InvalidCiphertextError

__all__ = ["EnvelopeReader", "EnvelopeWriter", "fill", "open_from", "seal_to", "write_all"]

_SPARE = FINAL_OVERHEAD - FRAME_OVERHEAD + FOOTER_SIZE + 2
"""What can follow a frame's length of bytes at a message's end, and one byte more, so that surplus is noticed."""


class EnvelopeWriter(io.BufferedIOBase):
    """A binary file whose content goes encrypted into another one.

    The message is complete only when the writer was closed without an error. Left by an exception, or after a write
    that failed, it is abandoned: what was written so far is refused by every reader.

    Attributes:
        context: the message's context.
    """

    def __init__(self, sealing: Sealing, raw: IO[bytes], finish: Callable[[bool], object]) -> None:
        self._sealing = sealing
        self.header = sealing.header
        self.start = sealing.start
        self._raw = raw
        self._finish = finish  # Called once, with whether the message is complete.
        self._length = sealing.header.frame_length
        self._plain = memoryview(bytearray(self._length))
        self._sealed = memoryview(bytearray(self._length + FINAL_OVERHEAD))
        self._held = 0
        self._sequence = 1
        self._position = 0
        self._lock = RLock()  # A sequence number is an iv: two threads must not seal two frames under one.
        self.context: Mapping[str, str] = MappingProxyType(dict(sealing.header.context))
        write_all(raw, memoryview(sealing.start))

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any, /) -> int:
        """Encrypt some more plaintext."""
        source = memoryview(data).cast("B")
        with self._lock:
            if self.closed:
                raise ValueError("write to a closed envelope")
            try:
                self._take(source)
            except BaseException:
                # How far the last frame came is not known, and another one under its iv would give both away.
                self.abandon()
                raise
        return len(source)

    def _take(self, source: memoryview) -> None:
        at, size = 0, len(source)
        while at < size:
            # A full frame is held back until more comes, because the last one must be written as the final frame.
            if self._held == self._length:
                self._write_frame(self._plain)
                self._held = 0
            if not self._held and size - at > self._length:
                self._write_frame(source[at : at + self._length])
                at += self._length
                continue
            part = min(self._length - self._held, size - at)
            self._plain[self._held : self._held + part] = source[at : at + part]
            self._held += part
            at += part
        self._position += size

    def _write_frame(self, plaintext: memoryview) -> None:
        if self._sequence >= max_frames(self._length):  # The final frame is one more.
            raise too_long(self._length)
        self._emit(self._sealing.key.seal(self._sequence, plaintext, self._sealed))
        self._sequence += 1

    def _emit(self, size: int) -> None:
        frame = self._sealed[:size]
        self._sealing.written(frame)
        write_all(self._raw, frame)

    def close(self) -> None:
        """Write the final frame and, if signed, the signature."""
        with self._lock:
            if self.closed:
                return
            complete = False
            try:
                self._emit(self._sealing.key.seal_final(self._sequence, self._plain[: self._held], self._sealed))
                write_all(self._raw, memoryview(self._sealing.footer()))
                complete = True
            finally:
                self._end(complete)

    def abandon(self) -> None:
        """Stop without a final frame."""
        with self._lock:
            if not self.closed:
                self._end(False)

    def _end(self, complete: bool) -> None:
        super().close()
        self._plain[:] = bytes(self._length)
        self._finish(complete)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def __del__(self) -> None:
        # A forgotten writer must not become a complete message: the program may be on its way out of an error.
        self.abandon()


class EnvelopeReader(io.BufferedIOBase):
    """The plaintext of an envelope, as a binary file.

    Each frame is released only after its tag was checked. Seeking decrypts only the frames that are touched; it needs a
    file that can seek and an unsigned message, because a signature covers everything before it. The end of a signed
    message is released only after its signature was verified.

    Attributes:
        context: the message's context; authenticated.
    """

    def __init__(self, opening: Opening, raw: IO[bytes], start: int | None, finish: Callable[[], object]) -> None:
        self._opening = opening
        self.header = opening.header
        self.start = opening.start
        self._raw = raw
        self._finish = finish
        self._length = opening.header.frame_length
        # Where the first frame is in the file, if frames may be read in any order.
        self._body = None if start is None or opening.header.signed else start + len(opening.start)
        self._sealed = memoryview(bytearray(self._length + FRAME_OVERHEAD + _SPARE))
        self._filled = 0
        self._plain = memoryview(bytearray(self._length))
        self._frame = -1  # Index of the frame whose plaintext is held, and how much that is.
        self._held = 0
        self._next = 0  # Index of the frame that the sealed buffer, and behind it the file, goes on with.
        self._size: int | None = None  # Known once the final frame was authenticated, as is `extent`.
        self.extent = (0, 0)  # The number of frames, and the size of the message.
        self._position = 0
        self._lock = RLock()  # While one thread decrypts a frame, none may see what is not authenticated yet.
        self.context: Mapping[str, str] = MappingProxyType(dict(opening.header.context))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._body is not None

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place in the plaintext. The end is believed only after the final frame was authenticated."""
        with self._lock:
            self._check_open()
            if self._body is None:
                raise io.UnsupportedOperation("a signed message, or one from a pipe, cannot seek")
            if whence == io.SEEK_END:
                offset += self._total()
            elif whence == io.SEEK_CUR:
                offset += self._position
            elif whence != io.SEEK_SET:
                raise ValueError(f"whence: 0, 1 or 2 expected, not {whence}")
            if offset < 0:
                raise ValueError("seek before the start")
            self._position = offset
            return offset

    def _total(self) -> int:
        if self._size is None:
            self._load(MAX_FRAMES)  # Beyond any message's end, so it finds the final frame.
        if self._size is None:
            raise InvalidCiphertextError("the envelope's final frame is not there", hint="was it stored whole?")
        return self._size

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes, or all that is left."""
        with self._lock:
            self._check_open()
            if size is None or size < 0:
                return b"".join(iter(self.read1, b""))
            parts = []
            while size and (part := self.read1(size)):
                parts.append(part)
                size -= len(part)
            return b"".join(parts)

    def read1(self, size: int = -1, /) -> bytes:
        """At most the rest of one frame."""
        with self._lock:
            part = self._at(self._position)
            data = bytes(part if size < 0 else part[:size])
            self._position += len(data)
            return data

    def peek(self, size: int = 0, /) -> bytes:
        """Some of what comes next, without going on."""
        with self._lock:
            return bytes(self._at(self._position)[: max(size, io.DEFAULT_BUFFER_SIZE)])

    def readline(self, size: int | None = -1, /) -> bytes:
        """Up to the end of the line. What IOBase has would go byte by byte, or with `peek` beyond `size`."""
        left = sys.maxsize if size is None or size < 0 else size
        parts: list[bytes] = []
        with self._lock:
            while left and not (parts and parts[-1].endswith(b"\n")) and (part := self.peek()[:left]):
                parts.append(self.read1(part.find(b"\n") + 1 or len(part)))
                left -= len(parts[-1])
        return b"".join(parts)

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer, as far as the message goes."""
        target = memoryview(buffer).cast("B")
        done = 0
        with self._lock:
            self._check_open()
            while done < len(target) and (part := self._at(self._position)):
                part = part[: len(target) - done]
                target[done : done + len(part)] = part
                done += len(part)
                self._position += len(part)
        return done

    def frames(self) -> Iterator[memoryview]:
        """The plaintext from here on, a frame at a time, each valid until the next one is asked for; for one thread."""
        while part := self._at(self._position):
            self._position += len(part)
            yield part

    def _at(self, position: int) -> memoryview:
        """The plaintext that is held from `position` to the end of its frame; empty at the message's end."""
        self._check_open()
        index, offset = divmod(position, self._length)
        if index != self._frame and (self._size is None or position < self._size):
            self._load(index)
        if index != self._frame or (self._size is not None and position >= self._size):
            return self._plain[:0]
        return self._plain[offset : self._held]

    def _load(self, index: int) -> None:
        """Decrypt a frame into the plain buffer: the one asked for, or the final one if the message ends before."""
        if index != self._next:
            if self._body is None:
                raise io.UnsupportedOperation("a signed message, or one from a pipe, is read in order")
            final, _ = split_body(self._raw.seek(0, io.SEEK_END) - self._body, self._length)
            index = min(index, final)
            self._raw.seek(self._body + index * (self._length + FRAME_OVERHEAD))
            self._filled, self._next = 0, index
        self._filled += fill(self._raw, self._sealed[self._filled :])
        self._frame = -1  # Whatever fails from here on leaves nothing to be read.
        if bytes(self._sealed[:4]) == FINAL_MARK:
            self._open_final(index)
        else:
            self._open_regular(index)
        self._frame = index

    def _open_regular(self, index: int) -> None:
        size = self._length + FRAME_OVERHEAD
        if self._filled < size:
            raise InvalidCiphertextError("the envelope is cut short", hint="was it stored whole?")
        frame = self._sealed[:size]
        self._held = self._opening.key.open(index + 1, frame, self._plain)
        self._opening.seen(frame)
        rest = self._filled - size
        self._sealed[:rest] = bytes(self._sealed[size : self._filled])
        self._filled, self._next = rest, index + 1

    def _open_final(self, index: int) -> None:
        length = int.from_bytes(self._sealed[20:24]) if self._filled >= FINAL_OVERHEAD else self._length + 1
        end = FINAL_OVERHEAD + length
        if length > self._length or end > self._filled:
            raise InvalidCiphertextError("the envelope's final frame is cut short", hint="was it stored whole?")
        frame = self._sealed[:end]
        held = self._opening.key.open_final(index + 1, frame, self._plain)
        try:
            self._opening.seen(frame)
            self._opening.check_footer(self._sealed[end : self._filled])
        except InvalidCiphertextError:
            self._plain[:held] = bytes(held)
            raise
        self._held = held
        self._size = index * self._length + held
        self.extent = (index + 1, len(self.start) + index * (self._length + FRAME_OVERHEAD) + self._filled)
        self._next = -1

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("read of a closed envelope")

    def close(self) -> None:
        with self._lock:
            if not self.closed:
                super().close()
                self._plain[:] = bytes(self._length)
                self._finish()


def _nothing(*_: object) -> None:
    """The end of a message in a file that is not ours to close."""


def write_all(raw: IO[bytes], data: memoryview) -> None:
    """Raw files may take only a part, and None means two things: nothing of it, or that a file does not count."""
    while len(data):
        written = raw.write(data)
        if written is None and isinstance(raw, io.RawIOBase):
            raise _would_block()
        data = data[len(data) if written is None else written :]


def fill(raw: IO[bytes], buffer: memoryview) -> int:
    """Read until the buffer is full or the file is at its end; how many bytes that were."""
    filled = 0
    readinto = getattr(raw, "readinto", None) or partial(_readinto, raw)
    while filled < len(buffer):
        count = readinto(buffer[filled:])
        if count is None:
            raise _would_block()
        if not count:
            break
        filled += count
    return filled


def _readinto(raw: IO[bytes], space: memoryview) -> int | None:
    """For files that can only `read`."""
    data: bytes | None = raw.read(len(space))
    if data is None:
        return None
    space[: len(data)] = data
    return len(data)


def _would_block() -> BlockingIOError:
    return BlockingIOError(errno.EAGAIN, "the file does not wait; an envelope needs one that does")


def seal_to(
    raw: IO[bytes], keys: Iterable[EnvelopeKey], *, finish: Callable[[bool], object] = _nothing, **arguments: Any
) -> EnvelopeWriter:
    """A writer of a message into `raw`; `finish` is called at the end with whether the message is complete."""
    return EnvelopeWriter(Sealing(keys, **arguments), raw, finish)


def open_from(
    raw: IO[bytes], keys: Iterable[EnvelopeKey], *, finish: Callable[[], object] = _nothing, **arguments: Any
) -> EnvelopeReader:
    """A reader of the message that begins where `raw` is; `finish` is called when it is closed."""
    start = raw.tell() if getattr(raw, "seekable", bool)() else None

    def take(size: int) -> bytes:
        data = bytearray(size)
        return bytes(data[: fill(raw, memoryview(data))])

    return EnvelopeReader(Opening(take, keys, **arguments), raw, start, finish)
