"""`KeyView`: what a key tells about itself, and how that is displayed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from kmskit import markup
from kmskit.errors import KmsError
from kmskit.types import KeyInfo, KeySpec, KeyState, KeyUsage, Origin, Protection

__all__ = ["KeyView"]


class KeyView:
    """The readable side of a key: a snapshot of what its backend told.

    Attributes:
        id: globally unique.
    """

    id: str
    _info: KeyInfo

    @property
    def aliases(self) -> tuple[str, ...]:
        return self._info.aliases

    @property
    def spec(self) -> KeySpec:
        return self._info.spec

    @property
    def usage(self) -> KeyUsage:
        return self._info.usage

    @property
    def state(self) -> KeyState:
        return self._info.state

    @property
    def versions(self) -> tuple[str, ...]:
        """Ids of the key's versions, oldest first."""
        return self._info.versions

    @property
    def primary_version(self) -> str:
        """The version that new ciphertexts and signatures are made with."""
        return self._info.primary_version

    @property
    def description(self) -> str:
        return self._info.description

    @property
    def tags(self) -> Mapping[str, str]:
        return self._info.tags

    @property
    def protection(self) -> Protection:
        return self._info.protection

    @property
    def origin(self) -> Origin:
        """Where the material was made."""
        return self._info.origin

    @property
    def exportable(self) -> bool:
        """Whether `export_material` may read the key; fixed when it was made."""
        return self._info.exportable

    @property
    def created(self) -> datetime:
        return self._info.created

    @property
    def rotation_period(self) -> timedelta | None:
        return self._info.rotation_period

    @property
    def next_rotation(self) -> datetime | None:
        return self._info.next_rotation

    @property
    def deletion_date(self) -> datetime | None:
        """When a key that is pending deletion is due."""
        return self._info.deletion_date

    # Display. No repr raises: what is denied or unreachable is shown as such.

    def title(self) -> str:
        """The first alias, else the id."""
        return markup.alias_text(self.aliases[0]) if self.aliases else markup.volatile_text(self.id)

    def title_html(self) -> markup.Html:
        """The same for Jupyter."""
        return markup.alias_html(self.aliases[0]) if self.aliases else markup.code(markup.volatile_html(self.id))

    def __repr__(self) -> str:
        try:
            return f"<Key {self.title()} {self.spec} {self.usage} {self.state} {len(self.versions)} version(s)>"
        except KmsError as error:
            return f"<Key {markup.volatile_text(self.id)}: {type(error).__name__}>"

    def _repr_html_(self) -> str:
        try:
            rows, state = self._rows(), self.state
        except KmsError as error:
            return markup.card("Key", {"id": markup.volatile_html(self.id), "shown": f"no: {type(error).__name__}"})
        return markup.card(self.title_html(), rows, mark=markup.badge(state), kind=markup.kind_of(state))

    def _rows(self) -> dict[str, object]:
        info = self._info
        return {
            "spec": info.spec,
            "usage": info.usage,
            "aliases": markup.Html(", ".join(map(markup.alias_html, info.aliases))) if len(info.aliases) > 1 else None,
            "description": info.description or None,
            "tags": markup.pairs(info.tags) if info.tags else None,
            "protection": _protection_html(info),
            "versions": _versions_html(info) if info.versions else None,
            "next rotation": info.next_rotation and markup.volatile_html(f"{info.next_rotation:%Y-%m-%d}"),
            "deletion due": info.deletion_date and markup.volatile_html(f"{info.deletion_date:%Y-%m-%d}"),
            "id": markup.code(markup.volatile_html(info.id)),
        }


def _protection_html(info: KeyInfo) -> markup.Html:
    """Who guards the key is the backend's doing, so it is volatile: one notebook's outputs hold for every backend."""
    origin = f"{info.origin.lower()}, exportable" if info.exportable else info.origin.lower()
    return markup.Html(f"{markup.volatile_html(info.protection)}, {markup.escape(origin)}")


def _versions_html(info: KeyInfo) -> markup.Html:
    primary = markup.code(markup.volatile_html(info.primary_version))
    return markup.Html(f"{len(info.versions)}, primary {primary}")
