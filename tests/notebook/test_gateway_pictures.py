"""The picture of the lesson on Alibaba Cloud KMS."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from kmskit.notebook.gateway_pictures import two_gateways
from kmskit.testing import hostile

SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Called:
    user: str
    action: str
    gateway: str = "shared"
    status: int = 200


CALLS = [
    Called("admin", "CreateKey"),
    Called("admin", "DescribeKey", status=404),
    Called("admin", "CreateKey"),
    Called("app", "CreateKey", status=403),
    Called("app", "Encrypt", "kst-hzz1"),
    Called("", "", status=404),
]


def test_it_says_in_words_who_called_what_where_and_what_was_denied() -> None:
    assert repr(two_gateways(CALLS)) == (
        "Calls over the shared gateway: admin called CreateKey, DescribeKey; app was denied CreateKey."
        " Over the instance's own gateway: app called Encrypt."
    )


def test_it_can_be_drawn_of_no_calls() -> None:
    assert "shared gateway: none" in repr(two_gateways([]))


def test_all_boxes_lie_on_the_panel_however_many_calls_there_are() -> None:
    many = CALLS + [Called("admin", f"Action{n}WithALongName" * (n % 3 + 1)) for n in range(40)]
    root = ElementTree.fromstring(two_gateways(many).svg)
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    boxes = list(root.iter(f"{SVG}rect"))
    assert len(boxes) > 4
    for box in boxes:
        x, y, across, down = (float(box.get(name, "")) for name in ("x", "y", "width", "height"))
        assert 0 <= x < x + across <= width
        assert 0 <= y < y + down <= height
    assert all(0 < float(text.get("y", "")) < height for text in root.iter(f"{SVG}text"))


@pytest.mark.parametrize("name", hostile.STRINGS)
def test_names_from_others_are_escaped(name: str) -> None:
    picture = two_gateways([Called(name, name)])
    ElementTree.fromstring(picture.svg)
    hostile.assert_safe_text(repr(picture))
