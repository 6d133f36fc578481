"""How a key is told of: in a line, in a table, as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from kmskit import Key
from kmskit.cli import output
from kmskit.cli.session import Session

__all__ = ["done", "key_facts", "moment", "pairs", "title"]


def done(session: Session, name: str, what: str, key: Key) -> None:
    """What a command has done, and with --json the key as it is afterwards."""
    if session.json:
        output.write_json(key_facts(key))
    else:
        output.write(f"{name}: {what}")


def title(key: Key) -> str:
    return ", ".join(key.aliases) or key.id


def pairs(tags: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(tags))


def moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else ""


def key_facts(key: Key) -> dict[str, object]:
    """All that a key tells of itself, for JSON. Times are ISO 8601, periods seconds."""
    return {
        "id": key.id,
        "aliases": key.aliases,
        "spec": key.spec,
        "usage": key.usage,
        "state": key.state,
        "protection": key.protection,
        "created": key.created.isoformat(),
        "description": key.description,
        "tags": dict(key.tags),
        "versions": key.versions,
        "primary_version": key.primary_version,
        "rotation_period": key.rotation_period and key.rotation_period.total_seconds(),
        "next_rotation": key.next_rotation and key.next_rotation.isoformat(),
        "deletion_date": key.deletion_date and key.deletion_date.isoformat(),
        "uri": key.uri,
    }
