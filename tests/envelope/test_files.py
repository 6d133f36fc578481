"""From file to file: whole or not at all, whatever happens meanwhile, in constant memory."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import kmskit
from kmskit import AlreadyExistsError, InvalidCiphertextError, envelope
from kmskit.envelope import RawAesKey
from kmskit.testing import leaks

MINE = RawAesKey("partner", "shared", bytes(range(32)))
NEW = RawAesKey("partner", "next", bytes(32))
CONTEXT = {"table": "orders"}
LENGTH = 4096
SECRET = b"4111-1111-1111-1111\n"
DATA = SECRET * 1000  # Five frames.
MAKE_KEY = 'MINE = RawAesKey("partner", "shared", bytes(range(32)))'


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "sealed"
    path.write_bytes(envelope.encrypt(DATA, [MINE], context=CONTEXT, frame_length=LENGTH))
    return path


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def calls(folder: Path, **more: Any) -> dict[str, Callable[[], Any]]:
    """Each way to make the file `target` out of `source` or `sealed`."""

    def stream() -> None:
        with envelope.open(folder / "target", "wb", [MINE], overwrite=more.get("overwrite", False)) as writer:
            progress = more.get("progress", lambda done, total: None)
            for at in range(0, len(DATA), LENGTH):
                writer.write(DATA[at : at + LENGTH])
                progress(at, len(DATA))

    target = folder / "target"
    return {
        "encrypt": lambda: envelope.encrypt_file(folder / "source", target, [MINE], frame_length=LENGTH, **more),
        "decrypt": lambda: envelope.decrypt_file(folder / "sealed", target, [MINE], **more),
        "reencrypt": lambda: envelope.reencrypt_file(folder / "sealed", target, [MINE], [NEW], **more),
        "stream": stream,
    }


WAYS = ["encrypt", "decrypt", "reencrypt", "stream"]


def content(path: Path) -> bytes:
    """What a file holds, decrypted if it is a message."""
    data = path.read_bytes()
    return data if data == DATA else envelope.decrypt(data, [MINE, NEW])


# What works


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("size", [0, 1, LENGTH - 1, LENGTH, LENGTH + 1, 3 * LENGTH])
def test_files_of_every_size_come_back(tmp_path: Path, key: kmskit.Key, size: int, *, signed: bool) -> None:
    source, there, again, back = (tmp_path / name for name in ("source", "there", "again", "back"))
    source.write_bytes(DATA[:size])
    wrote = envelope.encrypt_file(source, there, [key], context=CONTEXT, signed=signed, frame_length=LENGTH)
    anew = envelope.reencrypt_file(str(there), str(again), [key], [MINE, key])
    read = envelope.decrypt_file(again, back, [MINE], require_context=CONTEXT, require_signed=signed)
    assert back.read_bytes() == DATA[:size]
    assert envelope.decrypt(there.read_bytes(), [key], require_context=CONTEXT) == DATA[:size]
    for info, path in ((wrote, there), (anew, again), (read, again)):
        assert info.authenticated
        unkeyed = envelope.inspect(path)
        assert (info.header, info.length, info.frames, info.size) == (
            unkeyed.header,
            size,
            unkeyed.frames,
            path.stat().st_size,
        )
        assert info.header.own_context == CONTEXT
        assert (info.signed, info.frame_length) == (signed, LENGTH)


def test_reencrypting_makes_the_body_anew(tmp_path: Path, sealed: Path) -> None:
    envelope.reencrypt_file(sealed, tmp_path / "target", [MINE], [MINE], frame_length=1000, context={}, signed=True)
    old, new = envelope.inspect(sealed), envelope.inspect(tmp_path / "target")
    assert old.header.message_id != new.header.message_id
    assert old.recipients != new.recipients
    assert (new.frame_length, new.signed, new.header.own_context) == (1000, True, {})
    one, two = sealed.read_bytes()[old.header_size :], (tmp_path / "target").read_bytes()[new.header_size :]
    assert not any(two[at : at + 32] in one for at in range(0, len(two), 32))  # A frame's start has 16 bytes.


def test_reencrypting_keeps_what_is_not_given(tmp_path: Path, source: Path) -> None:
    envelope.encrypt_file(source, tmp_path / "sealed", [MINE], context=CONTEXT, signed=True, frame_length=LENGTH)
    info = envelope.reencrypt_file(tmp_path / "sealed", tmp_path / "target", [MINE], [NEW])
    assert (info.frame_length, info.signed, info.header.own_context) == (LENGTH, True, CONTEXT)
    assert (
        info.context["aws-crypto-public-key"] != envelope.inspect(tmp_path / "sealed").context["aws-crypto-public-key"]
    )
    with pytest.raises(ValueError, match="frame_length"):
        envelope.reencrypt_file(tmp_path / "sealed", tmp_path / "other", [MINE], [NEW], frame_length=0)


def test_reencrypting_in_place(sealed: Path) -> None:
    with pytest.raises(AlreadyExistsError):
        envelope.reencrypt_file(sealed, sealed, [MINE], [NEW])
    envelope.reencrypt_file(sealed, sealed, [MINE], [NEW], overwrite=True)
    assert envelope.decrypt(sealed.read_bytes(), [NEW], require_context=CONTEXT) == DATA
    with pytest.raises(InvalidCiphertextError):
        envelope.decrypt(sealed.read_bytes(), [MINE])
    assert names(sealed.parent) == ["sealed"]


@pytest.mark.parametrize("way", WAYS)
def test_the_mode_follows_the_umask(tmp_path: Path, source: Path, sealed: Path, way: str) -> None:
    for mask, mode in ((0o077, 0o600), (0o022, 0o644)):
        before = os.umask(mask)
        try:
            calls(tmp_path, overwrite=True)[way]()
        finally:
            os.umask(before)
        assert (tmp_path / "target").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("way", ["encrypt", "decrypt", "reencrypt"])
def test_progress_is_told(tmp_path: Path, source: Path, sealed: Path, way: str) -> None:
    told: list[tuple[int, int]] = []
    calls(tmp_path, progress=lambda done, total: told.append((done, total)))[way]()
    total = (source if way == "encrypt" else sealed).stat().st_size
    frames = [*range(LENGTH, len(DATA), LENGTH), len(DATA)]
    assert told == [(done, total) for done in (frames if way == "encrypt" else [*frames, total])]


def test_a_pipe_is_a_source(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for encrypting, data in ((True, DATA), (False, envelope.encrypt(DATA, [MINE]))):
        writer = threading.Thread(target=pipe.write_bytes, args=(data,))
        writer.start()
        if encrypting:
            envelope.encrypt_file(pipe, tmp_path / "target", [MINE])
        else:
            envelope.decrypt_file(pipe, tmp_path / "target", [MINE], overwrite=True)
        writer.join()
        assert content(tmp_path / "target") == DATA


# What is refused


@pytest.mark.parametrize("way", WAYS)
def test_a_file_is_not_replaced_unless_it_is_said(tmp_path: Path, source: Path, sealed: Path, way: str) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with pytest.raises(AlreadyExistsError, match="'target' is there") as caught:
        calls(tmp_path)[way]()
    assert caught.value.hint == "pass overwrite=True to replace it"
    assert target.read_bytes() == b"old"
    calls(tmp_path, overwrite=True)[way]()
    assert content(target) == DATA
    assert names(tmp_path) == ["sealed", "source", "target"]


@pytest.mark.parametrize("way", WAYS)
def test_who_was_faster_keeps_the_name(tmp_path: Path, source: Path, sealed: Path, way: str) -> None:
    target = tmp_path / "target"

    def steal(done: int, total: int) -> None:
        target.write_bytes(b"someone else's")

    with pytest.raises(AlreadyExistsError, match="'target' is there"):
        calls(tmp_path, progress=steal)[way]()
    assert target.read_bytes() == b"someone else's"
    assert names(tmp_path) == ["sealed", "source", "target"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("change", ["cut", "flipped", "longer", "none"])
def test_a_message_that_does_not_open_leaves_no_file(
    tmp_path: Path, sealed: Path, change: str, *, overwrite: bool
) -> None:
    data = bytearray(sealed.read_bytes())
    changed = {
        "cut": data[:-1],
        "flipped": data[:-100] + bytes([data[-100] ^ 1]) + data[-99:],
        "longer": data + b"x",
        "none": data,
    }[change]
    sealed.write_bytes(changed)
    target = tmp_path / "target"
    if overwrite:
        target.write_bytes(b"old")
    keys = [MINE] if change != "none" else [RawAesKey("partner", "shared", bytes(32))]
    before = names(tmp_path)
    for call in (
        lambda: envelope.decrypt_file(sealed, target, keys, overwrite=overwrite),
        lambda: envelope.reencrypt_file(sealed, target, keys, [NEW], overwrite=overwrite),
    ):
        with pytest.raises(InvalidCiphertextError) as caught:
            call()
        leaks.assert_clean(caught.value, SECRET)
        assert names(tmp_path) == before
        assert not overwrite or target.read_bytes() == b"old"


def test_requirements_hold_for_files(tmp_path: Path, sealed: Path) -> None:
    for wrong in ({"require_context": {"table": "others"}}, {"require_signed": True}):
        arguments: Any = wrong
        for call in (
            lambda arguments=arguments: envelope.decrypt_file(sealed, tmp_path / "target", [MINE], **arguments),
            lambda arguments=arguments: envelope.reencrypt_file(
                sealed, tmp_path / "target", [MINE], [NEW], **arguments
            ),
        ):
            with pytest.raises(InvalidCiphertextError):
                call()
    assert names(tmp_path) == ["sealed"]


@pytest.mark.parametrize("way", ["encrypt", "decrypt", "reencrypt"])
def test_a_key_that_may_not_be_used_leaves_no_file(tmp_path: Path, kms: kmskit.Kms, way: str) -> None:
    key = kms.create_key()
    (tmp_path / "source").write_bytes(DATA)
    (tmp_path / "sealed").write_bytes(envelope.encrypt(DATA, [key]))
    key.disable()
    target = tmp_path / "target"
    call = {
        "encrypt": lambda: envelope.encrypt_file(tmp_path / "source", target, [key]),
        "decrypt": lambda: envelope.decrypt_file(tmp_path / "sealed", target, [key]),
        "reencrypt": lambda: envelope.reencrypt_file(tmp_path / "sealed", target, [key], [MINE]),
    }[way]
    with pytest.raises(kmskit.KeyStateError):
        call()
    assert names(tmp_path) == ["sealed", "source"]


@pytest.mark.parametrize("way", WAYS)
def test_what_the_system_refuses_is_its_error(tmp_path: Path, source: Path, sealed: Path, way: str) -> None:
    gone = tmp_path / "gone"
    if way != "stream":
        with pytest.raises(FileNotFoundError):
            calls(gone)[way]()
    (tmp_path / "target").mkdir()
    with pytest.raises(OSError, match=r"directory|exists"):
        calls(tmp_path, overwrite=True)[way]()
    assert names(tmp_path) == ["sealed", "source", "target"]
    with pytest.raises(FileNotFoundError):
        envelope.encrypt_file(source, gone / "target", [MINE])


@pytest.mark.parametrize("change", ["grows", "shrinks"])
@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_source_that_changes_its_size_is_told(tmp_path: Path, source: Path, change: str, *, at_the_end: bool) -> None:
    def meddle(done: int, total: int) -> None:
        if done >= (total if at_the_end else LENGTH):
            os.truncate(source, len(DATA) + 5 if change == "grows" else 2 * LENGTH)

    with pytest.raises(kmskit.ServiceUnavailableError, match="changed meanwhile") as caught:
        envelope.encrypt_file(source, tmp_path / "target", [MINE], frame_length=LENGTH, progress=meddle)
    assert caught.value.retryable
    assert names(tmp_path) == ["source"]


@pytest.mark.parametrize("way", WAYS)
def test_a_file_system_without_nameless_files_does_as_well(
    tmp_path: Path, source: Path, sealed: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE")  # As on systems other than Linux.
    test_a_file_is_not_replaced_unless_it_is_said(tmp_path, source, sealed, way)
    (tmp_path / "target").unlink()
    test_who_was_faster_keeps_the_name(tmp_path, source, sealed, way)
    (tmp_path / "target").unlink()

    def fail(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calls(tmp_path, progress=fail)[way]()
    assert names(tmp_path) == ["sealed", "source"]


@pytest.mark.parametrize("way", WAYS)
def test_a_file_system_without_second_names_does_as_well(
    tmp_path: Path, source: Path, sealed: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.delattr(os, "O_TMPFILE")  # FAT has neither.
    monkeypatch.setattr(os, "link", refuse)
    calls(tmp_path)[way]()
    assert content(tmp_path / "target") == DATA
    (tmp_path / "target").unlink()

    def steal(done: int, total: int) -> None:
        (tmp_path / "target").write_bytes(b"someone else's")

    with pytest.raises(AlreadyExistsError):
        calls(tmp_path, progress=steal)[way]()
    assert (tmp_path / "target").read_bytes() == b"someone else's"
    assert names(tmp_path) == ["sealed", "source", "target"]


# Interrupted


def started(folder: Path, way: str, *, overwrite: bool) -> subprocess.Popen[str]:
    """A process that stops in the middle of a file, says so, and waits to be ended."""
    code = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.envelope.test_files import calls, LENGTH
def stop(done, total):
    if done >= 2 * LENGTH:
        print("in the middle", flush=True)
        time.sleep(60)
calls(Path({str(folder)!r}), progress=stop, overwrite={overwrite})[{way!r}]()
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "in the middle\n", process.communicate()
    return process


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
@pytest.mark.parametrize("way", WAYS)
def test_an_end_in_the_middle_leaves_no_file_or_the_old_one(
    tmp_path: Path, source: Path, sealed: Path, way: str, end: signal.Signals, *, overwrite: bool
) -> None:
    target = tmp_path / "target"
    if overwrite:
        target.write_bytes(b"old")
    before = names(tmp_path)
    process = started(tmp_path, way, overwrite=overwrite)
    process.send_signal(end)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == -end, errors
    assert names(tmp_path) == before
    assert not overwrite or target.read_bytes() == b"old"
    leaks.assert_clean(errors, SECRET)


@contextmanager
def limited() -> Iterator[None]:
    """No file of this process may grow beyond 8 KiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_may_not_grow_leaves_no_file_or_the_old_one(
    tmp_path: Path, source: Path, sealed: Path, way: str, *, overwrite: bool
) -> None:
    if overwrite:
        (tmp_path / "target").write_bytes(b"old")
    before = names(tmp_path)
    with pytest.raises(OSError, match="File too large"), limited():
        calls(tmp_path, overwrite=overwrite)[way]()
    assert names(tmp_path) == before
    assert not overwrite or (tmp_path / "target").read_bytes() == b"old"
    calls(tmp_path, overwrite=True)[way]()
    assert content(tmp_path / "target") == DATA


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 32 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root; the test above has a limit in its place")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_the_old_file_goes_only_when_the_new_one_is_on_the_disk(
    tmp_path: Path, sealed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = sealed.read_bytes()
    synced: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(sealed.read_bytes()))
    envelope.reencrypt_file(sealed, sealed, [MINE], [NEW], overwrite=True)
    assert synced == [held] != [sealed.read_bytes()]


@pytest.mark.parametrize("way", WAYS)
def test_a_full_disk_leaves_no_file_or_the_old_one(small_disk: Path, way: str) -> None:
    name = "source" if way in ("encrypt", "stream") else "sealed"
    (small_disk / name).write_bytes(DATA if name == "source" else envelope.encrypt(DATA, [MINE]))
    for overwrite in (False, True):
        if overwrite:
            (small_disk / "target").write_bytes(b"old")
        before = names(small_disk)
        with pytest.raises(OSError, match="No space left"):
            calls(small_disk, overwrite=overwrite)[way]()
        assert names(small_disk) == before
        assert not overwrite or (small_disk / "target").read_bytes() == b"old"


# Large


def peak(code: str, *arguments: object) -> tuple[int, str]:
    """Peak resident MiB of a process, and what it printed before. getrusage() would count its parent's at the fork."""
    code = f"""
import re, sys
from pathlib import Path
from kmskit import envelope
from kmskit.envelope import RawAesKey
{MAKE_KEY}
{code}
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    *printed, last = done.stdout.splitlines()
    return int(last), "\n".join(printed)


@pytest.mark.parametrize("mebibytes", [300, pytest.param(4096, marks=pytest.mark.soak)])
def test_a_large_file_takes_little_memory(tmp_path: Path, mebibytes: int) -> None:
    source, sealed, again = tmp_path / "source", tmp_path / "sealed", tmp_path / "again"
    with source.open("wb") as file:
        file.truncate(mebibytes << 20)
    for code, one, other in (
        ("envelope.encrypt_file(*sys.argv[1:], [MINE])", source, sealed),
        ("envelope.reencrypt_file(*sys.argv[1:], [MINE], [MINE])", sealed, again),
        ("envelope.decrypt_file(*sys.argv[1:], [MINE])", again, tmp_path / "back"),
    ):
        memory, _ = peak(code, one, other)
        assert memory < 64, code
        one.unlink()
    assert (tmp_path / "back").stat().st_size == mebibytes << 20


def test_a_tebibyte_can_be_begun_and_cancelled(tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(1 << 40)  # It takes no room on the disk.
    code = """
def cancel(done, total):
    if done >= 1 << 26:
        print(done, total)
        raise KeyboardInterrupt
try:
    envelope.encrypt_file(*sys.argv[1:], [MINE], progress=cancel)
except KeyboardInterrupt:
    print("cancelled")
"""
    memory, printed = peak(code, source, tmp_path / "sealed")
    assert printed == f"{1 << 26} {1 << 40}\ncancelled"
    assert memory < 64
    assert names(tmp_path) == ["source"]
