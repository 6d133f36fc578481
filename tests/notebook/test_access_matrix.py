"""The matrix of the lesson on access control."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from kmskit import emulator
from kmskit.emulator import Cloud, Decision, Identity
from kmskit.notebook.access_matrix import AccessMatrix
from kmskit.testing import hostile

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        deny = {"Sid": "hands off", "Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*"}
        cloud.ram.create_policy("keeper", {"Version": "1", "Statement": [deny]})
        cloud.ram.create_user("admin", policies=["AliyunKMSFullAccess", "keeper"])
        cloud.ram.create_user("clerk")
        yield cloud


def test_each_cell_tells_the_deciding_statement(cloud: Cloud) -> None:
    who: dict[str, Identity | str] = {"root": cloud.ram.root, "admin": "admin", "clerk": "clerk"}
    matrix = AccessMatrix(cloud.ram, who, ["Encrypt", "Decrypt"], "*")
    assert repr(matrix).splitlines() == [
        "       Encrypt  Decrypt",
        "root   yes a    yes a",
        "admin  yes b    DENY c",
        "clerk  no       no",
        "a  the account root: needs no statement",
        "b  AliyunKMSFullAccess: statement 1",
        "c  keeper: hands off",
    ]
    assert not matrix.rulings["admin", "Decrypt"].allowed


def test_it_is_of_the_moment_at_which_it_was_made(cloud: Cloud) -> None:
    before = AccessMatrix(cloud.ram, ["admin"], ["Decrypt"], "*")
    cloud.ram.detach("admin", "keeper")
    assert "DENY" in repr(before)
    assert "yes" in repr(AccessMatrix(cloud.ram, ["admin"], ["Decrypt"], "*"))


def test_the_picture_says_the_same_and_lies_on_its_panel(cloud: Cloud) -> None:
    matrix = AccessMatrix(cloud.ram, ["admin", "clerk"], ["Encrypt", "Decrypt", "ScheduleKeyDeletion"], "*")
    root = ElementTree.fromstring(matrix._repr_svg_())
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    for box in root.iter(f"{SVG}rect"):
        x, y, across, down = (float(box.get(name, "")) for name in ("x", "y", "width", "height"))
        assert 0 <= x < x + across <= width
        assert 0 <= y < y + down <= height
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert [text for text in texts if text in ("AliyunKMSFullAccess", "keeper", "no statement")] == [
        *("AliyunKMSFullAccess", "keeper", "AliyunKMSFullAccess"),
        *["no statement"] * 3,
    ]


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_names_are_shown_and_never_obeyed(text: str) -> None:
    class Ram:
        def explain(self, who: object, action: str, on: str = "*") -> Decision:
            return Decision(False, action, on, text, text)

    matrix = AccessMatrix(Ram(), [text], [text], "*")
    hostile.assert_safe_html(matrix._repr_svg_())
    hostile.assert_safe_text(repr(matrix), lines=True)
