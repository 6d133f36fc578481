"""The rows of the key store: its schema, and how a row becomes a KeyInfo."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from kmskit.backends.database import Form
from kmskit.ciphertext import version_name
from kmskit.errors import ConfigurationError
from kmskit.types import KeyFilter, KeyInfo, KeySpec, KeyState, KeyUsage, Origin

__all__ = ["FORM", "SELECT", "condition", "key_info", "moment"]

_SCHEMA = """
CREATE TABLE store (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE keys (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    spec TEXT NOT NULL,
    usage TEXT NOT NULL,
    state TEXT NOT NULL,
    state_before TEXT,
    origin TEXT NOT NULL,
    exportable INTEGER NOT NULL,
    description TEXT NOT NULL,
    created REAL NOT NULL,
    primary_version INTEGER NOT NULL,
    rotation_seconds REAL,
    next_rotation REAL,
    deletion_date REAL
) STRICT;
CREATE INDEX keys_by_next_rotation ON keys (next_rotation) WHERE next_rotation IS NOT NULL;
CREATE INDEX keys_by_deletion_date ON keys (deletion_date) WHERE deletion_date IS NOT NULL;
CREATE TABLE versions (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL REFERENCES keys (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    created REAL NOT NULL,
    material BLOB NOT NULL,
    UNIQUE (key, position)
) STRICT;
CREATE TABLE aliases (
    alias TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL REFERENCES keys (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX aliases_by_key ON aliases (key);
CREATE TABLE tags (
    key TEXT NOT NULL REFERENCES keys (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (key, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_name ON tags (name, value);
"""
FORM = Form("key store", 0x6B6D736B, 1, _SCHEMA)  # The mark says "kmsk".
SELECT = """
SELECT number, id, spec, usage, state, origin, exportable, description, created, primary_version, rotation_seconds,
    next_rotation, deletion_date,
    (SELECT json_group_array(id) FROM (SELECT id FROM versions WHERE key = k.id ORDER BY position)),
    (SELECT json_group_array(alias) FROM (SELECT alias FROM aliases WHERE key = k.id ORDER BY rowid)),
    (SELECT json_group_object(name, value) FROM tags WHERE key = k.id)
FROM keys AS k
"""


def condition(wanted: KeyFilter) -> tuple[str, list[str]]:
    """The WHERE clause of a listing, and its parameters behind the first, the number of the last key seen."""
    conditions, parameters = ["number > ?"], []
    for column in ("spec", "usage", "state"):
        if (value := getattr(wanted, column)) is not None:
            conditions.append(f"{column} = ?")
            parameters.append(str(value))
    if wanted.protection not in (None, "SOFTWARE"):
        conditions.append("0")
    if wanted.alias is not None:
        conditions.append("id = (SELECT key FROM aliases WHERE alias = ?)")
        parameters.append(wanted.alias)
    for name, content in wanted.tags.items():
        conditions.append(
            "id IN (SELECT key FROM tags WHERE name = ?" + (")" if content is None else " AND value = ?)")
        )
        parameters += [name] if content is None else [name, content]
    return "WHERE " + " AND ".join(conditions), parameters


def key_info(row: Any) -> KeyInfo:
    """A row of SELECT; ConfigurationError if it holds what no kmskit wrote."""
    try:
        return _parse(row)
    except (ValueError, TypeError, OverflowError, OSError):  # The last two: a time that the platform cannot hold.
        raise ConfigurationError(
            "a row of the key store is damaged; nothing was changed", hint="restore the store from a backup"
        ) from None


def _parse(row: Any) -> KeyInfo:
    (_, key_id, spec, usage, state, origin, exportable, description, created, primary, period, rotation, deletion) = (
        row[:13]
    )
    versions, aliases, tags = map(json.loads, row[13:])
    return KeyInfo(
        id=key_id,
        spec=KeySpec(spec),
        usage=KeyUsage(usage),
        state=KeyState(state),
        versions=tuple(map(version_name, versions)),
        primary_version=version_name(primary),
        created=moment(created),
        aliases=tuple(aliases),
        description=description,
        tags=MappingProxyType(tags),
        origin=Origin(origin),
        exportable=bool(exportable),
        rotation_period=None if period is None else timedelta(seconds=period),
        next_rotation=None if rotation is None else moment(rotation),
        deletion_date=None if deletion is None else moment(deletion),
    )


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
