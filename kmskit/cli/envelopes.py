"""`kmskit encrypt`, `decrypt`, `reencrypt` and `inspect`: envelopes of any size, in files and in pipes."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, BinaryIO, cast

import click

from kmskit import Kms, envelope
from kmskit.cli import output
from kmskit.cli.files import check_output, read_whole
from kmskit.cli.keytext import pairs
from kmskit.cli.many import Job, Run, Watch
from kmskit.cli.program import Command
from kmskit.cli.recipients import Openers, recipients, title
from kmskit.cli.session import Session
from kmskit.envelope import header
from kmskit.envelope.files import replacing

__all__ = ["decrypt", "encrypt", "inspect", "reencrypt"]

_SUFFIX = ".enc"
_PIECE = 1 << 20
_LARGEST_PIPE = 1 << 30


def _pairs(context: click.Context, parameter: click.Parameter, items: tuple[str, ...]) -> dict[str, str]:
    """`NAME=VALUE`, any number of times."""
    found: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals:
            raise click.BadParameter(f"NAME=VALUE expected, not {item!r}")
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice")
        found[name] = value
    return found


def _together(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Several options as one decorator, in the order of the help."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_files = click.argument("files", nargs=-1, required=True, metavar="FILE...")
_output = click.option("-o", "--output", "target", metavar="FILE", help="The output, for one FILE; - is stdout.")
_force = click.option("--force", "--overwrite", "force", is_flag=True, help="Replace outputs that are there.")
_to = click.option("--to", "--recipient", "to", multiple=True, metavar="KEY", help="Who shall open it; repeatable.")
_context = click.option(
    "--context", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="Readable and authenticated; repeatable."
)
_recovery = _together(
    click.option(
        "--recovery-key", "pem", metavar="PEM", help="An RSA public key: whoever has its other half opens it."
    ),
    click.option("--recovery-name", metavar="NAME", help="What the message calls that key; else the PEM file's name."),
)
_opening = _together(
    click.option("--key", "names", multiple=True, metavar="KEY", help="Open with this one only; repeatable."),
    click.option(
        "--require-context",
        multiple=True,
        callback=_pairs,
        metavar="NAME=VALUE",
        help="Refuse a message whose context lacks this; repeatable.",
    ),
    click.option("--require-signed", is_flag=True, help="Refuse a message without a signature."),
)


@click.command(cls=Command)
@_files
@_to
@_recovery
@_context
@click.option("--signed", is_flag=True, help="Sign the message, so that no recipient can change it for the others.")
@_output
@_force
@click.pass_obj
def encrypt(
    session: Session,
    files: tuple[str, ...],
    to: tuple[str, ...],
    pem: str | None,
    recovery_name: str | None,
    context: dict[str, str],
    signed: bool,
    target: str | None,
    force: bool,
) -> int:
    """Encrypt files of any size as envelopes.

    FILE.enc is written beside each FILE; - stands for stdin and stdout. Any one recipient opens it: a KEY, by id or
    alias, or who has the private half of the recovery key.

    The exit status is 1 if a FILE failed; the others are done all the same.
    """
    jobs = _jobs(session, files, target, lambda file: file + _SUFFIX)
    with _kms(session, needed=bool(to) or pem is None) as kms:
        keys = recipients(kms, to, pem, recovery_name)
        options: dict[str, Any] = {"context": context, "signed": signed}

        def work(job: Job, watch: Watch) -> dict[str, object] | None:
            source, target = job
            check_output(target, source, force=force)
            if "-" not in job:
                info = envelope.encrypt_file(source, target, keys, **options, progress=watch, overwrite=force)
                return _told(job, info)
            with _reading(source) as file, _sealing(target, keys, force, options) as writer:
                _pass_on(iter(lambda: file.read(_PIECE), b""), writer.write, watch)
            return _told(job)

        return _run(session, jobs, work)


@click.command(cls=Command)
@_files
@_opening
@click.option(
    "--recovery-key", "pem", metavar="PEM", help="The RSA private key, if the KMS is gone; none is asked then."
)
@_output
@_force
@click.pass_obj
def decrypt(
    session: Session,
    files: tuple[str, ...],
    names: tuple[str, ...],
    require_context: dict[str, str],
    require_signed: bool,
    pem: str | None,
    target: str | None,
    force: bool,
) -> int:
    """Decrypt envelopes.

    FILE.enc becomes FILE beside it; - stands for stdin and stdout. The keys are those that the message names, as far as
    they are here.

    A file appears when all of it was authenticated. Into a pipe the plaintext goes frame by frame, each authenticated
    by itself: whoever reads the pipe must wait for the exit status before it is known that nothing is missing.

    The exit status is 1 if a FILE failed; the others are done all the same.
    """
    jobs = _jobs(session, files, target, _without_suffix)
    with _kms(session, needed=bool(names) or pem is None) as kms:
        openers = Openers(kms, names, pem)
        options: dict[str, Any] = {"require_context": require_context, "require_signed": require_signed}

        def work(job: Job, watch: Watch) -> dict[str, object] | None:
            source, target = job
            check_output(target, source, force=force)
            if "-" not in job:
                keys = openers.of(envelope.inspect(source).recipients)
                info = envelope.decrypt_file(source, target, keys, **options, progress=watch, overwrite=force)
                return _told(job, info)
            with _unsealing(source, openers, options) as reader, _writing(target, force) as file:
                _pass_on(reader.frames(), file.write, watch)
                frames, size = reader.extent
                info = envelope.EnvelopeInfo(reader.header, reader.start, frames, reader.tell(), size, True)
            return _told(job, info)

        return _run(session, jobs, work)


@click.command(cls=Command)
@_files
@_to
@_recovery
@_opening
@_context
@click.option("--signed", is_flag=True, help="Sign the new message; else it is signed if the old one is.")
@_output
@_force
@click.pass_obj
def reencrypt(
    session: Session,
    files: tuple[str, ...],
    to: tuple[str, ...],
    pem: str | None,
    recovery_name: str | None,
    names: tuple[str, ...],
    require_context: dict[str, str],
    require_signed: bool,
    context: dict[str, str],
    signed: bool,
    target: str | None,
    force: bool,
) -> int:
    """Encrypt envelopes anew, for other recipients.

    Each gets a new data key. With --force each FILE is replaced by its new message, in one step. The context stays,
    unless --context is given. No plaintext touches the disk. - stands for stdin and stdout.

    The exit status is 1 if a FILE failed; the others are done all the same.
    """
    jobs = _jobs(session, files, target, lambda file: file)
    with session.open() as kms:
        keys, openers = recipients(kms, to, pem, recovery_name), Openers(kms, names, None)
        old: dict[str, Any] = {"require_context": require_context, "require_signed": require_signed}
        new: dict[str, Any] = {"context": context or None, "signed": signed or None}

        def work(job: Job, watch: Watch) -> dict[str, object] | None:
            source, target = job
            if not (source == target and force):
                check_output(target, "" if source == target else source, force=force)
            if "-" not in job:
                given = openers.of(envelope.inspect(source).recipients)
                options = {**old, **new, "progress": watch, "overwrite": force}
                return _told(job, envelope.reencrypt_file(source, target, given, keys, **options))
            with _unsealing(source, openers, old) as reader:
                options = {
                    "context": context or reader.header.own_context,
                    "signed": signed or reader.header.signed,
                    "frame_length": reader.header.frame_length,
                }
                with _sealing(target, keys, force, options) as writer:
                    _pass_on(reader.frames(), writer.write, watch)
            return _told(job)

        return _run(session, jobs, work)


@click.command(cls=Command)
@_files
@click.option("--fields", is_flag=True, help="Show what stands at which byte.")
@click.pass_obj
def inspect(session: Session, files: tuple[str, ...], fields: bool) -> int:
    """Tell what envelopes say of themselves, without any key. - stands for stdin.

    Nothing of it is authenticated: anyone can write such bytes.
    """
    run = Run([(file, file) for file in files])

    def look(job: Job, _: Watch) -> dict[str, object]:
        info = envelope.inspect(job[0] if job[0] != "-" else read_whole("-", _LARGEST_PIPE))
        shown = [_field(field) for field in info.fields] if fields else None
        return {"file": job[0], **_facts(info), "suite": info.suite, "frame_length": info.frame_length, "fields": shown}

    if session.json:
        output.json_array({name: fact for name, fact in told.items() if fact is not None} for told in run.results(look))
        return int(run.failed)
    for number, told in enumerate(run.results(look)):
        if number:
            output.write("")
        _show(told)
    return int(run.failed)


# Helpers


def _jobs(session: Session, files: Sequence[str], target: str | None, default: Callable[[str], str]) -> list[Job]:
    """Which file becomes which."""
    if target is not None and len(files) > 1:
        raise click.UsageError("-o names one output, and there are several FILEs")
    if files.count("-") > 1:
        raise click.UsageError("only one FILE can be stdin")
    jobs = [(file, target or ("-" if file == "-" else default(file))) for file in files]
    if session.json and any(target == "-" for _, target in jobs):
        raise click.UsageError("--json and the data cannot both go to stdout; name a file with -o FILE")
    return jobs


def _without_suffix(file: str) -> str:
    if file.endswith(_SUFFIX) and file != _SUFFIX:
        return file.removesuffix(_SUFFIX)
    raise click.UsageError(f"{file} does not end in {_SUFFIX}; name the output with -o FILE")


def _kms(session: Session, *, needed: bool) -> AbstractContextManager[Kms | None]:
    """The session's Kms, or none: a recovery key works without."""
    return session.open() if needed else nullcontext()


def _run(session: Session, jobs: Sequence[Job], work: Callable[[Job, Watch], dict[str, object] | None]) -> int:
    run = Run(jobs)
    if session.json:
        output.json_array(run.results(work))
    else:
        for told in run.results(work):
            context = cast("Mapping[str, str]", told["context"])
            bound = f", context {pairs(context.items())}" if context else ""
            output.write(f"{told['output']}: from {told['file']}{bound}")
    return int(run.failed)


def _told(job: Job, info: envelope.EnvelopeInfo | None = None) -> dict[str, object] | None:
    """What to say of a job; nothing if stdout holds its output."""
    source, target = job
    if target == "-":
        return None
    return {"file": source, "output": target, **_facts(info or envelope.inspect(target))}


def _facts(info: envelope.EnvelopeInfo) -> dict[str, object]:
    return {
        "size": info.size,
        "length": info.length,
        "frames": info.frames,
        "signed": info.signed,
        "context": info.header.own_context,
        "recipients": [title(recipient) for recipient in info.recipients],
    }


def _field(field: envelope.Field) -> dict[str, object]:
    value = field.value.hex() if isinstance(field.value, bytes) else field.value
    return {"offset": field.offset, "size": field.size, "part": field.group, "name": field.name, "value": value}


def _show(told: dict[str, Any]) -> None:
    """An inspection, for people."""
    kind = "signed envelope" if told["signed"] else "envelope"
    facts = [
        (told["file"], f"{kind}, suite {told['suite']}"),
        ("size", f"{told['size']:,} bytes"),
        ("plaintext", f"{told['length']:,} bytes, in {told['frames']:,} frame(s) of up to {told['frame_length']:,}"),
        ("context", pairs(told["context"].items())),
        *(("recipient", recipient) for recipient in told["recipients"]),
        ("note", "not authenticated: only what the bytes say"),
    ]
    output.facts(facts)
    if told["fields"]:
        output.write("")
        shown = ((one["offset"], one["size"], one["part"], one["name"], one["value"] or "") for one in told["fields"])
        output.table(("at", "bytes", "part", "field", "value"), shown, (8, 8, 12, 23, 0))


# Pipes


@contextmanager
def _reading(source: str) -> Iterator[BinaryIO]:
    if source == "-" and sys.stdin is None:
        raise click.ClickException("stdin is closed")
    with click.open_file(source, "rb") as file:  # At the end of the block stdin stays open.
        yield cast("BinaryIO", file)


def _writing(target: str, force: bool) -> AbstractContextManager[BinaryIO]:
    """stdout, or a file that appears when it is complete."""
    return nullcontext(sys.stdout.buffer) if target == "-" else replacing(target, force)


def _sealing(target: str, keys: Sequence[Any], force: bool, options: dict[str, Any]) -> envelope.EnvelopeWriter:
    if target == "-":
        return envelope.open(sys.stdout.buffer, "wb", keys, **options)
    return envelope.open(target, "wb", keys, **options, overwrite=force)


@contextmanager
def _unsealing(source: str, openers: Openers, options: dict[str, Any]) -> Iterator[envelope.EnvelopeReader]:
    """A reader, with the keys that its own header names: a pipe is not read twice, so what was read is put back."""
    with _reading(source) as file:
        start = bytearray()

        def take(size: int) -> bytes:
            part = file.read(size)
            start.extend(part)
            return part

        keys = openers.of(header.read(take)[0].recipients)
        with envelope.open(cast("BinaryIO", _Rewound(bytes(start), file)), "rb", keys, **options) as reader:
            yield reader


class _Rewound(io.RawIOBase):
    """A pipe, and before it what was already read from it."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start = memoryview(start)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        target = memoryview(buffer).cast("B")
        part = self._start[: len(target)] or memoryview(self._rest.read(len(target)))
        target[: len(part)] = part
        self._start = self._start[len(part) :]
        return len(part)


def _pass_on(pieces: Iterator[bytes] | Iterator[memoryview], write: Callable[[Any], object], watch: Watch) -> None:
    done = 0
    for piece in pieces:
        write(piece)
        done += len(piece)
        if not isinstance(watch, bool):
            watch(done, 0)
