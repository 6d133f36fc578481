"""The picture of the lesson on hardware keys."""

from __future__ import annotations

from xml.etree import ElementTree

from kmskit.notebook.token_pictures import who_has_the_key

SVG = "{http://www.w3.org/2000/svg}"


def test_all_boxes_lie_on_the_panel() -> None:
    root = ElementTree.fromstring(who_has_the_key().svg)
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    boxes = list(root.iter(f"{SVG}rect"))
    assert len(boxes) > 12
    for box in boxes:
        x, y, across, down = (float(box.get(name, "")) for name in ("x", "y", "width", "height"))
        assert 0 <= x < x + across <= width
        assert 0 <= y < y + down <= height


def test_it_names_the_three_places_and_who_has_the_key_in_each() -> None:
    texts = [text.text for text in ElementTree.fromstring(who_has_the_key().svg).iter(f"{SVG}text")]
    assert [text for text in texts if text in ("software", "SoftHSM", "an HSM")] == ["software", "SoftHSM", "an HSM"]
    said = [text for text in texts if text and text.startswith("has the key")]
    assert said == ["has the key: this process", "has the key: this process", "has the key: the HSM alone"]


def test_it_says_the_same_in_words() -> None:
    words = repr(who_has_the_key())
    assert all(place in words for place in ("Software", "SoftHSM", "An HSM", "sealed by the PIN"))
