"""`KeyConsole`, clicked: on the software backend, a SoftHSM token and the emulator, and by one who may not list."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from ipywidgets import HTML
from ipywidgets.widgets.widget import _instances

import kmskit
from kmskit import Key, KeySpec, Kms
from kmskit.emulator import Cloud
from kmskit.notebook import scratch
from kmskit.testing import hostile
from kmskit.widgets import KeyConsole
from tests.widgets.looking import assert_safe, masked, parts_of

Opener = Callable[..., KeyConsole]


@pytest.fixture
def console_of() -> Iterator[Opener]:
    """Opens consoles, and closes them at the end."""
    opened: list[KeyConsole] = []

    def open_console(kms: Kms, **options: int) -> KeyConsole:
        opened.append(KeyConsole(kms, **options))
        opened[-1].settle()
        return opened[-1]

    yield open_console
    for console in opened:
        console.close()


def titles(console: KeyConsole) -> list[str]:
    return [row["html"].partition("<b>")[2].partition("</b>")[0] for row in console.list.rows]


def choose(console: KeyConsole, alias: str) -> None:
    console.list.selected = console.kms.key(alias).id
    console.settle()


def text_of(console: KeyConsole) -> str:
    return "\n".join(part.value for part in parts_of(console) if isinstance(part, HTML))


# The list


def test_each_backend_is_listed_with_state_badges(any_kms: Kms, console_of: Opener) -> None:
    any_kms.create_key("orders")
    any_kms.create_key("releases", spec="EC_P256").disable()
    console = console_of(any_kms)
    assert titles(console) == ["orders", "releases"]
    assert "ENABLED" in console.list.rows[0]["html"]
    assert "EC_P256, signs" in console.list.rows[1]["html"]
    assert "DISABLED" in console.list.rows[1]["html"]
    assert console.shown.value == "2 keys"
    assert console.calls.value == f"{any_kms.calls:,} calls"


def test_an_empty_store_says_how_to_begin(kms: Kms, console_of: Opener) -> None:
    assert "New key" in console_of(kms).list.note


def test_many_keys_are_fetched_as_far_as_they_are_shown(kms: Kms, console_of: Opener) -> None:
    for number in range(60):
        kms.create_key(f"key-{number:02}")
    console = console_of(kms, page=25)
    assert len(console.list.rows) == 25
    assert console.shown.value == "The first 25 keys"
    assert len(console._listing.keys) == 26  # One more tells that there are more.

    console.more.click()
    console.settle()
    assert len(console.list.rows) == 50
    console.more.click()
    console.settle()
    assert len(console.list.rows) == 60
    assert console.shown.value == "60 keys"
    assert "kms-hidden" in console.more._dom_classes


def test_a_search_looks_through_keys_that_are_not_shown_yet(kms: Kms, console_of: Opener) -> None:
    for number in range(40):
        kms.create_key(
            f"key-{number:02}", description="the nightly copy" if number == 33 else "", tags={"n": f"{number}"}
        )
    console = console_of(kms, page=10)
    for text, found in (("KEY-39", ["key-39"]), ("nightly", ["key-33"]), ("n = 21", ["key-21"]), ("no such", [])):
        console.search.value = text
        console.settle()
        assert titles(console) == found
    assert "like that" in console.list.note


def test_of_several_searches_the_last_one_counts(kms: Kms, console_of: Opener) -> None:
    for number in range(30):
        kms.create_key(f"key-{number:02}")
    console = console_of(kms)
    for text in ("k", "ke", "key-1", "key-12"):
        console.search.value = text
    console.settle()
    assert titles(console) == ["key-12"]


def test_a_search_that_is_no_longer_wanted_is_given_up(kms: Kms, console_of: Opener) -> None:
    for number in range(30):
        kms.create_key(f"key-{number:02}")
    console = console_of(kms, page=5)
    begun, go, pulled, seen = threading.Event(), threading.Event(), [], []

    def slow(source: Iterator[Key]) -> Iterator[Key]:
        for key in source:
            begun.set()
            go.wait(30)
            pulled.append(key)
            yield key

    console._listing._source = slow(console._listing._source)
    console.list.observe(lambda change: seen.append(len(change["new"])), "rows")
    console.search.value = "no such"
    begun.wait(30)
    console.search.value = "key-0"
    go.set()
    console.settle()
    assert len(titles(console)) == 5
    assert len(pulled) == 1
    assert 0 not in seen  # What the first search found was not shown.


def test_the_store_filters_by_spec_usage_and_state(any_kms: Kms, console_of: Opener) -> None:
    any_kms.create_key("orders")
    any_kms.create_key("sealed", spec="RSA_2048", usage="ENCRYPT_DECRYPT")
    any_kms.create_key("releases", spec="EC_P256").disable()
    console = console_of(any_kms)
    for field, value, found in (
        (console.spec, "RSA_2048", ["sealed"]),
        (console.usage, "ENCRYPT_DECRYPT", ["orders", "sealed"]),
        (console.state, "DISABLED", ["releases"]),
    ):
        field.value = value
        console.settle()
        assert titles(console) == found
        field.value = ""
        console.settle()
        assert len(titles(console)) == 3


def test_a_key_that_others_made_is_there_after_a_refresh(kms: Kms, console_of: Opener) -> None:
    console = console_of(kms)
    kms.create_key("orders")
    console.refresh.click()
    console.settle()
    assert titles(console) == ["orders"]


# One key


def test_a_chosen_key_shows_its_own_card(any_kms: Kms, console_of: Opener) -> None:
    key = any_kms.create_key("orders", description="card numbers", tags={"team": "payments"})
    console = console_of(any_kms)
    choose(console, "orders")
    assert console.selected == key
    assert console.detail.card.value == any_kms.key("orders")._repr_html_()


def test_a_key_is_disabled_and_enabled(any_kms: Kms, console_of: Opener) -> None:
    any_kms.create_key("orders")
    console = console_of(any_kms)
    choose(console, "orders")
    assert console.detail.enable.disabled
    assert console.detail.notes["state"].value == "Enable: it is enabled."

    console.detail.disable.click()
    console.settle()
    assert any_kms.key("orders").state == "DISABLED"
    assert "Every use is refused" in console.told
    assert "DISABLED" in console.list.rows[0]["html"]
    assert console.detail.disable.disabled
    assert "Rotate: it is disabled; enable it first." in console.detail.notes["rotation"].value

    console.detail.enable.click()
    console.settle()
    assert console.calls.value == f"{any_kms.calls:,} calls"
    assert any_kms.key("orders").state == "ENABLED"


def test_a_key_is_rotated_by_hand_and_by_itself(any_kms: Kms, console_of: Opener) -> None:
    any_kms.create_key("orders")
    console = console_of(any_kms)
    choose(console, "orders")
    console.detail.rotate.click()
    console.settle()
    assert len(any_kms.key("orders").versions) == 2

    assert console.detail.stop_rotation.disabled
    console.detail.every.value = 30
    console.detail.set_rotation.click()
    console.settle()
    assert any_kms.key("orders").rotation_period == timedelta(days=30)
    assert console.detail.notes["rotation"].value == "It rotates by itself every 30 days."
    console.detail.stop_rotation.click()
    console.settle()
    assert any_kms.key("orders").rotation_period is None


def test_a_second_click_rotates_no_second_time(kms: Kms, console_of: Opener) -> None:
    kms.create_key("orders")
    console = console_of(kms)
    choose(console, "orders")
    go = threading.Event()
    console.work(lambda: go.wait(30), lambda _: None)  # A slow store.
    console.detail.rotate.click()
    console.detail.rotate.click()
    go.set()
    console.settle()
    assert len(kms.key("orders").versions) == 2


def test_after_a_fault_it_can_be_used_again(kms: Kms, console_of: Opener) -> None:
    def fault(_: Key) -> None:
        raise RuntimeError

    kms.create_key("orders")
    console = console_of(kms)
    choose(console, "orders")
    console.detail._act("Doing", fault, "never")
    with pytest.raises(RuntimeError):
        console.settle()
    console.detail.rotate.click()
    console.settle()
    assert len(kms.key("orders").versions) == 2


def test_whoever_looks_at_many_keys_leaves_no_parts_behind(kms: Kms, console_of: Opener) -> None:
    for alias in ("orders", "invoices"):
        kms.create_key(alias)
    console = console_of(kms)
    choose(console, "orders")
    before = len(_instances)
    choose(console, "invoices")
    assert len(_instances) == before


def test_why_a_key_cannot_be_rotated_is_told(any_kms: Kms, console_of: Opener) -> None:
    any_kms.create_key("releases", spec="EC_P256")
    console = console_of(any_kms)
    choose(console, "releases")
    assert console.detail.rotate.disabled
    assert console.detail.set_rotation.disabled
    assert "Rotate and rotate by itself: " in console.detail.notes["rotation"].value
    assert "move the alias" in console.detail.notes["rotation"].value


def test_deletion_is_scheduled_after_a_question_and_cancelled(any_kms: Kms, console_of: Opener) -> None:
    any_kms.create_key("orders")
    console = console_of(any_kms)
    choose(console, "orders")
    assert (console.detail.days.min, console.detail.days.max) == (7, 366)
    console.detail.days.value = 12
    console.detail.schedule.click()
    console.settle()
    assert any_kms.key("orders").state == "ENABLED"
    assert "In 12 days" in console.detail.question.value
    console.detail.keep.click()
    assert "kms-hidden" in console.detail._confirmation._dom_classes

    console.detail.schedule.click()
    console.detail.confirm.click()
    console.settle()
    key = any_kms.key("orders")
    assert key.state == "PENDING_DELETION"
    assert key.deletion_date is not None
    assert console.detail.notes["state"].value.startswith("Enable and disable: its deletion is scheduled")
    assert all(button.disabled for button in (console.detail.enable, console.detail.rotate, console.detail.schedule))

    console.detail.cancel_deletion.click()
    console.settle()
    assert any_kms.key("orders").state != "PENDING_DELETION"


def test_the_days_asked_about_are_the_days_that_are_scheduled(kms: Kms, console_of: Opener) -> None:
    kms.create_key("orders")
    console = console_of(kms)
    choose(console, "orders")
    console.detail.days.value = 366
    console.detail.schedule.click()
    console.detail.days.value = 7
    assert "kms-hidden" in console.detail._confirmation._dom_classes


def test_aliases_are_added_removed_and_moved(any_kms: Kms, console_of: Opener) -> None:
    any_kms.create_key("orders")
    any_kms.create_key("new-orders")
    console = console_of(any_kms)
    choose(console, "new-orders")
    console.detail.alias.value = "more"
    console.detail.add.click()
    console.settle()
    assert set(any_kms.key("new-orders").aliases) == {"new-orders", "more"}

    (more,) = [chip for chip in console.detail.chips.children if chip.description.startswith("more")]
    more.click()
    console.settle()
    assert any_kms.key("new-orders").aliases == ("new-orders",)

    assert "kms-hidden" in console.detail.move._dom_classes
    console.detail.alias.value = "orders"
    console.detail.add.click()
    console.settle()
    assert "AlreadyExistsError" in console.told
    assert "kms-hidden" not in console.detail.move._dom_classes
    console.detail.move.click()
    console.settle()
    assert any_kms.key("orders") == any_kms.key("new-orders")
    assert "moved" in console.told
    assert len(console._listing.keys) == 2
    assert console._listing.keys[0].aliases == ()


def test_an_alias_that_cannot_be_given_goes_back_to_its_key(kms: Kms, console_of: Opener) -> None:
    orders, other = kms.create_key("orders"), kms.create_key()
    console = console_of(kms)

    class Refuses:
        def add_alias(self, name: str) -> None:
            raise kmskit.AccessDeniedError("not you")

    with pytest.raises(kmskit.AccessDeniedError):
        console._move("orders")(Refuses())  # type: ignore[arg-type]
    orders.refresh()
    assert orders.aliases == ("orders",)
    assert other.aliases == ()


def test_a_state_that_others_changed_is_seen_after_the_refusal(kms: Kms, console_of: Opener) -> None:
    key = kms.create_key("orders")
    console = console_of(kms)
    choose(console, "orders")
    key.schedule_deletion(7)
    console.detail.disable.click()
    console.settle()
    assert "KeyStateError" in console.told
    assert "PENDING_DELETION" in console.detail.card.value
    assert not console.detail.cancel_deletion.disabled


# New keys


def test_only_what_the_backend_makes_is_offered(any_kms: Kms, console_of: Opener) -> None:
    console = console_of(any_kms)
    console.new.click()
    console.settle()
    offered = {value for _, value in console.form.spec.options}
    assert offered == {str(spec) for spec in KeySpec if any_kms.supports(spec, "create")}
    for spec in KeySpec:
        assert (f">{spec}<" in console.form._left_out.value) == (str(spec) not in offered)


def test_a_key_is_made_and_chosen(any_kms: Kms, console_of: Opener) -> None:
    console = console_of(any_kms)
    console.new.click()
    console.settle()
    form = console.form
    form.alias.value, form.description.value = " sealed ", "for partners"
    form.tags.value = "team = payments\n\nstage = test"
    form.spec.value, form.usage.value = "RSA_2048", "ENCRYPT_DECRYPT"
    form.create.click()
    console.settle()
    key = any_kms.key("sealed")
    assert (key.spec, key.usage, key.description) == ("RSA_2048", "ENCRYPT_DECRYPT", "for partners")
    assert dict(key.tags) == {"team": "payments", "stage": "test"}
    assert console.selected == key
    assert console.list.selected == key.id
    assert titles(console) == ["sealed"]
    assert "made" in console.told
    assert form.alias.value == ""


def test_a_new_key_is_seen_though_others_are_not_fetched_yet(kms: Kms, console_of: Opener) -> None:
    others = [f"key-{number:03}" for number in range(600)]  # More than the store hands over at once.
    for alias in others:
        kms.create_key(alias)
    console = console_of(kms, page=400)
    console.new.click()
    console.form.alias.value = "mine"
    console.form.create.click()
    console.settle()
    assert titles(console) == ["mine", *others[:399]]
    console.more.click()
    console.settle()
    assert titles(console) == ["mine", *others]


def test_what_cannot_be_made_is_told_and_stays_in_the_form(kms: Kms, console_of: Opener) -> None:
    kms.create_key("orders")
    console = console_of(kms)
    console.new.click()
    console.settle()
    console.form.alias.value = "orders"
    console.form.create.click()
    console.settle()
    assert "AlreadyExistsError" in console.told
    assert "kms.key(&#x27;orders&#x27;)" in console.told  # The hint.
    assert console.form.alias.value == "orders"
    console.form.tags.value = "no pair"
    console.form.create.click()
    console.settle()
    assert "tags: name = value expected in line 1" in console.told


def test_a_second_click_makes_no_second_key(kms: Kms, console_of: Opener) -> None:
    console = console_of(kms)
    console.new.click()
    console.settle()
    console.form.spec.value = "RSA_4096"
    console.form.create.click()
    console.form.create.click()
    console.settle()
    assert len(list(kms.keys())) == 1


def test_a_key_that_takes_long_does_not_stop_the_kernel(token_kms: Kms, console_of: Opener) -> None:
    console = console_of(token_kms)
    console.new.click()
    console.settle()
    console.form.spec.value = "RSA_4096"
    console.form.create.click()  # Comes back at once, or the key would be there already.
    assert console.selected is None
    console.settle()
    assert console.selected is not None
    assert console.selected.spec == "RSA_4096"


def test_protection_can_be_chosen_where_there_is_a_choice(cloud: Cloud, console_of: Opener, kms: Kms) -> None:
    for other in (kms, cloud.connect(instance="software")):
        assert "kms-hidden" in console_of(other).form.protection._dom_classes
    console = console_of(cloud.connect())
    assert "kms-hidden" not in console.form.protection._dom_classes
    console.new.click()
    console.settle()
    console.form.alias.value, console.form.protection.value = "guarded", "HSM"
    console.form.create.click()
    console.settle()
    assert console.selected is not None
    assert console.selected.protection == "HSM"


# One who may not list, and where the keys are


def test_one_who_may_not_list_opens_a_key_by_its_name(cloud: Cloud, cloud_kms: Kms, console_of: Opener) -> None:
    cloud_kms.create_key("orders")
    user = cloud.ram.create_user("app", policies=["AliyunKMSCryptoUserAccess"])
    console = console_of(cloud.connect(user, instance="software"))
    assert "AccessDeniedError" in console.told
    assert "hint" in console.told
    assert "AccessDeniedError" in console.still()["text/html"]
    assert console.list.rows == []

    console.by_name.name.value = "orders"
    console.by_name.submit.click()
    console.settle()
    assert console.selected is not None
    assert len(console.list.rows) == 1
    assert "not told" in console.list.rows[0]["html"]
    assert not console.detail.disable.disabled
    assert "the service decides" in console.detail.notes["state"].value
    console.detail.disable.click()
    console.settle()
    assert "AccessDeniedError" in console.told
    assert cloud_kms.key("orders").state == "ENABLED"
    assert_safe(console)


def test_a_service_that_was_away_is_listed_again(tmp_path: Path, console_of: Opener) -> None:
    with kmskit.emulator.start(data_dir=tmp_path) as cloud:
        kms = cloud.connect(instance="software")
        kms.create_key("orders")
        console = console_of(kms)
        ports = [int(place.rpartition(":")[2]) for place in (cloud.endpoint, *gateways_of(cloud))]
    console.refresh.click()
    console.settle()
    assert "ServiceUnavailableError" in console.told
    assert "hint" in console.told
    assert "kms-hidden" in console.by_name._dom_classes  # Who may list needs no names.
    with kmskit.emulator.start(data_dir=tmp_path, port=ports[0], instance_ports=(ports[1], ports[2])):
        console.search.value = "orders"
        console.settle()
        assert titles(console) == ["orders"]
        assert "ServiceUnavailableError" not in console.told


def gateways_of(cloud: Cloud) -> list[str]:
    return [cloud.instances[model].endpoint for model in ("software", "hardware")]


def test_one_who_may_list_now_finds_the_keys(cloud: Cloud, cloud_kms: Kms, console_of: Opener) -> None:
    cloud_kms.create_key("orders")
    user = cloud.ram.create_user("app", policies=["AliyunKMSCryptoUserAccess"])
    console = console_of(cloud.connect(user, instance="software"))
    assert "kms-hidden" not in console.by_name._dom_classes
    cloud.ram.attach("app", "AliyunKMSReadOnlyAccess")
    console.refresh.click()
    console.settle()
    assert titles(console) == ["orders"]
    assert "kms-hidden" in console.by_name._dom_classes
    assert "kms-hidden" not in console._filters._dom_classes


def test_the_gateways_and_cas_of_an_instance_are_told(cloud: Cloud, cloud_kms: Kms, console_of: Opener) -> None:
    told = text_of(console_of(cloud_kms))
    instance = cloud.instances["software"]
    for fact in (instance.id, instance.endpoint, instance.ca_path, cloud.endpoint, cloud.ca_path):
        assert fact in told


# What a notebook stores


def test_the_same_table_is_stored_on_every_backend(
    kms: Kms, token_kms: Kms, cloud_kms: Kms, console_of: Opener
) -> None:
    stored = set()
    for each in (kms, token_kms, cloud_kms):
        each.create_key("orders", tags={"team": "payments"})
        each.create_key(spec="EC_P256").disable()
        stored.add(masked(console_of(each).still()["text/html"]))
    (table,) = stored
    for cell in ("orders", "AES_256", "SIGN_VERIFY", "DISABLED", "team = payments"):
        assert cell in table


def test_the_prefix_of_a_scratch_notebook_is_no_part_of_a_label(console_of: Opener) -> None:
    with scratch() as kms:
        kms.create_key("orders")
        console = console_of(kms)
        console.list.selected = console.list.rows[0]["id"]
        (chip,) = console.detail.chips.children
        assert chip.description == "orders  ×"
        chip.click()
        console.settle()
        assert console.selected is not None
        assert console.selected.aliases == ()


def test_the_stored_table_waits_for_the_keys(cloud_kms: Kms) -> None:
    cloud_kms.create_key("orders")
    console = KeyConsole(cloud_kms)
    assert "orders" in console._repr_mimebundle_()["text/html"]
    assert console._repr_mimebundle_()["text/plain"] == "<KeyConsole>"
    console.close()


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_strings_of_others_take_over_nothing(kms: Kms, console_of: Opener, text: str) -> None:
    kms.create_key(text, description=text, tags={text: text})
    other = kms.create_key("other")
    console = console_of(kms)
    assert_safe(console)
    choose(console, text)
    assert_safe(console)
    console.list.selected = other.id
    console.detail.alias.value = text
    console.detail.add.click()
    console.settle()
    assert "AlreadyExistsError" in console.told
    assert_safe(console)
    console.search.value = text
    console.settle()
    assert len(console.list.rows) == 1
    (chip,) = [chip for chip in console.detail.chips.children if chip.description.startswith("other")]
    chip.click()
    console.settle()
    assert_safe(console)
