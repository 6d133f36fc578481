"""Pictures: they can be read as XML and as words, they repeat themselves, and they show what was computed."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

import kmskit
from kmskit.notebook import Clock, pictures, scratch
from kmskit.testing import hostile

SVG = "{http://www.w3.org/2000/svg}"


def parsed(picture: pictures.Picture | pictures.Timeline) -> ElementTree.Element:
    return ElementTree.fromstring(picture._repr_svg_())


def shown(picture: pictures.Picture | pictures.Timeline) -> list[str]:
    """The texts in a picture, in the order they were drawn."""
    return [text.text or "" for text in parsed(picture).iter(f"{SVG}text")]


@pytest.mark.parametrize("draw", [pictures.one_interface, pictures.who_can_forge])
def test_a_fixed_picture_is_the_same_each_time_and_says_it_in_words(draw: object) -> None:
    assert callable(draw)
    picture = draw()
    root = parsed(picture)
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title") == repr(picture)
    assert picture._repr_svg_() == draw()._repr_svg_()


@pytest.mark.parametrize("draw", [pictures.one_interface, pictures.who_can_forge])
def test_all_that_is_drawn_lies_on_the_panel(draw: object) -> None:
    assert callable(draw)
    root = parsed(draw())
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    for box in root.iter(f"{SVG}rect"):
        x, y, wide, high = (float(box.get(name, "")) for name in ("x", "y", "width", "height"))
        assert 0 <= x < x + wide <= width
        assert 0 <= y < y + high <= height


def test_anatomy_shows_what_the_key_tells_and_nothing_that_is_random() -> None:
    first, second = (scratch().create_key("orders") for _ in range(2))
    assert pictures.anatomy(first)._repr_svg_() == pictures.anatomy(second)._repr_svg_()
    first.rotate()
    first.disable()
    texts = shown(pictures.anatomy(first))
    assert {"AES_256", "ENCRYPT_DECRYPT", "DISABLED", "2", "version 1", "version 2"} <= set(texts)
    assert texts.count("primary") == 1
    assert "2 version(s)" in repr(pictures.anatomy(first))


def test_anatomy_of_many_versions_shows_the_last_of_them() -> None:
    key = scratch().create_key("orders")
    for _ in range(6):
        key.rotate()
    texts = shown(pictures.anatomy(key))
    assert [text for text in texts if text.startswith("version ")] == [f"version {number}" for number in range(4, 8)]


@pytest.mark.parametrize("bitmap", [pictures.KEY, pictures.LOCK])
def test_a_bitmap_is_drawn_pixel_by_pixel(bitmap: bytes) -> None:
    path = parsed(pictures.bitmaps({"it": bitmap})).find(f"{SVG}g/{SVG}path")
    assert path is not None
    black = set()
    for stroke in path.get("d", "").split("M")[1:]:
        x, _, rest = stroke.partition(" ")
        y, _, length = rest.partition(".5h")
        black |= {int(y) * 48 + int(x) + at for at in range(int(length))}
    assert black == {at for at in range(48 * 48) if bitmap[at // 8] >> (7 - at % 8) & 1}


def test_bytes_of_another_size_are_no_bitmap() -> None:
    with pytest.raises(ValueError, match="288 bytes expected for 'cut', not 287"):
        pictures.bitmaps({"whole": bytes(288), "cut": bytes(287)})


def test_the_timeline_tries_every_ciphertext_after_every_step() -> None:
    clock = Clock(datetime(2025, 3, 1, tzinfo=UTC))
    kms = scratch(clock=clock)
    key = kms.create_key("orders")
    story = pictures.Timeline(key)
    story.watch("old", key.encrypt(b"4111", context={"order": "1"}), context={"order": "1"})
    story.watch("misplaced", key.encrypt(b"4111", context={"order": "1"}), context={"order": "2"})
    story.step("encrypt", clock())
    key.rotate()
    story.watch("new", key.encrypt(b"4111"))
    story.step("rotate")
    key.schedule_deletion(7)
    story.step("schedule", clock())
    clock.advance(days=7)
    kms.purge()
    story.step("purge", clock())
    rows = [line.split("  ") for line in repr(story).splitlines()]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows] == [
        ["ciphertext", "encrypt, 2025-03-01", "rotate", "schedule, 2025-03-01", "purge, 2025-03-08"],
        ["old", "opens", "opens", "KeyStateError", "KeyNotFoundError"],
        ["misplaced", "InvalidCiphertextError", "InvalidCiphertextError", "KeyStateError", "KeyNotFoundError"],
        ["new", "opens", "KeyStateError", "KeyNotFoundError"],
    ]
    assert shown(story).count("opens") == 3
    assert parsed(story).findtext(f"{SVG}title") == repr(story)


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_texts_of_others_are_made_safe(text: str) -> None:
    key = kmskit.connect("software:?memory=1").create_key(text)
    story = pictures.Timeline(key)
    story.watch(text, key.encrypt(b"4111"))
    story.step(text)
    for picture in (story, pictures.anatomy(key), pictures.bitmaps({text: bytes(288)})):
        parsed(picture)
        hostile.assert_safe_html(picture._repr_svg_())
        hostile.assert_safe_text(repr(picture), lines=True)
