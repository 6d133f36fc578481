"""`OpenRow`: a key by its name, for those who may use keys and not list them."""

from __future__ import annotations

from collections.abc import Callable

from ipywidgets import HBox

from kmskit import Key, KeySpec, Kms
from kmskit.widgets import controls

__all__ = ["OpenRow"]


class OpenRow(HBox):  # type: ignore[misc]  # ipywidgets carries no types.
    """Fields for what such a user must know of a key: its id or alias, its spec, and the version of an RSA or EC key.

    Args:
        submit: called for `Open`.
    """

    def __init__(self, submit: Callable[[], object]) -> None:
        self.name = controls.text("Key id or alias", "of a key that this user may use")
        self.spec = controls.choice("Its spec", [*map(str, KeySpec)])
        self.version = controls.text("Version", "of an RSA or EC key")
        self.submit = controls.button("Open", submit, "primary", "Show this key")
        super().__init__([self.name, self.spec, self.version, self.submit])
        self.add_class("kms-row")

    def opening(self, kms: Kms) -> Callable[[], Key]:
        """What opens the key, with the fields as they are now."""
        name, spec, version = self.name.value.strip(), self.spec.value, self.version.value.strip() or None
        return lambda: kms.key(name, spec=spec, version=version)
