"""Envelopes as files: a reader that behaves as any binary file does, and a writer that never seals two frames alike."""

from __future__ import annotations

import csv
import fcntl
import gc
import io
import os
import random
import shutil
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kmskit
from kmskit import InvalidCiphertextError, LimitExceededError, envelope
from kmskit.envelope import EnvelopeReader, RawAesKey
from kmskit.envelope.header import FOOTER_SIZE
from kmskit.envelope.suite import FRAME_OVERHEAD

LENGTH = 32
MINE = RawAesKey("partner", "shared", bytes(range(32)))
CONTEXT = {"table": "orders"}
DATA = random.Random(5).randbytes(10_000)


def message_of(data: bytes, **arguments: Any) -> bytes:
    return envelope.encrypt(data, [MINE], **{"frame_length": LENGTH, "context": CONTEXT, **arguments})


def reader_of(data: bytes, **arguments: Any) -> EnvelopeReader:
    return envelope.open(io.BytesIO(message_of(data, **arguments)), "rb", [MINE])


class Counting(io.BytesIO):
    """Knows how many bytes were read from it."""

    taken = 0

    def readinto(self, buffer: Any, /) -> int:
        count = super().readinto(buffer)
        self.taken += count
        return count


# Reading


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["read", "read1", "readinto", "readline", "peek"]), st.integers(-1, 100)),
        st.tuples(st.just("seek"), st.integers(0, 250), st.just(0)),
        st.tuples(st.just("seek"), st.integers(-40, 40), st.just(1)),
        st.tuples(st.just("seek"), st.integers(-150, 20), st.just(2)),
        st.just(("tell",)),
    ),
    max_size=30,
)


def done(file: Any, step: tuple[Any, ...]) -> object:
    """What a step on a file gives."""
    name, *arguments = step
    if name == "readinto":
        buffer = bytearray(max(0, arguments[0]))
        return file.readinto(buffer), buffer
    if name == "seek" and file.tell() + arguments[0] < 0 and arguments[1] == 1:
        return "not tried"  # A BytesIO goes to 0 there; other files refuse.
    if name == "seek" and arguments[1] == 2 and arguments[0] < -100:
        arguments[0] = 0
    return getattr(file, name)(*arguments)


@given(st.binary(min_size=100, max_size=200), STEPS)
def test_it_reads_as_any_other_file(data: bytes, steps: list[tuple[Any, ...]]) -> None:
    reference = io.BytesIO(data)
    with reader_of(data) as file:
        for step in steps:
            if step[0] == "peek":
                peeked = file.peek(step[1])
                assert data[file.tell() :].startswith(peeked)
                assert bool(peeked) == (file.tell() < len(data))
            elif step[0] == "read1":
                size = LENGTH if step[1] < 0 else step[1]
                part = file.read1(step[1])
                assert part == reference.read(len(part))
                assert len(part) <= size
                assert part or not size or reference.tell() >= len(data)
            else:
                assert done(file, step) == done(reference, step)
            assert file.tell() == reference.tell()


def test_a_range_decrypts_only_the_frames_that_it_touches() -> None:
    source = Counting(message_of(DATA))
    with envelope.open(source, "rb", [MINE]) as file:
        source.taken = 0
        file.seek(5000)
        assert file.read(40) == DATA[5000:5040]
        assert source.taken < 5 * (LENGTH + FRAME_OVERHEAD) + FOOTER_SIZE
        before = source.taken
        assert file.seek(0, io.SEEK_END) == len(DATA)
        assert source.taken - before < 2 * (LENGTH + FRAME_OVERHEAD)


def test_a_broken_frame_costs_only_itself() -> None:
    message = bytearray(message_of(DATA))
    message[len(message) // 2] ^= 1
    with envelope.open(io.BytesIO(message), "rb", [MINE]) as file:
        assert file.read(1000) == DATA[:1000]
        with pytest.raises(InvalidCiphertextError, match="does not open"):
            file.read()
        file.seek(-1000, io.SEEK_END)
        assert file.read() == DATA[-1000:]
        file.seek(0)
        assert file.read(1000) == DATA[:1000]


def test_the_end_is_not_believed_before_it_is_authenticated() -> None:
    message = message_of(DATA)
    info = envelope.inspect(message)
    for frames in (0, 1, 100, info.frames - 1):
        cut = message[: info.header_size + frames * (LENGTH + FRAME_OVERHEAD)]
        for rest in (b"", b"\xff" * 20, message[-40:]):
            with (
                envelope.open(io.BytesIO(cut + rest), "rb", [MINE]) as file,
                pytest.raises(InvalidCiphertextError),
            ):
                file.seek(0, io.SEEK_END)


def test_a_message_may_begin_in_the_middle_of_a_file() -> None:
    source = io.BytesIO(b"before" + message_of(DATA))
    source.seek(6)
    with envelope.open(source, "rb", [MINE]) as file:
        assert file.read(100) == DATA[:100]
        file.seek(-7, io.SEEK_END)
        assert file.read() == DATA[-7:]
    assert not source.closed


def test_it_knows_the_context_and_its_capabilities() -> None:
    with reader_of(DATA) as file:
        assert file.context == CONTEXT
        with pytest.raises(TypeError):
            file.context["table"] = "others"  # type: ignore[index]
        assert (file.readable(), file.seekable(), file.writable(), file.isatty()) == (True, True, False, False)
        with pytest.raises(io.UnsupportedOperation):
            file.write(b"x")
        with pytest.raises(io.UnsupportedOperation):
            file.fileno()
        for whence in (3, -1):
            with pytest.raises(ValueError, match="whence"):
                file.seek(0, whence)
        for place in ((-1, 0), (-1, 1), (-len(DATA) - 1, 2)):
            with pytest.raises(ValueError, match="before the start"):
                file.seek(*place)


def test_a_signed_message_is_read_in_order() -> None:
    with reader_of(DATA, signed=True) as file:
        assert not file.seekable()
        assert file.read(100) == DATA[:100]
        for call in (lambda: file.seek(0), lambda: file.seek(0, io.SEEK_END)):
            with pytest.raises(io.UnsupportedOperation, match="signed"):
                call()
        assert file.read() == DATA[100:]
        assert file.read() == b""


@pytest.mark.parametrize("size", [10, LENGTH, 3 * LENGTH, 3 * LENGTH + 1])
def test_the_end_of_a_signed_message_is_held_back_until_the_signature_verifies(size: int) -> None:
    message = bytearray(message_of(DATA[:size], signed=True))
    message[-1] ^= 1
    with envelope.open(io.BytesIO(message), "rb", [MINE]) as file:
        before = (size - 1) // LENGTH * LENGTH
        assert file.read(before) == DATA[:before]
        with pytest.raises(InvalidCiphertextError, match="signature"):
            file.read1()
        assert not any(file._plain[: size - before])


@pytest.mark.parametrize("signed", [False, True])
def test_a_closed_reader_refuses_and_holds_nothing(*, signed: bool) -> None:
    file = reader_of(b"4111-1111-1111-1111", signed=signed)
    file.read(4)
    held = file._plain
    file.close()
    file.close()
    assert file.closed
    assert not any(held)
    calls: list[Callable[[], object]] = [
        file.read,
        lambda: file.read(0),
        file.read1,
        file.peek,
        file.readline,
        lambda: file.seek(0),
        lambda: file.readinto(bytearray(1)),
        lambda: next(iter(file)),
        file.__enter__,
    ]
    for call in calls:
        with pytest.raises(ValueError, match="closed"):
            call()


def test_a_failed_reader_opens_nothing_for_good(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(message_of(DATA)[:60])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(InvalidCiphertextError):
            envelope.open(tmp_path / "bad", "rb", [MINE])
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(FileNotFoundError):
        envelope.open(tmp_path / "none", "rb", [MINE])


def test_threads_that_share_a_reader_see_only_authenticated_plaintext() -> None:
    # Frames long enough that they are decrypted without the interpreter's lock, and every second one broken.
    length, frames = 1 << 15, 16
    data = b"".join(bytes([number]) * length for number in range(frames))
    message = bytearray(message_of(data, frame_length=length))
    start = envelope.inspect(message).header_size
    for number in range(1, frames, 2):
        message[start + (number + 1) * (length + FRAME_OVERHEAD) - 1 - (number == frames - 1)] ^= 1
    file = envelope.open(io.BytesIO(message), "rb", [MINE])
    stop = threading.Event()

    def load(number: int) -> set[int]:
        seen: set[int] = set()
        while not stop.is_set():
            with suppress(InvalidCiphertextError):
                file.seek((number % frames) * length)
                seen |= set(file.read1())
            number += 1
        return seen

    with ThreadPoolExecutor(4) as threads:
        loads = [threads.submit(load, number) for number in range(4)]
        threading.Timer(0.5, stop.set).start()
        seen = set().union(*(one.result() for one in loads))
    assert seen == set(range(0, frames, 2))


# Other people's readers


def test_text_is_read_and_written_through_it() -> None:
    text = "".join(f"{number};Größe\n" for number in range(500))
    out = io.BytesIO()
    writer = envelope.open(out, "wb", [MINE], frame_length=LENGTH)
    with io.TextIOWrapper(writer, encoding="utf-8", newline="") as file:
        file.write(text)
    with envelope.open(io.BytesIO(out.getvalue()), "rb", [MINE]) as raw:
        file = io.TextIOWrapper(raw, encoding="utf-8", newline="")
        assert file.readline() == "0;Größe\n"
        place = file.tell()
        assert list(csv.reader(file, delimiter=";"))[-1] == ["499", "Größe"]
        file.seek(place)
        assert file.read() == text[len("0;Größe\n") :]


def test_lines_are_read() -> None:
    data = b"".join(b"x" * (number % 70) + b"\n" for number in range(400)) + b"last"
    with reader_of(data) as file:
        assert list(file) == io.BytesIO(data).readlines()
    with reader_of(data, signed=True) as file:
        assert file.readlines() == io.BytesIO(data).readlines()


def test_a_buffered_reader_reads_through_it() -> None:
    with reader_of(DATA) as raw:
        file = io.BufferedReader(raw)  # type: ignore[type-var]
        assert file.read(7) == DATA[:7]
        assert file.peek(1).startswith(DATA[7:20])
        file.seek(-100, io.SEEK_END)
        assert file.read() == DATA[-100:]


def test_pandas_reads_a_table() -> None:
    table = pandas.DataFrame({"number": range(300), "name": [f"n{number}" for number in range(300)]})
    with reader_of(table.to_csv(index=False).encode()) as file:
        pandas.testing.assert_frame_equal(pandas.read_csv(file), table)


@pytest.mark.parametrize("signed", [False, True])
def test_an_archive_is_written_and_read(tmp_path: Path, *, signed: bool) -> None:
    path = tmp_path / "archive.zip.enc"
    with (
        envelope.open(path, "wb", [MINE], signed=signed, frame_length=LENGTH) as writer,
        zipfile.ZipFile(writer, "w") as archive,  # type: ignore[arg-type]
    ):
        archive.writestr("one", DATA)
        archive.writestr("two", b"two")
    with envelope.open(path, "rb", [MINE]) as reader:
        source = io.BytesIO(reader.read()) if signed else reader
        with zipfile.ZipFile(source) as archive:
            assert archive.testzip() is None
            assert archive.read("two") == b"two"


def test_copyfileobj_copies_it() -> None:
    out, back = io.BytesIO(), io.BytesIO()
    with envelope.open(out, "wb", [MINE], frame_length=LENGTH) as writer:
        shutil.copyfileobj(io.BytesIO(DATA), writer, 1000)
    with envelope.open(io.BytesIO(out.getvalue()), "rb", [MINE]) as reader:
        shutil.copyfileobj(reader, back, 777)
    assert back.getvalue() == DATA


# Writing


@given(st.lists(st.binary(max_size=100), max_size=12), st.booleans(), st.sampled_from([1, 7, LENGTH, 100]))
def test_any_chunks_make_the_same_message(chunks: list[bytes], signed: bool, length: int) -> None:
    out = io.BytesIO()
    data = b"".join(chunks)
    with envelope.open(out, "wb", [MINE], signed=signed, frame_length=length, context=CONTEXT) as writer:
        written = 0
        for chunk in chunks:
            assert writer.write(chunk) == len(chunk)
            written += len(chunk)
            assert writer.tell() == written
        assert writer.context == writer.header.context
    message = out.getvalue()
    assert len(message) == envelope.encrypted_size(
        len(data), [MINE], context=CONTEXT, signed=signed, frame_length=length
    )
    assert envelope.decrypt(message, [MINE], require_context=CONTEXT, require_signed=signed) == data


@pytest.mark.parametrize("chunk", [1, LENGTH - 1, LENGTH, LENGTH + 1, 3 * LENGTH, len(DATA)])
def test_chunks_of_one_size(chunk: int) -> None:
    out = io.BytesIO()
    with envelope.open(out, "wb", [MINE], frame_length=LENGTH) as writer:
        for at in range(0, len(DATA), chunk):
            writer.write(memoryview(DATA)[at : at + chunk])
    assert envelope.decrypt(out.getvalue(), [MINE]) == DATA


def test_nothing_written_is_an_empty_message() -> None:
    out = io.BytesIO()
    envelope.open(out, "wb", [MINE]).close()
    assert envelope.decrypt(out.getvalue(), [MINE]) == b""
    assert not out.closed


@pytest.mark.parametrize("signed", [False, True])
def test_it_goes_through_a_pipe(*, signed: bool) -> None:
    reading, writing = os.pipe()
    data = DATA * 50

    def send() -> None:
        with (
            os.fdopen(writing, "wb", buffering=0) as pipe,
            envelope.open(pipe, "wb", [MINE], signed=signed, frame_length=4096) as writer,
        ):
            writer.write(data)

    thread = threading.Thread(target=send)
    thread.start()
    with os.fdopen(reading, "rb", buffering=0) as pipe, envelope.open(pipe, "rb", [MINE]) as file:
        assert not file.seekable()
        with pytest.raises(io.UnsupportedOperation, match="pipe"):
            file.seek(0)
        assert file.read(10) == data[:10]
        assert file.read() == data[10:]
    thread.join()


def test_a_file_that_can_only_read_and_write_is_enough() -> None:
    class Plain:
        def __init__(self, data: bytes = b"") -> None:
            self.held = io.BytesIO(data)

        def read(self, size: int) -> bytes:
            return self.held.read(min(size, 9))

        def write(self, data: Any) -> None:
            self.held.write(data)

    sink: Any = Plain()
    with envelope.open(sink, "wb", [MINE], frame_length=LENGTH) as writer:
        writer.write(DATA)
    source: Any = Plain(sink.held.getvalue())
    with envelope.open(source, "rb", [MINE]) as file:
        assert not file.seekable()
        assert file.read() == DATA


def test_a_file_that_does_not_wait_is_neither_taken_for_cut_nor_written_in_part() -> None:
    reading, writing = os.pipe()
    for end in (reading, writing):
        fcntl.fcntl(end, fcntl.F_SETFL, os.O_NONBLOCK)
    with os.fdopen(reading, "rb", buffering=0) as source, os.fdopen(writing, "wb", buffering=0) as sink:
        with pytest.raises(BlockingIOError):
            envelope.open(source, "rb", [MINE])
        with pytest.raises(BlockingIOError), envelope.open(sink, "wb", [MINE], frame_length=1 << 20) as writer:
            writer.write(bytes(3 << 20))


# Abandoning


class MyError(Exception):
    pass


def refused(message: bytes) -> None:
    for read in (
        lambda: envelope.decrypt(message, [MINE]),
        lambda: envelope.open(io.BytesIO(message), "rb", [MINE]).read(),
    ):
        with pytest.raises(InvalidCiphertextError):
            read()


@pytest.mark.parametrize("size", [0, 1, LENGTH, 5 * LENGTH])
def test_a_writer_left_by_an_exception_leaves_no_message(size: int) -> None:
    out = io.BytesIO()
    writer = envelope.open(out, "wb", [MINE], frame_length=LENGTH)

    def fail() -> None:
        with writer:
            writer.write(bytes(size))
            raise MyError

    with pytest.raises(MyError):
        fail()
    assert writer.closed
    refused(out.getvalue())


def test_a_forgotten_writer_leaves_no_message() -> None:
    out = io.BytesIO()
    writer = envelope.open(out, "wb", [MINE], frame_length=LENGTH)
    writer.write(DATA)
    del writer
    gc.collect()
    refused(out.getvalue())


def test_a_closed_writer_refuses() -> None:
    out = io.BytesIO()
    writer = envelope.open(out, "wb", [MINE])
    writer.write(b"4111-1111")
    plain = writer._plain
    writer.close()
    writer.close()
    assert not any(plain)
    size = len(out.getvalue())
    for call in (lambda: writer.write(b"x"), writer.flush, writer.__enter__):
        with pytest.raises(ValueError, match="closed"):
            call()
    writer.abandon()
    assert len(out.getvalue()) == size
    assert envelope.decrypt(out.getvalue(), [MINE]) == b"4111-1111"


class Full(io.RawIOBase):
    """A disk with little room, that later has more."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        taken = min(len(data), self.room)
        if not taken:
            raise OSError(28, "No space left on device")
        self.held += data[:taken]
        self.room -= taken
        return taken


@pytest.mark.parametrize("room", [600, 1000])
def test_after_a_failed_write_nothing_more_is_sealed(room: int) -> None:
    # The bytes of a frame may be out already: to seal other bytes under its iv would show both (and the tags' key).
    disk = Full(room)
    writer = envelope.open(disk, "wb", [MINE], frame_length=LENGTH)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="No space"):
        writer.write(DATA)
    disk.room = 10**6
    held = bytes(disk.held)
    for call in (lambda: writer.write(b"other plaintext"), writer.flush):
        with pytest.raises(ValueError, match="closed"):
            call()
    writer.close()
    assert disk.held == held
    refused(held)


def test_a_disk_that_is_full_at_the_end_leaves_no_message() -> None:
    size = envelope.encrypted_size(100, [MINE], frame_length=LENGTH)
    disk = Full(size - 1)
    writer = envelope.open(disk, "wb", [MINE], frame_length=LENGTH)  # type: ignore[arg-type]
    writer.write(bytes(100))
    with pytest.raises(OSError, match="No space"):
        writer.close()
    assert writer.closed
    refused(bytes(disk.held))


def test_threads_that_share_a_writer_never_seal_two_frames_under_one_number() -> None:
    # Long enough that they are encrypted without the interpreter's lock.
    length, out = 1 << 18, io.BytesIO()
    with envelope.open(out, "wb", [MINE], frame_length=length // 2) as writer:
        chunks = [bytes([number]) * length for number in range(64)]
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(writer.write, chunks))
    data = envelope.decrypt(out.getvalue(), [MINE])
    assert sorted(data[at : at + length] for at in range(0, len(data), length)) == chunks


def test_64_tebibytes_are_the_most() -> None:
    out = io.BytesIO()
    writer = envelope.open(out, "wb", [MINE], frame_length=1 << 16)
    writer._sequence = (1 << 30) - 1
    writer.write(bytes(3 << 15))
    with pytest.raises(LimitExceededError, match="1,073,741,824 frames"):
        writer.write(bytes(1 << 16))
    assert writer.closed


@pytest.mark.parametrize("wrong", ["text", None, 7])
def test_what_is_not_binary_is_a_type_error_and_does_no_harm(wrong: Any) -> None:
    out = io.BytesIO()
    with envelope.open(out, "wb", [MINE]) as writer:
        with pytest.raises(TypeError):
            writer.write(wrong)
        writer.write(b"fine")
    assert envelope.decrypt(out.getvalue(), [MINE]) == b"fine"


@pytest.mark.parametrize("mode", ["r", "w", "rt", "ab", "r+b", "", None])
def test_only_two_modes_are_there(mode: Any) -> None:
    with pytest.raises(ValueError, match="mode"):
        envelope.open(io.BytesIO(), mode, [MINE])


@pytest.mark.parametrize(("mode", "argument"), [("rb", "context"), ("rb", "overwrite"), ("wb", "require_signed")])
def test_arguments_of_the_other_mode_are_refused(tmp_path: Path, mode: Any, argument: str) -> None:
    (tmp_path / "file").write_bytes(message_of(DATA))
    with pytest.raises(TypeError, match=argument):
        envelope.open(
            tmp_path / "file", mode, [MINE], overwrite=True, **{argument: {}}
        ) if mode == "wb" else envelope.open(tmp_path / "file", mode, [MINE], **{argument: {}})
    assert os.listdir(tmp_path) == ["file"]
    assert envelope.decrypt((tmp_path / "file").read_bytes(), [MINE]) == DATA


def test_the_key_is_asked_once_for_a_stream(kms: kmskit.Kms, key: kmskit.Key) -> None:
    out, before = io.BytesIO(), kms.calls
    with envelope.open(out, "wb", [key], frame_length=LENGTH) as writer:
        writer.write(DATA)
    with envelope.open(io.BytesIO(out.getvalue()), "rb", [key]) as file:
        file.read()
    assert kms.calls == before + 2
