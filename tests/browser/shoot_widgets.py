"""The pictures of the widgets that docs/widgets.md shows: python -m tests.browser.shoot_widgets [FOLDER]

Each widget is used in JupyterLab as its readers will use it. With FOLDER the pictures go there, and those of the dark
theme too.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page

from tests.browser import lab

DOCS = lab.ROOT / "docs" / "widgets"

KEYS = """\
import kmskit
cloud = kmskit.emulator.start()
kms = cloud.connect(instance="software")
for alias, spec, use in (
    ("orders", "AES_256", "card numbers"), ("invoices", "AES_256", "addresses"), ("releases", "EC_P256", "what ships"),
    ("webhooks", "HMAC_256", "what partners send"), ("backups", "RSA_4096", "the nightly copy"),
):
    kms.create_key(alias, spec=spec, description=use, tags={"team": "payments"})
kms.key("invoices").disable()
kms.key("webhooks").schedule_deletion(30)
"""

INSPECTOR = """\
key = kms.key("orders")
message = kmskit.envelope.encrypt(b"1001,borealis,68.87", [key], context={"tenant": "acme"})
kmskit.widgets.EnvelopeInspector(message, keys=[key])
"""
PERMISSIONS = """\
for name, policy in {"admin": "AliyunKMSFullAccess", "app": "AliyunKMSCryptoUserAccess"}.items():
    cloud.ram.create_user(name, policies=[policy])
cloud.ram.create_user("auditor", policies=["AliyunKMSReadOnlyAccess"])
no_cards = {"Sid": "no cards", "Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*"}
cloud.ram.create_policy("keeper", {"Version": "1", "Statement": [no_cards]})
who = {"root": cloud.ram.root, "admin": "admin", "app": "app", "auditor": "auditor"}
kmskit.widgets.Permissions(cloud, who, kms.key("orders").id, policies=["keeper"])
"""


def use_console(page: Page, tile: Locator) -> None:
    tile.get_by_role("option", name="orders").click()
    tile.get_by_role("button", name="Rotate now").click()
    tile.get_by_text("A new version encrypts").wait_for()


def use_playground(page: Page, tile: Locator) -> None:
    tile.get_by_label("Context").fill("tenant = acme")
    tile.get_by_role("button", name="Encrypt").click()
    tile.get_by_text("A CiphertextBlob").wait_for()
    tile.get_by_label("Byte", exact=True).fill("52")
    tile.get_by_label("Byte", exact=True).press("Tab")
    tile.get_by_role("button", name="Flip its lowest bit").click()
    tile.get_by_text("Changed in the ciphertext").wait_for()
    tile.get_by_role("button", name="Decrypt").click()
    tile.get_by_text("InvalidCiphertextError").first.wait_for()


def use_inspector(page: Page, tile: Locator) -> None:
    tile.get_by_text("It opens").wait_for()
    tile.locator('[role=gridcell][aria-label$=", value"]').nth(2).dblclick()
    tile.get_by_text("InvalidCiphertextError").first.wait_for()


def use_nonces(page: Page, tile: Locator) -> None:
    tile.get_by_text("2,304 of 2,304").wait_for()


def use_lifecycle(page: Page, tile: Locator) -> None:
    for step in ("Rotate", "Disable", "Enable", "Schedule deletion", "+30 days", "Purge"):
        tile.get_by_role("button", name=step, exact=True).click()
    tile.get_by_text("destroyed").wait_for()


def use_sequences(page: Page, tile: Locator) -> None:
    tile.get_by_text("8 of 8 messages").wait_for()


def use_permissions(page: Page, tile: Locator) -> None:
    tile.get_by_label("User or role").select_option("admin")
    tile.get_by_role("button", name="Attach").click()
    tile.get_by_text("admin may no longer Decrypt").wait_for()
    tile.get_by_title("admin, Decrypt").click()


WIDGETS: dict[str, tuple[str, Callable[[Page, Locator], None]]] = {
    "key-console": ("kmskit.widgets.KeyConsole(kms)", use_console),
    "playground": ("kmskit.widgets.Playground(kms)", use_playground),
    "envelope-inspector": (INSPECTOR, use_inspector),
    "nonce-reuse": ("kmskit.widgets.NonceReuse()", use_nonces),
    "lifecycle": ("kmskit.widgets.Lifecycle()", use_lifecycle),
    "sequences": ('kmskit.widgets.Sequences("envelope")', use_sequences),
    "permissions": (PERMISSIONS, use_permissions),
}
"""Name of the picture -> the cell that shows the widget, and what is done with it."""


def shoot(page: Page, url: str, served: Path, name: str, folder: Path, *, dark: bool) -> None:
    """Use a widget, and leave its picture in a folder."""
    cell, use = WIDGETS[name]
    lab.open_notebook(page, url, lab.notebook_of(served, name, KEYS, cell))
    lab.run_all(page)
    tile = page.locator(".kms-tile")
    use(page, tile)
    for theme in ("light", "dark") if dark else ("light",):
        lab.show_theme(page, theme)
        page.mouse.move(0, 0)
        page.evaluate("() => document.activeElement.blur()")
        page.wait_for_timeout(300)  # Themes fade.
        path = folder / (f"{name}.png" if theme == "light" else f"{name}-dark.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        tile.screenshot(path=path)
        print(f"{path}: {path.stat().st_size:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.browser.shoot_widgets", description="Take the docs' pictures."
    )
    parser.add_argument("folder", type=Path, nargs="?", help="instead of docs/widgets, and the dark theme too")
    parser.add_argument("--only", choices=WIDGETS, help="this widget alone")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        scratch = Path(place)
        served = scratch / "served"
        served.mkdir()
        with lab.serving(served, scratch) as url, lab.browsing(scratch, width=1100) as browser:
            for name in [asked.only] if asked.only else WIDGETS:
                shoot(browser.new_page(), url, served, name, asked.folder or DOCS, dark=asked.folder is not None)


if __name__ == "__main__":
    main()
