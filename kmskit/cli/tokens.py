"""`kmskit token`: make a SoftHSM token of one's own, and look at modules, slots, tokens and mechanisms."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict
from shlex import quote
from typing import Any, TypeVar

import click

from kmskit import KmsError, softhsm, tokens
from kmskit.cli import output
from kmskit.cli.program import Group
from kmskit.cli.session import Session
from kmskit.tokens import ModuleInfo, SlotInfo, TokenInfo
from kmskit.uri import Uri, parse

__all__ = ["token"]

_Found = TypeVar("_Found")
_OF_PLACE = ("module-path", "x-softhsm2-conf", "x-init-reserved")
"""What says in a URI where to look, and not for what."""


def _place(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where to look; --uri is a shared one."""
    for option in (
        click.option("--folder", metavar="DIR", help="The tokens that `token init` made in DIR."),
        click.option("--module", metavar="PATH", help="The module whose library this is."),
    ):
        command = option(command)
    return command


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def token(context: click.Context) -> None:
    """Make a SoftHSM token, and look at tokens. Alone it lists them.

    No command here wants a PIN.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_tokens)


# Making


@token.command()
@click.option("--label", default="kmskit", show_default=True, help="Its name.")
@click.option("--folder", metavar="DIR", help="Where it lies; if left out, in the user's data folder.")
@click.pass_obj
def init(session: Session, label: str, folder: str | None) -> None:
    """Make a SoftHSM token of your own.

    Its PIN is random and lies in a file that the URI names. If the token is there already nothing changes, and its URI
    is told again.
    """
    made = softhsm.token(softhsm.default_folder() if folder is None else folder, label)
    if session.json:
        facts = {"token": made.label, "serial": made.serial, "uri": made.uri, "made": made.made}
        output.write_json({**facts, "pin_file": str(made.pin_path)})
        return
    output.write(f"{made.label}: {'made' if made.made else 'was there already'}, serial {made.serial}")
    output.write(made.uri)
    output.note(f"to use it in this shell: export KMSKIT_URI={quote(made.uri)}")


# Looking


@token.command("list")
@_place
@click.pass_obj
def list_tokens(session: Session, module: str | None = None, folder: str | None = None) -> None:
    """List tokens, those of the user's own folder first.

    It looks into that folder, KMSKIT_URI's place and the modules of this machine, which are loaded for it; or only
    where --uri, --module or --folder says.
    """
    found = _gather(tokens.tokens, _places(session, module, folder))
    if session.json:
        output.json_array(map(_token_facts, found))
        return
    for number, row in enumerate(found):
        if number:
            output.write("")
        output.facts(
            (
                ("token", row.label or "(no label)"),
                ("serial", row.serial),
                ("model", f"{row.manufacturer}, {row.model}"),
                ("state", row.state),
                ("uri", row.uri),
            )
        )
    if not found:
        output.note("no token is there; kmskit token init makes one")


@token.command()
@_place
@click.pass_obj
def slots(session: Session, module: str | None, folder: str | None) -> None:
    """List slots, with what is in them.

    Where to look is as for list.
    """
    found = _gather(tokens.slots, _places(session, module, folder))
    if session.json:
        output.json_array(map(_slot_facts, found))
        return
    rows = ((row.id, row.token.label if row.token else "-", row.state, row.module) for row in found)
    if not output.table(("slot", "token", "state", "module"), rows, (12, 0, 15, 0)):
        output.note("no slot is there")


@token.command()
@_place
@click.option("--label", help="The token, if the place has several.")
@click.option("--use", type=click.Choice(tokens.USES), help="Only those for this.")
@click.pass_obj
def mechanisms(session: Session, module: str | None, folder: str | None, label: str | None, use: str | None) -> None:
    """List what one token can do.

    It is that of --uri, --module or --folder; else of KMSKIT_URI, the user's own folder or the only module there is.
    """
    place = _named(session, module, folder)
    if place is None:
        place = str(_of_environment() or next(iter(tokens.places()), "pkcs11:"))
    found = tokens.mechanisms(place, label)
    wanted = found if use is None else found.only(use)
    if session.json:
        output.json_array(map(asdict, wanted))
        return
    rows = ((row.name, row.key_sizes, ", ".join(row.uses)) for row in wanted)
    if not output.table(("mechanism", "key size", "uses"), rows, (26, 16, 0)):
        output.note("the token has no mechanism for that")


@token.command()
@click.option("--load", is_flag=True, help="Load each, to see that it works.")
@click.pass_obj
def modules(session: Session, load: bool) -> None:
    """List the PKCS#11 modules of this machine."""
    found = tokens.modules(load=load)
    if session.json:
        output.json_array(map(asdict, found))
        return
    rows = ((row.product, _loads(row), row.path) for row in found)
    if not output.table(("module", "loads", "path"), rows, (13, 10, 0)):
        output.note("none where distributions put them; apt-get install softhsm2")
    for row in found:
        if row.problem:
            output.note(f"{row.path}: {row.problem}")


def _loads(row: ModuleInfo) -> str:
    return "not tried" if row.loads is None else "yes" if row.loads else "no"


def _named(session: Session, module: str | None, folder: str | None) -> str | None:
    """The place that the options name."""
    if sum(name is not None for name in (session.uri, module, folder)) > 1:
        raise click.UsageError("name one place: --uri, --module or --folder")
    if folder is not None:
        return softhsm.tokens_uri(folder)
    return session.uri if module is None else os.path.abspath(module)


def _of_environment() -> Uri | None:
    """KMSKIT_URI, if it names a token."""
    text = os.environ.get("KMSKIT_URI", "")
    return parse(text) if text.startswith("pkcs11:") else None


def _places(session: Session, module: str | None, folder: str | None) -> list[str]:
    """Where to look for tokens: the one place that was named, else all there are, each once."""
    named = _named(session, module, folder)
    if named is not None:
        return [named]
    found, uri = list(tokens.places()), _of_environment()
    if uri is not None and (query := {name: uri.query[name] for name in _OF_PLACE if name in uri.query}):
        path = query.get("module-path") if len(query) == 1 else None
        if path is None or os.path.realpath(path) not in map(os.path.realpath, found):
            found.insert(0, path or str(Uri("pkcs11", query=query)))
    return list(dict.fromkeys(found))


def _gather(look: Callable[[str], Iterable[_Found]], places: list[str]) -> list[_Found]:
    """What is in all places. If there are several, one that cannot be looked into is told of on stderr."""
    found: list[_Found] = []
    for place in places:
        try:
            found += look(place)
        except KmsError as error:
            if len(places) == 1:
                raise
            shown = parse(place).query.get("x-softhsm2-conf", place) if place.startswith("pkcs11:") else place
            output.note(f"{shown}: {error}")
    return found


# JSON


def _token_facts(row: TokenInfo) -> dict[str, object]:
    return {**asdict(row), "state": row.state}


def _slot_facts(row: SlotInfo) -> dict[str, object]:
    return {**asdict(row), "token": row.token and _token_facts(row.token), "state": row.state}
