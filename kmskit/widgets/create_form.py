"""`CreateForm`: what a new key shall be, with only what this Kms offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ipywidgets import VBox

from kmskit import CapabilityTable, Key, KeySpec, KeyUsage, Kms, Protection, markup
from kmskit.algorithms import SPECS
from kmskit.uri import parse
from kmskit.widgets import controls

__all__ = ["CreateForm", "can_choose_protection"]

_USAGES = {
    KeyUsage.ENCRYPT_DECRYPT: "encrypt and decrypt",
    KeyUsage.SIGN_VERIFY: "sign and verify",
    KeyUsage.GENERATE_VERIFY_MAC: "make and verify MACs",
}


def can_choose_protection(kms: Kms) -> bool:
    """Whether keys of both kinds can be made: not in a store or token, and not in a KMS instance, which has its own."""
    return kms.backend not in ("software", "pkcs11") and "instance" not in parse(kms.uri).query


class CreateForm(VBox):  # type: ignore[misc]  # ipywidgets carries no types.
    """Fields for a new key. Nothing is made before `Create` is clicked.

    Args:
        kms: where keys are made.
        submit: called for `Create`.
        leave: called for `Cancel`.
    """

    def __init__(self, kms: Kms, submit: Callable[[], object], leave: Callable[[], object]) -> None:
        self.alias = controls.text("Alias", "a name, such as orders")
        self.spec = controls.choice("Spec", [], wide=True)
        self.usage = controls.choice("Usage", [], wide=True)
        self.protection = controls.choice("Protection", [("as the service decides", ""), *map(str, Protection)])
        self.description = controls.text("Description", "what it is for")
        self.tags = controls.long_text("Tags, one a line", "team = payments")
        self.create = controls.button("Create", submit, "primary once", "Make this key")
        self.cancel = controls.button("Cancel", leave, tip="Make no key")
        self._left_out = controls.say(kind="note")
        controls.show(self.protection, can_choose_protection(kms))
        self.spec.observe(self._choose_usage, "value")
        super().__init__(
            [
                controls.section(
                    "New key",
                    controls.row(self.alias),
                    controls.row(self.spec, self.usage, self.protection),
                    self._left_out,
                    controls.row(self.description),
                    controls.row(self.tags),
                    controls.row(self.create, self.cancel),
                )
            ]
        )
        self.add_class("kms-panel")

    def offer(self, table: CapabilityTable) -> None:
        """Offer what this Kms makes, and tell what it does not."""
        controls.offer(self.spec, [(str(spec), str(spec)) for spec in KeySpec if table[spec, "create"]])
        left_out = {spec: table[spec, "create"].reason for spec in KeySpec if not table[spec, "create"]}
        named = ", ".join(
            f'<span title="{markup.escape(reason)}">{markup.escape(spec)}</span>' for spec, reason in left_out.items()
        )
        self._left_out.value = f"Not made here: {named}." if named else ""

    def _choose_usage(self, _: object) -> None:
        spec = SPECS.get(self.spec.value)
        usages = [(_USAGES[usage], str(usage)) for usage in spec.algorithms] if spec else []
        controls.offer(self.usage, usages)
        self.usage.disabled = len(usages) < 2

    def wanted(self) -> Mapping[str, Any]:
        """The arguments of `kms.create_key`.

        Raises:
            ValueError: the tags are not `name = value`.
        """
        return {
            "alias": self.alias.value.strip() or None,
            "spec": self.spec.value,
            "usage": self.usage.value,
            "protection": self.protection.value or None,
            "description": self.description.value.strip(),
            "tags": controls.pairs_of(self.tags.value, "tags"),
        }

    def made(self, key: Key) -> None:
        """Be ready for another one."""
        for field in (self.alias, self.description, self.tags):
            field.value = ""
