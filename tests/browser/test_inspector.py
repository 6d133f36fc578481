"""The five visuals as people use them: in JupyterLab, with a pointer or a keyboard, in both themes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

import kmskit
from kmskit import envelope
from kmskit.widgets import EnvelopeInspector, Lifecycle, NonceReuse, Sequences
from tests import parts
from tests.browser import lab

pytestmark = pytest.mark.browser

INSPECTOR = """\
import kmskit
from kmskit import envelope
key = kmskit.connect("software:?memory=1").create_key("orders")
message = envelope.encrypt(bytes(100_000), [key], context={context!r}, frame_length=4096)
kmskit.widgets.EnvelopeInspector(message, keys=[key])
"""
ORDERS = """\
from kmskit.widgets import ByteMap
for order in (["_seen", "_view", "_changed"], ["_view", "_changed", "_seen"]):
    grid = ByteMap(bytes(40))
    display(grid)
    with grid.hold_sync():
        grid.show(b"ab")
        grid._states_to_send.clear()
    grid.send_state(order)
"""
PERMISSIONS = """\
import kmskit
cloud = kmskit.emulator.start()
for name, policies in {"admin": ["AliyunKMSFullAccess"], "auditor": ["AliyunKMSReadOnlyAccess"]}.items():
    cloud.ram.create_user(name, policies=policies)
no_cards = {"Sid": "no cards", "Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*"}
cloud.ram.create_policy("keeper", {"Version": "1", "Statement": [no_cards]})
key = cloud.connect(instance="software").create_key("orders")
who = {"root": cloud.ram.root, "admin": "admin", "auditor": "auditor"}
kmskit.widgets.Permissions(cloud, who, key.id, policies=["keeper"])
"""


@pytest.fixture
def show(page: Page, jupyterlab: str, served: Path) -> Callable[[str, str], Locator]:
    """Runs a notebook of one cell, and gives the widget that it shows."""

    def run(name: str, cell: str) -> Locator:
        lab.open_notebook(page, jupyterlab, lab.notebook_of(served, name, cell))
        assert lab.run_all(page)
        return page.locator(".kms-tile:visible")

    return run


Shower = Callable[[str, str], Locator]


def take_pictures(page: Page, tile: Locator, artifacts: Path, name: str) -> None:
    artifacts.mkdir(exist_ok=True)
    for theme in lab.THEMES:
        lab.show_theme(page, theme)
        tile.screenshot(path=artifacts / f"{name}-{theme}.png")
    lab.show_theme(page, "light")


def byte(tile: Locator, offset: int) -> Locator:
    return tile.locator(f'[role=gridcell][data-at="{offset}"]')


def of_field(tile: Locator, field: str) -> int:
    """Where a field begins."""
    return int(tile.locator(f'[role=gridcell][aria-label$=", {field}"]').first.get_attribute("data-at") or "")


def test_a_byte_is_chosen_flipped_and_refused(page: Page, show: Shower, artifacts: Path) -> None:
    tile = show("inspector", INSPECTOR.format(context={"tenant": "acme"}))
    panel, status = tile.locator(".kms-bytes-panel"), tile.get_by_role("status")
    expect(status).to_contain_text("It opens: 100,000 bytes of plaintext.")
    assert 200 < tile.get_by_role("gridcell").count() < 1_200  # of more than 100,000

    value = of_field(tile, "value")
    byte(tile, value).hover()
    expect(panel).to_contain_text("acme")
    expect(panel).to_contain_text("of the same pair")
    byte(tile, value).dblclick()
    expect(byte(tile, value)).to_have_attribute("aria-label", f"byte {value}, 60, was 61, value")
    expect(status).to_contain_text("no recipient could open the envelope")
    expect(tile.get_by_text("1 byte changed")).to_be_visible()
    take_pictures(page, tile, artifacts, "inspector-refused")
    tile.get_by_role("button", name="Undo flips").click()
    expect(status).to_contain_text("It opens")

    byte(tile, 0).click()
    tile.get_by_role("button", name="bit 0 is 0, flip it").click()
    expect(status).to_contain_text("it begins with 03, not 02")
    expect(tile.get_by_text("not asked")).to_be_visible()
    tile.get_by_role("button", name="bit 0 is 1, flip it").click()
    expect(status).to_contain_text("It opens")

    commitment = of_field(tile, "commitment")
    tile.get_by_label("Field", exact=True).select_option(label=f"{commitment} · seal: commitment")
    expect(byte(tile, commitment)).to_have_attribute("aria-selected", "true")
    expect(panel).to_contain_text("of the data key: no other one is accepted")
    tile.get_by_text("fields as a list").click()
    expect(tile.get_by_role("cell", name="message id")).to_be_visible()
    take_pictures(page, tile, artifacts, "inspector")


def test_bytes_are_drawn_in_whatever_order_the_page_hears_of_them(page: Page, show: Shower) -> None:
    # Python's hashes are random, and with them the order in a message of what belongs together.
    orders = show("order", ORDERS)
    maps = page.locator(".kms-bytes-grid")
    expect(maps).to_have_count(2)
    assert orders.count() == 0
    for at in range(2):
        expect(maps.nth(at).get_by_role("gridcell")).to_have_text(["61", "62"])
        expect(maps.nth(at)).to_have_attribute("aria-label", "bytes, 2 bytes")


def test_bytes_are_walked_by_keyboard_alone(page: Page, show: Shower) -> None:
    tile = show("inspector-keyboard", INSPECTOR.format(context={"tenant": "acme"}))
    expect(tile.get_by_role("status")).to_contain_text("It opens")
    tile.get_by_label("Field", exact=True).focus()
    page.keyboard.press("Tab")  # The button is disabled, since nothing was flipped: so to the grid, its one tab stop.
    expect(byte(tile, 0)).to_be_focused()
    for key, offset in {"ArrowDown": 16, "ArrowRight": 17, "End": 31, "Home": 16, "PageDown": 144}.items():
        page.keyboard.press(key)
        expect(byte(tile, offset)).to_be_focused()
    page.keyboard.press("Control+Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(byte(tile, 1)).to_have_attribute("aria-label", "byte 1, 05, was 04, suite")
    expect(tile.get_by_role("status")).to_contain_text("InvalidCiphertextError")
    page.keyboard.press("f")
    expect(tile.get_by_role("status")).to_contain_text("It opens")
    page.keyboard.press("7")
    expect(byte(tile, 1)).to_have_attribute("aria-label", "byte 1, 84, was 04, suite")
    expect(byte(tile, 1)).to_be_focused()

    fold = tile.locator(".kms-bytes-fold").first
    before = tile.get_by_role("gridcell").count()
    fold.focus()
    page.keyboard.press("Enter")
    expect(tile.get_by_role("gridcell")).to_have_count(before + 512)
    assert page.evaluate("() => document.activeElement.dataset.at !== undefined")  # One goes on where the fold was.
    expect(page.locator(".jp-mod-editMode")).to_have_count(0)  # The keys did not reach the notebook.
    page.keyboard.press("Tab")
    assert page.evaluate("() => !document.activeElement.closest('.kms-bytes')")


def test_names_from_others_stay_text(page: Page, show: Shower) -> None:
    hostile = {"<img src=x onerror='window.pwned=1'>": "<script>window.pwned=1</script>"}
    tile = show("inspector-hostile", INSPECTOR.format(context=hostile))
    byte(tile, of_field(tile, "value")).click()
    expect(tile.locator(".kms-bytes-value")).to_have_text("<script>window.pwned=1</script>")
    tile.get_by_text("fields as a list").click()
    expect(tile.get_by_role("cell", name="<img src=x")).to_be_visible()
    assert page.evaluate("() => window.pwned === undefined")


def test_a_reused_nonce_shows_both_bitmaps(page: Page, show: Shower, artifacts: Path) -> None:
    tile = show("nonce-reuse", "import kmskit\nkmskit.widgets.NonceReuse()")
    expect(tile.get_by_role("status")).to_contain_text("2,304 of 2,304 pixels")
    take_pictures(page, tile, artifacts, "nonce-reuse")
    tile.get_by_role("button", name="One nonce for both").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(tile.get_by_role("status")).to_contain_text("as many as by tossing a coin")
    take_pictures(page, tile, artifacts, "nonce-fresh")


def test_a_key_is_led_to_its_end(page: Page, show: Shower, artifacts: Path) -> None:
    tile = show("lifecycle", "import kmskit\nkmskit.widgets.Lifecycle()")
    step = lambda name: tile.get_by_role("button", name=name, exact=True).click()  # noqa: E731
    step("Rotate")
    expect(tile.locator("svg text", has_text="version 2")).to_be_visible()
    step("Disable")
    expect(tile.get_by_text("DISABLED")).to_be_visible()
    step("Rotate")
    expect(tile.get_by_role("status")).to_contain_text("key.enable()")
    take_pictures(page, tile, artifacts, "lifecycle-refused")
    step("Enable")
    step("Schedule deletion")
    step("+30 days")
    tile.get_by_role("button", name="Purge").focus()
    page.keyboard.press("Enter")
    expect(tile.get_by_text("destroyed")).to_be_visible()
    expect(tile.locator("svg text", has_text="KeyNotFoundError")).to_have_count(2)
    take_pictures(page, tile, artifacts, "lifecycle")
    step("Start over")
    expect(tile.get_by_text("ENABLED")).to_be_visible()


def test_messages_are_stepped_through(page: Page, show: Shower, artifacts: Path) -> None:
    tile = show("sequences", "import kmskit\nkmskit.widgets.Sequences()")
    expect(tile.get_by_text("6 of 6 messages")).to_be_visible()
    for name, last in {"Envelope": "8 of 8", "Server-side": "13 of 13", "Direct": "6 of 6"}.items():
        tile.get_by_role("button", name=name).click()
        expect(tile.get_by_text(f"{last} messages")).to_be_visible(timeout=20_000)
        take_pictures(page, tile, artifacts, f"sequences-{name.lower()}")
    tile.get_by_role("button", name="Back").focus()
    for _ in range(5):
        page.keyboard.press("Enter")
    expect(tile.get_by_text("1 of 6 messages")).to_be_visible()
    expect(tile.get_by_role("row", name="KMS").get_by_text("✓")).to_have_count(1)


def test_an_hsm_wraps_what_the_program_made(page: Page, show: Shower, artifacts: Path) -> None:
    try:
        kmskit.softhsm.module_path()
    except kmskit.ConfigurationError:
        parts.missing("SoftHSM")
    tile = show("sequences-hsm", 'import kmskit\nkmskit.widgets.Sequences("hsm")')
    expect(tile.get_by_text("10 of 10 messages")).to_be_visible(timeout=20_000)
    take_pictures(page, tile, artifacts, "sequences-hsm")


def test_policies_change_who_may_do_what(page: Page, show: Shower, artifacts: Path) -> None:
    tile = show("permissions", PERMISSIONS)
    expect(tile.get_by_title("auditor, Encrypt: denied")).to_be_visible()
    tile.get_by_label("User or role").select_option("admin")
    tile.get_by_label("Policy", exact=True).select_option("keeper")
    tile.get_by_role("button", name="Attach").click()
    expect(tile.get_by_text("admin may no longer Decrypt.")).to_be_visible()
    tile.get_by_title("admin, Decrypt").focus()
    page.keyboard.press("Enter")
    expect(tile.locator("pre")).to_contain_text('"Sid": "no cards"')
    take_pictures(page, tile, artifacts, "permissions")

    policy = json.loads(tile.get_by_label("Key policy").input_value())
    everyone = policy["Statement"][0]["Principal"]
    deny = {"Sid": "it stays", "Effect": "Deny", "Action": "kms:ScheduleKeyDeletion", "Resource": "*"}
    policy["Statement"].append(deny | {"Principal": everyone})
    tile.get_by_label("Key policy").fill(json.dumps(policy))
    tile.get_by_role("button", name="Set key policy").click()
    expect(tile.get_by_text("root may no longer ScheduleKeyDeletion")).to_be_visible()
    tile.get_by_label("Key policy").fill("{")
    tile.get_by_role("button", name="Set key policy").click()
    expect(tile.get_by_text("in line 1, column 2")).to_be_visible()
    take_pictures(page, tile, artifacts, "permissions-refused")
    tile.get_by_role("button", name="As it was").click()
    expect(tile.get_by_text("root may now ScheduleKeyDeletion")).to_be_visible()


def test_without_a_kernel_what_was_stored_is_shown(page: Page, jupyterlab: str, served: Path) -> None:
    with kmskit.connect("software:?memory=1") as kms:
        key = kms.create_key("orders")
        inspector = EnvelopeInspector(envelope.encrypt(b"x", [key]), keys=[key])
        shown = [inspector, NonceReuse(), Lifecycle(), Sequences("envelope")]
        bundles = [tile._repr_mimebundle_() for tile in shown]
        for tile in shown:
            tile.close()
    path = lab.notebook_of(served, "stored-visuals", *(repr(type(tile)) for tile in shown))
    notebook = nbformat.read(served / path, as_version=4)  # type: ignore[no-untyped-call]
    for cell, bundle in zip(notebook.cells, bundles, strict=True):
        data = json.loads(json.dumps(bundle))
        cell.outputs = [nbformat.v4.new_output("execute_result", data, execution_count=1)]
    nbformat.write(notebook, served / path)  # type: ignore[no-untyped-call]
    lab.open_notebook(page, jupyterlab, path)
    # A notebook from others is not trusted, so JupyterLab shows the words in place of the pictures.
    stored = page.locator(".jp-OutputArea-output")
    for words in ("authenticates every byte above", "first XOR second", "version 1", "GenerateDataKey"):
        expect(stored.get_by_text(words).first).to_be_visible()
