"""What a check finds, and what it looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from kmskit import markup
from kmskit.backends.pkcs11.location import Location
from kmskit.errors import KmsError
from kmskit.kms import Kms
from kmskit.uri import parse

__all__ = ["URI", "Check", "Finding", "Findings", "State", "Subject"]

State: TypeAlias = Literal["ok", "missing", "problem"]

URI = "URI"
_KINDS = {"ok": "good", "missing": "wait", "problem": "bad"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        topic: what it belongs to, such as `key store`.
        state: `ok`; `missing`: not there, and needed only by what the cure names; `problem`: there, and does not work.
        text: what was found. Names and paths may be other people's: escape it before it is displayed.
        cure: what to do, in one line; empty if the state is `ok`.
    """

    topic: str
    state: State
    text: str
    cure: str = ""


class Findings(tuple[Finding, ...]):
    """All findings, in the order of the checks. A table in Jupyter."""

    __slots__ = ()

    @property
    def usable(self) -> bool:
        """Whether the URI can be used."""
        return not any(finding.topic.startswith(URI) and finding.state == "problem" for finding in self)

    def __repr__(self) -> str:
        rows = [(found.topic, found.state, markup.volatile_text(found.text), found.cure) for found in self]
        return markup.columns(("topic", "state", "found", "cure"), rows)

    def _repr_html_(self) -> str:
        rows = [
            (found.topic, markup.badge(found.state, _KINDS[found.state]), markup.volatile_html(found.text), found.cure)
            for found in self
        ]
        return markup.table(("topic", "state", "found", "cure"), rows)


@dataclass(frozen=True, slots=True)
class Subject:
    """What the checks look at: a URI, and how to open it."""

    uri: str
    connect: Callable[[str], Kms]

    def files(self) -> tuple[Path, Path] | None:
        """The store and the key file of a `software:` URI; None if it has none or is no URI."""
        from kmskit.backends.software import store_files

        try:
            uri = parse(self.uri)
            return store_files(uri) if uri.scheme == "software" and "memory" not in uri.query else None
        except KmsError:
            return None

    def location(self) -> Location | None:
        """Where the token of a `pkcs11:` URI is; None if that cannot be made out, or if it is no such URI."""
        try:
            uri = parse(self.uri)
            return Location.parse(uri) if uri.scheme == "pkcs11" else None
        except KmsError:
            return None


Check: TypeAlias = Callable[[Subject], Iterable[Finding]]
