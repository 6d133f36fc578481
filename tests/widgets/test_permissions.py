"""`Permissions`: the decisions are the emulator's, and changes of policies show in them and in real calls."""

from __future__ import annotations

import json

import pytest

import kmskit
from kmskit import Key
from kmskit.emulator import Cloud
from kmskit.testing import hostile
from kmskit.widgets.permissions import Permissions
from tests.widgets.looking import assert_safe, states

ACTIONS = ["Encrypt", "Decrypt", "ScheduleKeyDeletion"]


@pytest.fixture
def key(cloud: Cloud) -> Key:
    cloud.ram.create_user("admin", policies=["AliyunKMSFullAccess"])
    cloud.ram.create_user("clerk")
    no_cards = {"Sid": "no cards", "Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*"}
    cloud.ram.create_policy("keeper", {"Version": "1", "Statement": [no_cards]})
    return cloud.connect(instance="software").create_key("orders")


@pytest.fixture
def shown(cloud: Cloud, key: Key) -> Permissions:
    who = {"root": cloud.ram.root, "admin": "admin", "clerk": "clerk"}
    shown = Permissions(cloud, who, key.id, ACTIONS, policies=["keeper"])
    shown.settle()
    return shown


def cells(shown: Permissions, row: str) -> list[str]:
    shown.settle()
    return [shown.cells[row, action].description for action in ACTIONS]


def test_each_cell_says_which_policy_decides_it(shown: Permissions) -> None:
    assert cells(shown, "root") == ["✓ account root"] * 3
    assert cells(shown, "admin") == ["✓ AliyunKMSFullAccess"] * 3
    assert cells(shown, "clerk") == ["– "] * 3
    assert shown.cells["clerk", "Decrypt"].tooltip == "clerk, Decrypt: denied: no statement allows it"


def test_a_chosen_cell_shows_the_deciding_statement(shown: Permissions, cloud: Cloud) -> None:
    cloud.ram.attach("admin", "keeper")
    shown.attach.click()  # whatever it attaches, the matrix is decided anew
    shown.settle()
    shown.cells["admin", "Decrypt"].click()
    assert "by keeper, statement no cards" in shown.ruling.told
    assert "&quot;Effect&quot;: &quot;Deny&quot;" in shown.ruling.told
    shown.cells["clerk", "Decrypt"].click()
    assert "no statement allows it" in shown.ruling.told
    assert "<pre>" not in shown.ruling.told


def test_a_numbered_statement_is_shown_too(shown: Permissions) -> None:
    shown.cells["admin", "Encrypt"].click()
    assert "AliyunKMSFullAccess, statement 1" in shown.ruling.told
    assert "kms:*" in shown.ruling.told


def test_attaching_a_policy_changes_the_matrix_and_the_calls(shown: Permissions, cloud: Cloud, key: Key) -> None:
    admin = cloud.connect(cloud.ram.user("admin"), instance="software").key(key.id)
    blob = key.encrypt(b"x")
    shown.user.value, shown.policy.value = "admin", "keeper"
    shown.attach.click()
    assert cells(shown, "admin") == ["✓ AliyunKMSFullAccess", "✕ keeper", "✓ AliyunKMSFullAccess"]
    assert "admin may no longer Decrypt." in shown.told
    with pytest.raises(kmskit.AccessDeniedError):
        admin.decrypt(blob)
    shown.detach.click()
    shown.settle()
    assert "admin may now Decrypt." in shown.told
    assert admin.decrypt(blob) == b"x"
    shown.detach.click()
    shown.settle()
    assert "Nobody may do more or less than before." in shown.told


def test_the_key_policy_binds_the_root_as_well_and_can_be_taken_back(shown: Permissions, cloud: Cloud) -> None:
    policy = json.loads(shown.document.value)
    everyone = {"RAM": [f"acs:ram::{cloud.ram.account}:*"]}
    deny = {"Sid": "it stays", "Effect": "Deny", "Action": "kms:ScheduleKeyDeletion", "Resource": "*"}
    policy["Statement"].append(deny | {"Principal": everyone})
    shown.document.value = json.dumps(policy)
    shown.set.click()
    assert {cells(shown, row)[2] for row in ("root", "admin", "clerk")} == {"✕ the key policy"}
    shown.cells["root", "ScheduleKeyDeletion"].click()
    assert "it stays" in shown.ruling.told
    assert "kms:ScheduleKeyDeletion" in shown.ruling.told
    shown.restore.click()
    assert cells(shown, "root")[2] == "✓ account root"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "in line 1, column 1"),
        ('{\n"Version": 1,}', "in line 2, column 14"),
        ("[]", "the service refuses this"),
        ('{"Version": "1", "Statement": []}', "the service refuses this"),
        (f'"{"x" * 40_000}"', "the service refuses this"),
    ],
    ids=["empty", "no JSON", "a list", "no statement", "long"],
)
def test_a_policy_that_is_refused_is_told_and_changes_nothing(shown: Permissions, text: str, reason: str) -> None:
    shown.document.value = text
    shown.set.click()
    shown.settle()
    assert reason in shown.told
    assert "Traceback" not in shown.told
    assert cells(shown, "root") == ["✓ account root"] * 3


def test_a_role_or_user_who_is_not_there_is_refused_with_a_hint(shown: Permissions, cloud: Cloud) -> None:
    cloud.ram.delete_user("clerk")
    shown.user.value = "clerk"
    shown.attach.click()
    shown.settle()
    assert "KeyNotFoundError" in shown.told


def test_what_is_stored_is_the_matrix(shown: Permissions, cloud: Cloud) -> None:
    assert shown.still() == {"image/svg+xml": shown.matrix._repr_svg_()}
    assert repr(shown).splitlines()[2].split() == ["admin", "yes", "b", "yes", "b", "yes", "b"]
    secret = cloud.ram.root.access_key_secret
    assert secret not in states(shown) + repr(shown) + str(shown.still())


@pytest.mark.parametrize("string", hostile.STRINGS)
def test_names_of_statements_stay_text(shown: Permissions, cloud: Cloud, string: str) -> None:
    allow = {"Sid": string, "Effect": "Allow", "Action": "kms:*", "Resource": "*"}
    cloud.ram.create_policy("hostile", {"Version": "1", "Statement": [allow]})
    cloud.ram.attach("clerk", "hostile")
    shown.detach.click()
    shown.settle()
    shown.cells["clerk", "Decrypt"].click()
    assert_safe(shown)
