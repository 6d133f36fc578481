"""`kmskit sign` and `kmskit verify`: raw signature bytes, as openssl writes and reads them."""

from __future__ import annotations

import click

from kmskit import Key, UnsupportedError
from kmskit.algorithms import ALGORITHMS, SPECS, Algorithm, choose
from kmskit.cli import output
from kmskit.cli.files import check_output, digest, read_whole, write_whole
from kmskit.cli.offline import PublicKey
from kmskit.cli.program import Choice, Command
from kmskit.cli.session import Session
from kmskit.types import KeyUsage

__all__ = ["sign", "verify"]

_LARGEST_SIGNATURE = _LARGEST_PEM = 64 << 10

_algorithm = click.option(
    "--algorithm",
    type=Choice(row.name for row in ALGORITHMS.values() if row.usage is KeyUsage.SIGN_VERIFY),
    help="If not the one that the key's spec has as default.",
)


@click.command(cls=Command)
@click.argument("key", metavar="KEY")
@click.argument("file")
@click.option("-o", "--output", "signature_file", metavar="FILE", help="Where the signature goes; else FILE.sig.")
@click.option("--force", is_flag=True, help="Replace an output that is there.")
@_algorithm
@click.pass_obj
def sign(session: Session, key: str, file: str, signature_file: str | None, force: bool, algorithm: str | None) -> None:
    """Sign a file. KEY is an id or alias, and - stands for stdin or stdout."""
    target = signature_file or ("-" if file == "-" else f"{file}.sig")
    if session.json and target == "-":
        raise click.UsageError("--json and the signature cannot both go to stdout; name a file with -o FILE")
    check_output(target, file, force=force)
    with session.open() as kms:
        signing = kms.key(key)
        chosen = _chosen(signing, algorithm)
        if chosen.digest is None:
            signature = signing.sign(read_whole(file), algorithm=chosen.name)
        else:
            signature = signing.sign_digest(digest(file, chosen.digest), algorithm=chosen.name)
    write_whole(target, signature.value, force=force)
    if session.json:
        facts = {"key_id": signature.key_id, "key_version": signature.key_version, "algorithm": signature.algorithm}
        output.write_json({"file": file, "signature_file": target, **facts})
    elif target != "-":
        output.write(f"{target}: signature of {file} by {key}, {signature.algorithm}")


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="KEY FILE SIGNATURE")
@click.option("--public-key", "pem", metavar="PEM", help="Verify with this public key, without connecting anywhere.")
@_algorithm
@click.pass_obj
def verify(session: Session, names: tuple[str, ...], pem: str | None, algorithm: str | None) -> None:
    """Verify a file's signature. KEY is an id or alias, and - stands for stdin.

    With --public-key KEY is not looked at and can be left out.
    """
    if len(names) not in ((3,) if pem is None else (2, 3)):
        raise click.UsageError("KEY, FILE and SIGNATURE expected; with --public-key also FILE and SIGNATURE alone")
    file, signature_file = names[-2:]
    if [file, signature_file, pem].count("-") > 1:
        raise click.UsageError("only one of the files can be stdin")
    signature = read_whole(signature_file, _LARGEST_SIGNATURE)
    if pem is not None:
        shown, public = pem, PublicKey(read_whole(pem, _LARGEST_PEM), algorithm)
        public.verify(file, signature)
        chosen = public.algorithm
    else:
        shown = names[0]
        with session.open() as kms:
            verifying = kms.key(shown)
            chosen = _chosen(verifying, algorithm)
            if chosen.digest is None:
                verifying.verify(read_whole(file), signature, algorithm=chosen.name)
            else:
                verifying.verify_digest(digest(file, chosen.digest), signature, algorithm=chosen.name)
    if session.json:
        output.write_json({"verified": True, "file": file, "key": shown, "algorithm": chosen.name})
    else:
        output.write(f"{file}: the signature verifies under {shown}, {chosen.name}")


def _chosen(key: Key, algorithm: str | None) -> Algorithm:
    """The algorithm, known before the file is read."""
    if key.usage is not KeyUsage.SIGN_VERIFY:
        raise UnsupportedError(
            f"this key is for {key.usage}, not for SIGN_VERIFY",
            hint="kmskit keys create ALIAS --spec EC_P256 makes a key that signs",
        )
    return choose(SPECS[key.spec], key.usage, algorithm)
