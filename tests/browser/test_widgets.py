"""The widgets as people use them: in JupyterLab, with a pointer or a keyboard, in both themes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

import kmskit
from kmskit import markup
from kmskit.testing import hostile
from kmskit.widgets import KeyConsole, Playground
from tests.browser import lab

pytestmark = pytest.mark.browser

Shower = Callable[..., Locator]

CONSOLE = """\
import kmskit
cloud = kmskit.emulator.start()
kms = cloud.connect(instance="software")
for alias in ("orders", "invoices", "backups"):
    kms.create_key(alias, tags={"team": "payments"})
kms.create_key("releases", spec="EC_P256")
kmskit.widgets.KeyConsole(kms)
"""
PLAYGROUND = """\
import kmskit
kms = kmskit.connect("software:?memory=1")
kms.create_key("orders")
kms.create_key("releases", spec="ED25519")
kmskit.widgets.Playground(kms)
"""
HOSTILE = """\
import kmskit
from kmskit.testing import hostile
kms = kmskit.connect("software:?memory=1")
for text in hostile.STRINGS:
    kms.create_key(text, description=text, tags={"team": text})
kmskit.widgets.KeyConsole(kms)
"""
TWO = """\
import kmskit
kms = kmskit.connect("software:?memory=1")
kms.create_key("orders")
console = kmskit.widgets.KeyConsole(kms)
display(console, console, kmskit.widgets.KeyConsole(kms))
"""
SECRET = "4111 1111 1111 1111"

# The first command turns "Save Widget State Automatically" on, the last one off again.
SAVE_WITH_STATE = """() => {
    const run = name => jupyterapp.commands.execute(name);
    const toggle = '@jupyter-widgets/jupyterlab-manager:saveWidgetState';
    const change = async () => {
        await run(toggle);
        while (!jupyterapp.commands.isToggled(toggle)) await new Promise(done => setTimeout(done, 50));
        await run('docmanager:save');
        await run(toggle);
    };
    change().then(() => { window.saved = true });
}"""


@pytest.fixture
def show(page: Page, jupyterlab: str, served: Path) -> Shower:
    """Runs a notebook of one cell, and gives the widget that it shows."""

    def run(name: str, cell: str) -> Locator:
        lab.open_notebook(page, jupyterlab, lab.notebook_of(served, name, cell))
        assert lab.run_all(page)
        return page.locator(".kms-tile:visible")

    return run


def take_pictures(page: Page, tile: Locator, artifacts: Path, name: str) -> None:
    """For people to look at, in both themes."""
    artifacts.mkdir(exist_ok=True)
    for theme in reversed(lab.THEMES):  # The light one last, which stays.
        lab.show_theme(page, theme)
        tile.screenshot(path=artifacts / f"{name}-{theme}.png")


def test_keys_are_looked_through_made_and_changed(page: Page, show: Shower, artifacts: Path) -> None:
    console = show("key-console", CONSOLE)
    button = lambda name: console.get_by_role("button", name=name, exact=True)  # noqa: E731
    keys = console.get_by_role("listbox", name="Keys").get_by_role("option")
    expect(keys).to_have_count(4)
    expect(console.get_by_text("PrivateKmsCA_")).to_be_visible()

    keys.filter(has_text="invoices").click()
    expect(console.get_by_text("team = payments")).to_be_visible()
    expect(button("Enable")).to_be_disabled()
    expect(console.get_by_text("Enable: it is enabled.")).to_be_visible()
    button("Disable").click()
    expect(console.get_by_text("Every use is refused until it is enabled.")).to_be_visible()
    expect(keys.filter(has_text="invoices")).to_contain_text("DISABLED")
    take_pictures(page, console, artifacts, "key-console")

    console.get_by_label("Days until then").fill("12")
    console.get_by_label("Days until then").press("Tab")
    button("Schedule deletion").click()
    button("Yes, schedule it in 12 days").click()
    expect(keys.filter(has_text="invoices")).to_contain_text("PENDING_DELETION")
    button("Cancel deletion").click()
    expect(console.get_by_text("It stays, as it was before.")).to_be_visible()

    button("New key").click()
    console.get_by_label("Alias", exact=True).fill("webhooks")
    spec = console.locator(".kms-panel").get_by_label("Spec")
    expect(spec.locator("option", has_text="HMAC_256")).to_have_count(1)
    expect(spec.locator("option", has_text="ED25519")).to_have_count(0)  # A software instance has none.
    spec.select_option("HMAC_256")
    console.screenshot(path=artifacts / "key-console-new-light.png")
    button("Create").click()
    expect(keys.filter(has_text="webhooks")).to_have_attribute("aria-selected", "true")
    expect(console.get_by_text("The key was made.")).to_be_visible()

    console.get_by_label("One more alias").fill("orders")
    console.get_by_label("One more alias").press("Tab")
    button("Add").click()
    expect(console.get_by_text("AlreadyExistsError")).to_be_visible()
    console.screenshot(path=artifacts / "key-console-refused-light.png")
    button("Move it here").click()
    expect(console.get_by_title("Remove the alias orders")).to_be_visible()

    console.get_by_label("Search").press_sequentially("backup")
    expect(keys).to_have_count(1)


def test_keys_are_changed_by_keyboard_alone(page: Page, show: Shower) -> None:
    console = show("key-console-keyboard", CONSOLE)
    keys = console.get_by_role("listbox", name="Keys").get_by_role("option")
    expect(keys).to_have_count(4)
    console.get_by_label("Search").focus()
    for _ in range(4):  # Over the three filters, to the list.
        page.keyboard.press("Tab")
    expect(console.get_by_role("listbox", name="Keys")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(console.locator("[role=option][aria-selected=true]")).to_contain_text("invoices")
    disable = console.get_by_role("button", name="Disable", exact=True)
    expect(disable).to_be_enabled()
    page.keyboard.press("Tab")
    expect(disable).to_be_focused()
    page.keyboard.press("Enter")
    expect(console.locator("[role=option][aria-selected=true]")).to_contain_text("DISABLED")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("End")
    expect(console.locator("[role=option][aria-selected=true]")).to_contain_text("releases")
    expect(page.locator(".jp-mod-editMode")).to_have_count(0)  # The keys did not reach the notebook.


def test_a_ciphertext_is_made_changed_and_refused(page: Page, show: Shower, served: Path, artifacts: Path) -> None:
    artifacts.mkdir(exist_ok=True)
    playground = show("playground", PLAYGROUND)
    button = lambda name: playground.get_by_role("button", name=name, exact=True)  # noqa: E731
    playground.get_by_label("Plaintext").fill(SECRET)
    playground.get_by_label("Context").fill("tenant = acme")
    button("Encrypt the plaintext").or_(button("Encrypt")).click()
    expect(playground.get_by_text("52 bytes. The local backends' ciphertext.")).to_be_visible()
    playground.get_by_role("gridcell", name="byte 20,").dblclick()
    expect(playground.get_by_text("Changed in the ciphertext: byte 20.")).to_be_visible()
    button("Decrypt").click()
    expect(playground.get_by_role("status").get_by_text("InvalidCiphertextError")).to_be_visible()
    expect(playground.get_by_text("bytes, key, context and algorithm must be")).to_be_visible()
    playground.screenshot(path=artifacts / "playground-refused-light.png")

    button("Undo the flips").click()
    playground.get_by_label("Plaintext").fill("something else")
    button("Decrypt").click()
    expect(playground.get_by_text("19 bytes, another text than is typed above now")).to_be_visible()
    expect(playground.get_by_text(SECRET)).to_be_visible()
    take_pictures(page, playground, artifacts, "playground")
    calls = playground.get_by_role("list", name="Calls").get_by_role("listitem")
    expect(calls).to_have_count(4)
    expect(calls.first).to_contain_text("1 call")

    # What JupyterLab saves, with the state of all widgets if a user asks for that, holds no decrypted text.
    page.evaluate(SAVE_WITH_STATE)
    page.wait_for_function("() => window.saved")
    stored = (served / "playground.ipynb").read_text()
    assert "application/vnd.jupyter.widget-state+json" in stored
    assert SECRET not in stored


def test_a_signature_is_verified_by_keyboard_alone(page: Page, show: Shower) -> None:
    playground = show("playground-keyboard", PLAYGROUND)
    expect(playground.get_by_label("Key", exact=True).locator("option")).to_have_count(2)
    playground.get_by_label("Key", exact=True).focus()
    page.keyboard.press("ArrowDown")  # To the second key.
    expect(playground.get_by_label("Message", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("v1.2.0")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(playground.get_by_text("64 bytes. An Ed25519 signature")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(playground.get_by_text("Changed in the signature: byte 1.")).to_be_visible()
    verify = playground.get_by_role("button", name="Verify", exact=True)
    for _ in range(20):
        if verify.evaluate("button => button === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(playground.get_by_role("status").get_by_text("InvalidSignatureError")).to_be_visible()


def test_two_consoles_on_a_page_do_not_get_in_each_others_way(page: Page, show: Shower) -> None:
    consoles = show("two-consoles", TWO)
    expect(consoles).to_have_count(3)
    for console in consoles.all():
        expect(console.get_by_role("listbox", name="Keys").get_by_role("option")).to_have_count(1)
    ids = page.locator("[role=option][id]").evaluate_all("options => options.map(option => option.id)")
    assert len(set(ids)) == 3

    first, again, other = consoles.all()
    first.get_by_role("listbox", name="Keys").get_by_role("option").click()
    first.get_by_role("button", name="Rotate now").dblclick()
    for view in (first, again):  # The same widget, shown twice.
        expect(view.get_by_text("A new version encrypts from now on")).to_be_visible()
        expect(view.get_by_role("cell", name="2, primary")).to_be_visible()
    expect(other.get_by_role("button", name="Rotate now")).not_to_be_visible()


def test_strings_of_others_stay_text(page: Page, show: Shower) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    console = show("hostile", HOSTILE)
    keys = console.get_by_role("listbox", name="Keys").get_by_role("option")
    expect(keys).to_have_count(len(hostile.STRINGS))
    for place, text in enumerate(hostile.STRINGS):
        keys.nth(place).click()
        expect(console.get_by_text(f"team = {markup.printable(text)}")).to_be_visible()
    assert console.locator("img, script, iframe, [onerror], [onmouseover]").count() == 0


def test_without_a_kernel_the_stored_table_is_shown(page: Page, jupyterlab: str, served: Path, artifacts: Path) -> None:
    with kmskit.connect("software:?memory=1") as kms:
        kms.create_key("orders")
        console, playground = KeyConsole(kms), Playground(kms)
        bundles = [console._repr_mimebundle_(), playground._repr_mimebundle_()]
        console.close()
        playground.close()
    path = lab.notebook_of(served, "stored", "KeyConsole(kms)", "Playground(kms)")
    notebook = nbformat.read(served / path, as_version=4)
    for cell, bundle in zip(notebook.cells, bundles, strict=True):
        data = json.loads(json.dumps(bundle))
        cell.outputs = [nbformat.v4.new_output("execute_result", data, execution_count=1)]
    nbformat.write(notebook, served / path)
    lab.open_notebook(page, jupyterlab, path)
    expect(page.get_by_role("cell", name="orders")).to_be_visible()
    lab.take_pictures(page, artifacts / "widgets-stored.png")
