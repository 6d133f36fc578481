"""From file to file: whole or not at all, in constant memory."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, overload

from kmskit.envelope.cache import DataKeyCache
from kmskit.envelope.info import EnvelopeInfo, of_writing
from kmskit.envelope.message import FRAME_LENGTH, Sealing
from kmskit.envelope.recipients import EnvelopeKey
from kmskit.envelope.stream import EnvelopeReader, EnvelopeWriter, fill, open_from, seal_to, write_all
from kmskit.envelope.suite import FINAL_OVERHEAD
from kmskit.errors import AlreadyExistsError, ServiceUnavailableError
from kmskit.progress import Progress, track

__all__ = ["decrypt_file", "encrypt_file", "open_envelope", "reencrypt_file", "replacing"]

_Path = str | os.PathLike[str]


def encrypt_file(
    src: _Path,
    dst: _Path,
    keys: Iterable[EnvelopeKey],
    *,
    context: Mapping[str, str] | None = None,
    signed: bool = False,
    frame_length: int = FRAME_LENGTH,
    cache: DataKeyCache | None = None,
    progress: Progress = False,
    overwrite: bool = False,
) -> EnvelopeInfo:
    """Encrypt a file into another.

    `dst` appears when it is complete, and not before: a crash, a full disk or Ctrl-C leave no file, or the old one.

    Args:
        src, dst: paths.
        keys, context, signed, frame_length, cache: as for `envelope.encrypt`.
        progress: True for a progress bar, or a function `(done, total)` of bytes.
        overwrite: replace `dst` if it is there.

    Raises:
        AlreadyExistsError: `dst` is there.
        ServiceUnavailableError: `src` changed its size meanwhile; or as for `envelope.encrypt`.
        OSError: a file cannot be read or written.
    """
    with open(src, "rb", buffering=0) as source, replacing(dst, overwrite) as target:
        status = os.fstat(source.fileno())
        size = status.st_size if stat.S_ISREG(status.st_mode) else None  # A pipe's is not known.
        sealing = Sealing(keys, context=context, signed=signed, frame_length=frame_length, cache=cache, size=size)
        with track(progress, size or 0, "B") as advance:
            done = _seal_file(sealing, source, target, advance)
        if size is not None and not done == size == os.fstat(source.fileno()).st_size:
            raise ServiceUnavailableError(
                f"the source had {size:,} bytes, and {done:,} were read: it changed meanwhile",
                hint="try again when nobody writes to it",
            )
    return of_writing(sealing.header, sealing.start, done)


def _seal_file(sealing: Sealing, source: io.FileIO, target: IO[bytes], advance: Callable[[int], object]) -> int:
    """Read one frame ahead, so that the last one is known as such and no frame is copied."""
    length = sealing.header.frame_length
    current, following = memoryview(bytearray(length)), memoryview(bytearray(length))
    sealed = memoryview(bytearray(length + FINAL_OVERHEAD))
    done, sequence = 0, 1

    def emit(size: int) -> None:
        sealing.written(sealed[:size])
        write_all(target, sealed[:size])

    write_all(target, memoryview(sealing.start))
    held = fill(source, current)
    while held == length and (more := fill(source, following)):
        emit(sealing.key.seal(sequence, current, sealed))
        advance(held)
        done += held
        sequence += 1
        current, following, held = following, current, more
    emit(sealing.key.seal_final(sequence, current[:held], sealed))
    write_all(target, memoryview(sealing.footer()))
    advance(held)
    return done + held


def decrypt_file(
    src: _Path,
    dst: _Path,
    keys: Iterable[EnvelopeKey],
    *,
    require_context: Mapping[str, str] | None = None,
    require_signed: bool = False,
    progress: Progress = False,
    overwrite: bool = False,
) -> EnvelopeInfo:
    """Decrypt a file into another. `dst` appears when the whole message was authenticated, and not before.

    Args:
        src, dst: paths.
        keys, require_context, require_signed: as for `envelope.decrypt`.
        progress, overwrite: as for `encrypt_file`.

    Raises:
        AlreadyExistsError: `dst` is there.
        InvalidCiphertextError and others: as for `envelope.decrypt`.
        OSError: a file cannot be read or written.
    """
    with (
        open(src, "rb", buffering=0) as source,
        replacing(dst, overwrite) as target,
        open_from(source, keys, require_context=require_context, require_signed=require_signed) as reader,
        track(progress, os.fstat(source.fileno()).st_size, "B") as advance,
    ):
        for frame in reader.frames():
            write_all(target, frame)
            advance(len(frame))
        frames, size = reader.extent
        advance(size - reader.tell())  # The header and what each frame adds, so that the whole message was counted.
        return EnvelopeInfo(reader.header, reader.start, frames, reader.tell(), size, True)


def reencrypt_file(
    src: _Path,
    dst: _Path,
    keys: Iterable[EnvelopeKey],
    new_keys: Iterable[EnvelopeKey],
    *,
    context: Mapping[str, str] | None = None,
    signed: bool | None = None,
    frame_length: int | None = None,
    require_context: Mapping[str, str] | None = None,
    require_signed: bool = False,
    progress: Progress = False,
    overwrite: bool = False,
) -> EnvelopeInfo:
    """Decrypt a message and encrypt it anew for other keys, frame by frame: no plaintext touches the disk.

    The body is encrypted under a new data key. To wrap the old one again would leave everyone who ever had it able to
    read what is written now.

    Args:
        src, dst: paths; they may be the same with `overwrite=True`.
        keys: open the old message.
        new_keys: the recipients of the new one.
        context, signed, frame_length: of the new message; as in the old one if left out.
        require_context, require_signed: of the old message.
        progress, overwrite: as for `encrypt_file`.

    Raises:
        as `encrypt_file` and `decrypt_file`.
    """
    with (
        open(src, "rb", buffering=0) as source,
        open_from(source, keys, require_context=require_context, require_signed=require_signed) as reader,
    ):
        old = reader.header
        with replacing(dst, overwrite) as target:
            writer = seal_to(
                target,
                new_keys,
                context=old.own_context if context is None else context,
                signed=old.signed if signed is None else signed,
                frame_length=old.frame_length if frame_length is None else frame_length,
            )
            total = os.fstat(source.fileno()).st_size
            with writer, track(progress, total, "B") as advance:
                for frame in reader.frames():
                    writer.write(frame)
                    advance(len(frame))
                advance(reader.extent[1] - reader.tell())
            return of_writing(writer.header, writer.start, writer.tell())


@overload
def open_envelope(
    file: _Path | IO[bytes], mode: Literal["rb"], keys: Iterable[EnvelopeKey], **arguments: Any
) -> EnvelopeReader: ...
@overload
def open_envelope(
    file: _Path | IO[bytes], mode: Literal["wb"], keys: Iterable[EnvelopeKey], **arguments: Any
) -> EnvelopeWriter: ...
def open_envelope(
    file: _Path | IO[bytes], mode: str, keys: Iterable[EnvelopeKey], **arguments: Any
) -> EnvelopeReader | EnvelopeWriter:
    """An envelope as a binary file, in constant memory.

    Args:
        file: a path, or a binary file, which is left open. A path that is written appears when the writer was closed.
        mode: `rb` or `wb`.
        keys: as for `decrypt` or `encrypt`.
        **arguments: for `rb` `require_context=` and `require_signed=`; for `wb` `context=`, `signed=`, `frame_length=`
            and, for a path, `overwrite=`.

    Returns:
        an io.BufferedIOBase with `.context`. An unsigned message in a file that can seek is seekable when read: a range
        decrypts only the frames it touches.
    """
    if mode not in ("rb", "wb"):
        raise ValueError(f"mode: 'rb' or 'wb' expected, not {mode!r}")
    if not isinstance(file, str | os.PathLike):
        if mode == "rb":
            return open_from(file, keys, **arguments)
        return seal_to(file, keys, **arguments)
    if mode == "rb":
        raw = open(file, "rb", buffering=0)  # noqa: SIM115  # The reader closes it.
        try:
            return open_from(raw, keys, finish=raw.close, **arguments)
        except BaseException:
            raw.close()
            raise
    overwrite = arguments.pop("overwrite", False)
    replacement = replacing(file, overwrite)
    target = replacement.__enter__()

    def finish(complete: bool) -> None:
        failure = None if complete else _AbandonedError()
        with suppress(_AbandonedError):
            replacement.__exit__(type(failure) if failure else None, failure, None)

    try:
        return seal_to(target, keys, finish=finish, **arguments)
    except BaseException:
        finish(False)
        raise


class _AbandonedError(Exception):
    """Tells `replacing` that the file is not complete."""


@contextmanager
def replacing(path: _Path, overwrite: bool) -> Iterator[BinaryIO]:
    """A file that takes its name only at the end of the block, and disappears if the block fails.

    Where the system can (O_TMPFILE), it has no name until then, so that not even kill -9 leaves something behind.
    """
    target = Path(path)
    if not overwrite and target.exists():
        raise _exists(target)
    aside = target.with_name(f".kmskit-{os.urandom(6).hex()}.tmp")  # Not the whole name again: that may be too long.
    file, nameless = _create(target.parent, aside)
    try:
        with file:
            yield file
            if overwrite:
                os.fsync(file.fileno())  # Else a power failure could leave neither the old file nor the new one.
            if nameless:
                _link(file, aside if overwrite else target)
        if overwrite:
            os.replace(aside, target)
        elif not nameless:
            _link(aside, target)
    finally:
        with suppress(FileNotFoundError):
            aside.unlink()


def _create(folder: Path, aside: Path) -> tuple[BinaryIO, bool]:
    if hasattr(os, "O_TMPFILE") and Path("/proc/self/fd").is_dir():
        with suppress(OSError):  # Not every file system has it; the named file then says what is wrong, if anything.
            return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666), "wb", buffering=0), True
    return open(aside, "xb", buffering=0), False


def _link(file: BinaryIO | Path, name: Path) -> None:
    """Give a file a name. Unlike a rename this fails if someone was faster."""
    try:
        if isinstance(file, Path):
            os.link(file, name)
        else:
            # Naming src_dir_fd, which an absolute path does not need, makes Python call linkat, which follows the link.
            os.link(f"/proc/self/fd/{file.fileno()}", name, src_dir_fd=file.fileno())
    except FileExistsError:
        raise _exists(name) from None
    except OSError as error:
        # FAT, as on a memory stick, has no second names; between the look and the rename someone could be faster.
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP) or not isinstance(file, Path):
            raise
        if name.exists():
            raise _exists(name) from None
        file.rename(name)


def _exists(path: Path) -> AlreadyExistsError:
    return AlreadyExistsError(f"the file {path.name!r} is there already", hint="pass overwrite=True to replace it")
