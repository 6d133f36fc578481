"""The pictures of the lesson on envelopes."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

import kmskit
from kmskit import envelope
from kmskit.notebook.envelope_pictures import how_it_is_made, what_refuses
from kmskit.notebook.pictures import Picture
from kmskit.testing import hostile

SVG = "{http://www.w3.org/2000/svg}"


def reasons(*names: str) -> dict[str, list[envelope.Field]]:
    key = kmskit.connect("software:?memory=1").create_key()
    message = envelope.encrypt(b"x" * 40, [key], context={"table": "orders"}, frame_length=16)
    fields = list(envelope.inspect(message).fields)
    return {name: fields[at :: len(names)] for at, name in enumerate(names)}


def boxes_and_texts(picture: Picture) -> tuple[list[ElementTree.Element], list[str]]:
    root = ElementTree.fromstring(picture.svg)
    return list(root.iter(f"{SVG}rect")), [text.text or "" for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("picture", [how_it_is_made(), what_refuses(reasons("it was changed", "it was cut"))])
def test_all_boxes_lie_on_the_panel(picture: Picture) -> None:
    root = ElementTree.fromstring(picture.svg)
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    boxes, _ = boxes_and_texts(picture)
    assert len(boxes) > 8
    for box in boxes:
        x, y, across, down = (float(box.get(name, "")) for name in ("x", "y", "width", "height"))
        assert 0 <= x < x + across <= width
        assert 0 <= y < y + down <= height


def test_each_change_stands_with_its_reason_in_the_picture_and_in_words() -> None:
    found = reasons("frame 1 does not open", "the header is cut short")
    picture = what_refuses(found)
    _, texts = boxes_and_texts(picture)
    first, second = (texts.index(reason) for reason in found)
    assert texts[2:first] == [field.name for field in found["frame 1 does not open"]]
    assert texts[first + 1 : second] == [field.name for field in found["the header is cut short"]]
    words = repr(picture).splitlines()
    for line, (reason, fields) in zip(words[1:], found.items(), strict=True):
        assert line == f"{reason}: {', '.join(f'{field.group} {field.name}' for field in fields)}"


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_a_reason_is_shown_and_never_obeyed(text: str) -> None:
    picture = what_refuses(reasons(text))
    hostile.assert_safe_html(picture.svg)
    hostile.assert_safe_text(repr(picture), lines=True)
