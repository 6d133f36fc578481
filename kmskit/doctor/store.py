"""The URI itself: whether its key store can be used, whether it opens, and whether there is room."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from kmskit.doctor import cloud
from kmskit.doctor.files import existing, guarded, private
from kmskit.doctor.finding import URI, Finding, Subject
from kmskit.doctor.token import held_back
from kmskit.errors import KmsError
from kmskit.uri import parse

__all__ = ["disk", "key_store", "opens"]

_STORE = "key store"
_LEAST_FREE = 100 << 20


def key_store(subject: Subject) -> Iterator[Finding]:
    files = subject.files()
    if files is None:
        return
    store, key_file = files
    if _is_made(store):
        yield from private(_STORE, "", store)
        yield from guarded(_STORE, "the store", store.parent)
    else:
        yield Finding(_STORE, "missing", f"{store} is not made yet", "the first use makes it: kmskit keys create ALIAS")
    if os.path.exists(key_file):
        yield from private(_STORE, "key file ", key_file)


def opens(subject: Subject) -> Iterator[Finding]:
    """Whether the URI can be used. Its query may tell paths, so it is not repeated."""
    shown = "the URI"
    try:
        uri = parse(subject.uri)
        shown, files = uri.redacted(), subject.files()
        if uri.scheme == "alibaba":
            yield from cloud.reaches(uri)
            return
        if files is None or _is_made(files[0]):
            if against := held_back(subject):
                yield Finding(URI, "problem", f"{shown} was not opened: {against.text}", against.cure)
                return
            subject.connect(subject.uri).close()
            yield Finding(URI, "ok", f"{shown} opens")
            return
    except (KmsError, ValueError) as error:
        yield Finding(URI, "problem", f"{shown}: {error}", getattr(error, "hint", None) or "correct it")
        return
    for folder in dict.fromkeys(path.parent for path in files):
        there = existing(folder)
        if folder != there and parse(subject.uri).path:  # Only the user's data folder is made.
            yield Finding(URI, "problem", f"{shown}: the folder {folder} is not there", "make the folder first")
            return
        if not os.path.isdir(there) or not os.access(there, os.W_OK | os.X_OK):
            yield Finding(URI, "problem", f"{shown}: {there} cannot be written to", "choose another folder")
            return
    yield Finding(URI, "ok", f"{shown} can be used, and its key store will be made")


def disk(subject: Subject) -> Iterator[Finding]:
    from kmskit.backends.software import store_files

    store, _ = subject.files() or store_files(parse("software:"))
    folder = existing(store.parent)
    free = shutil.disk_usage(folder).free
    text = f"{free / (1 << 30):,.1f} GiB free at {folder}"
    if free >= _LEAST_FREE:
        yield Finding("disk", "ok", text)
    else:
        yield Finding("disk", "problem", text, "make room: a key store that cannot grow refuses every change")


def _is_made(store: Path) -> bool:
    """Whether a key store, or anything else, is in the file. `connect` would make a store of an empty one."""
    if not os.path.lexists(store):
        return False
    try:
        with closing(sqlite3.connect(f"{store.as_uri()}?mode=rw", uri=True)) as connection:
            return bool(connection.execute("PRAGMA schema_version").fetchone() != (0,))
    except sqlite3.Error:
        return True  # `connect` says what is wrong with it.
