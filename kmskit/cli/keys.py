"""`kmskit keys`: list, make, change and destroy keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kmskit import Kms
from kmskit.algorithms import SPECS
from kmskit.cli import output
from kmskit.cli.files import read_whole
from kmskit.cli.keytext import done, key_facts, moment, pairs, title
from kmskit.cli.program import Choice, Group
from kmskit.cli.session import Session
from kmskit.material import canonical
from kmskit.types import KeySpec, KeyState, KeyUsage

__all__ = ["keys"]

_LARGEST_MATERIAL = 64 << 10
_SHOWN_DUE = 20

_key = click.argument("key", metavar="KEY")


def _tags(context: click.Context, parameter: click.Parameter, items: tuple[str, ...]) -> dict[str, str]:
    """`NAME=VALUE`, any number of times."""
    tags: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"NAME=VALUE expected, not {item!r}")
        if name in tags:
            raise click.BadParameter(f"{name!r} is given twice")
        tags[name] = value
    return tags


def _new_key(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a key to be made."""
    for option in (
        click.option("--exportable", is_flag=True, help="Let its material be read, for good."),
        click.option("--description", default="", help="Free text."),
        click.option("--tag", "tags", multiple=True, callback=_tags, metavar="NAME=VALUE", help="May be repeated."),
        click.option("--usage", type=Choice(KeyUsage), help="What for; RSA keys sign unless this says otherwise."),
    ):
        command = option(command)
    return command


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def keys(context: click.Context) -> None:
    """List, make, change and destroy keys. Alone it lists them.

    KEY is a key's id or one of its aliases.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_keys)


# Looking


@keys.command("list")
@click.option("--spec", type=Choice(KeySpec))
@click.option("--usage", type=Choice(KeyUsage))
@click.option("--state", type=Choice(KeyState))
@click.option("--tag", "tags", multiple=True, metavar="NAME[=VALUE]", help="May be repeated: all of them.")
@click.option("--alias", help="The key that has this alias.")
@click.pass_obj
def list_keys(session: Session, /, tags: tuple[str, ...], **conditions: str | None) -> None:
    """List keys, oldest first, to which all conditions apply."""
    with_value = {name: value for name, equals, value in (tag.partition("=") for tag in tags) if equals}
    names = [tag for tag in tags if "=" not in tag]
    with session.open() as kms:
        found = kms.keys(tag=with_value or None, **conditions)
        wanted = (key for key in found if all(name in key.tags for name in names))
        if session.json:
            output.json_array(map(key_facts, wanted))
            return
        rows = ((title(key), key.spec, key.usage, key.state, pairs(key.tags.items())) for key in wanted)
        if not output.table(("key", "spec", "usage", "state", "tags"), rows, (0, 8, 19, 16, 0)):
            output.note("no key is there" if not tags and not any(conditions.values()) else "no key is like that")


@keys.command()
@_key
@click.pass_obj
def show(session: Session, key: str) -> None:
    """Show all that a key tells of itself."""
    with session.open() as kms:
        found = kms.key(key)
        if session.json:
            output.write_json(key_facts(found))
            return
        output.facts(
            (
                ("id", found.id),
                ("aliases", ", ".join(found.aliases)),
                ("spec", found.spec),
                ("usage", found.usage),
                ("state", found.state),
                ("protection", found.protection),
                ("created", moment(found.created)),
                ("description", found.description),
                ("tags", pairs(found.tags.items())),
                ("versions", len(found.versions)),
                ("primary version", found.primary_version),
                ("rotated every", found.rotation_period),
                ("next rotation", moment(found.next_rotation)),
                ("deletion due", moment(found.deletion_date)),
                ("uri", found.uri),
            )
        )


@keys.command()
@_key
@click.option("--version", help="A version's id; the primary version if left out.")
@click.pass_obj
def public_key(session: Session, key: str, version: str | None) -> None:
    """Write the public half to stdout, as PEM."""
    with session.open() as kms:
        public = kms.key(key).public_key(version)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    if session.json:
        output.write_json({"pem": pem})
    else:
        click.echo(pem, nl=False)


# Making


@keys.command()
@click.argument("alias")
@click.option("--spec", type=Choice(KeySpec), default="AES_256", show_default=True)
@_new_key
@click.pass_obj
def create(session: Session, /, alias: str, **wanted: Any) -> None:
    """Make a key. Its material is generated by the backend and stays there."""
    with session.open() as kms:
        made = kms.create_key(alias, **wanted)
        done(session, alias, f"created ({made.spec}, {made.usage}), id {made.id}", made)


@keys.command("import")
@click.argument("alias")
@click.argument("file")
@click.option("--spec", type=Choice(KeySpec), required=True)
@_new_key
@click.pass_obj
def import_key(session: Session, /, alias: str, file: str, spec: str, **wanted: Any) -> None:
    """Make a key from material of your own.

    FILE holds the bytes of an AES, SM4 or HMAC key, or a private key in PEM or DER; - is stdin.
    """
    material = read_whole(file, _LARGEST_MATERIAL)
    try:
        checked = canonical(material, SPECS[spec])
    except ValueError as error:  # The file is at fault and not the command line.
        raise click.ClickException(f"{file}: {str(error).removeprefix('material: ')}") from None
    with session.open() as kms:
        made = kms.import_key(alias, checked, spec, **wanted)
        done(session, alias, f"imported ({made.spec}, {made.usage}), id {made.id}", made)


# Changing


@keys.command()
@_key
@click.pass_obj
def rotate(session: Session, key: str) -> None:
    """Make a new primary version. Older ones go on decrypting what they encrypted."""
    with session.open() as kms:
        changed = kms.key(key)
        changed.rotate()
        done(session, key, f"rotated, primary version {changed.primary_version} of {len(changed.versions)}", changed)


@keys.command()
@_key
@click.pass_obj
def enable(session: Session, key: str) -> None:
    """Allow use again."""
    with session.open() as kms:
        changed = kms.key(key)
        changed.enable()
        done(session, key, "enabled", changed)


@keys.command()
@_key
@click.pass_obj
def disable(session: Session, key: str) -> None:
    """Refuse every use until it is enabled."""
    with session.open() as kms:
        changed = kms.key(key)
        changed.disable()
        done(session, key, "disabled; it refuses every use until it is enabled", changed)


@keys.command()
@_key
@click.option("--days", type=click.IntRange(7, 366), required=True, help="How long it can be called off.")
@click.pass_obj
def schedule_deletion(session: Session, key: str, days: int) -> None:
    """Refuse every use, and let purge destroy it later."""
    with session.open() as kms:
        changed = kms.key(key)
        changed.schedule_deletion(days)
        due = moment(changed.deletion_date)
        done(session, key, f"refuses every use; purge destroys it from {due} on, cancel-deletion calls it off", changed)


@keys.command()
@_key
@click.pass_obj
def cancel_deletion(session: Session, key: str) -> None:
    """Call a scheduled deletion off."""
    with session.open() as kms:
        changed = kms.key(key)
        changed.cancel_deletion()
        done(session, key, f"is not going to be deleted; it is {changed.state}", changed)


@keys.group()
def alias() -> None:
    """Give aliases, and take them away."""


@alias.command("add")
@_key
@click.argument("alias")
@click.pass_obj
def add_alias(session: Session, key: str, alias: str) -> None:
    """Give a key one more alias."""
    with session.open() as kms:
        changed = kms.key(key)
        changed.add_alias(alias)
        done(session, key, f"has the aliases {', '.join(changed.aliases)}", changed)


@alias.command("remove")
@_key
@click.argument("alias")
@click.pass_obj
def remove_alias(session: Session, key: str, alias: str) -> None:
    """Take an alias away; the key stays."""
    with session.open() as kms:
        changed = kms.key(key)
        changed.remove_alias(alias)
        done(session, changed.id, f"has the aliases {', '.join(changed.aliases) or '(none)'}", changed)


@keys.command()
@_key
@click.argument("tags", nargs=-1, callback=_tags, metavar="[NAME=VALUE]...")
@click.option("--remove", multiple=True, metavar="NAME", help="Take a tag away; may be repeated.")
@click.pass_obj
def tag(session: Session, key: str, tags: dict[str, str], remove: tuple[str, ...]) -> None:
    """Set tags and take tags away; others stay."""
    if not tags and not remove:
        raise click.UsageError("nothing to set and nothing to remove")
    with session.open() as kms:
        changed = kms.key(key)
        for name in remove:
            if name not in changed.tags:
                raise click.ClickException(f"the key has no tag {name!r}")
        kept = {name: value for name, value in changed.tags.items() if name not in remove}
        changed.update(tags=kept | tags)
        done(session, key, f"has the tags {pairs(changed.tags.items()) or '(none)'}", changed)


@keys.command()
@_key
@click.option("--description", required=True, help="Free text; an empty one takes it away.")
@click.pass_obj
def update(session: Session, key: str, description: str) -> None:
    """Change a key's description."""
    with session.open() as kms:
        changed = kms.key(key)
        changed.update(description=description)
        done(session, key, "has a new description" if description else "has no description now", changed)


# Destroying


@keys.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def purge(session: Session, yes: bool) -> None:
    """Destroy the keys whose deletion is due.

    This cannot be undone. Nothing else destroys a key.
    """
    with session.open() as kms:
        destroyed = kms.purge() if yes or _agreed(kms) else []
    if session.json:
        output.write_json({"destroyed": destroyed})
        return
    for key_id in destroyed:
        output.write(f"{key_id}: destroyed")
    if not destroyed:
        output.note("no key is due")


def _agreed(kms: Kms) -> bool:
    """Tell which keys are due, and ask. Without one there is nothing to ask."""
    now = datetime.now(UTC)
    pending = kms.keys(state=KeyState.PENDING_DELETION)
    due = [key for key in pending if key.deletion_date is not None and key.deletion_date <= now]
    for key in due[:_SHOWN_DUE]:
        output.note(f"{title(key)}: {key.spec}, due since {moment(key.deletion_date)}")
    if len(due) > _SHOWN_DUE:
        output.note(f"... and {len(due) - _SHOWN_DUE} more")
    return bool(due) and click.confirm(
        f"Destroy {len(due)} key(s)? What they encrypted stays closed for good.", abort=True, err=True
    )
