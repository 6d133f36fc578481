"""The sequence diagram of the lesson on server-side encryption."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from kmskit import KeyStateError, emulator
from kmskit.emulator import Cloud
from kmskit.notebook.sequence import Message, Sequence
from kmskit.testing import hostile

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        cloud.enable_default_key("main")
        yield cloud


@dataclass
class Event:
    user: str
    action: str
    status: int = 200
    code: str = ""


def test_the_calls_to_kms_are_those_of_the_trail_and_nothing_older(cloud: Cloud) -> None:
    cloud.ecs.create_disk("main")
    story = Sequence(cloud.trail)
    disk = story.do("create", lambda: cloud.ecs.create_disk("main"), stores="wrapped data key")
    story.do("attach", disk.attach, loads="wrapped data key")
    assert disk.attached
    assert story.messages == [
        Message("app", "ECS", "create"),
        Message("ECS", "KMS", "GenerateDataKey"),
        Message("KMS", "ECS", "", ("data key", "wrapped data key")),
        Message("ECS", "medium", "", ("wrapped data key",)),
        Message("app", "ECS", "attach"),
        Message("medium", "ECS", "", ("wrapped data key",)),
        Message("ECS", "KMS", "Decrypt", ("wrapped data key",)),
        Message("KMS", "ECS", "", ("data key",)),
    ]
    assert story.lanes == ["app", "ECS", "medium", "KMS"]


def test_a_trail_that_keeps_only_so_many_calls_is_followed() -> None:
    trail: deque[Event] = deque([Event("app", "Encrypt"), Event("app", "Encrypt")], maxlen=2)
    story = Sequence(trail)
    story.ask(lambda: trail.append(Event("app", "Decrypt")))
    story.ask(lambda: trail.append(Event("app", "Sign")))
    assert [message.text for message in story.messages if message.text] == ["Decrypt", "Sign"]


def test_who_saw_what_is_what_passed_at_both_ends(cloud: Cloud) -> None:
    disk = cloud.ecs.create_disk("main").attach()
    story = Sequence(cloud.trail)
    story.do("write", lambda: disk.write(0, b"x"), sends="plaintext", stores="ciphertext")
    assert story.do("read", lambda: disk.read(0), loads="ciphertext", gets="plaintext")[:1] == b"x"
    seen = story.seen().rows
    assert {who: [what for what, known in row.items() if known] for who, row in seen.items()} == {
        "app": ["plaintext"],
        "ECS": ["plaintext", "ciphertext"],
        "medium": ["ciphertext"],
    }


def test_a_refusal_is_drawn_and_still_raised(cloud: Cloud) -> None:
    disk = cloud.ecs.create_disk("main")
    cloud.connect().key("main").disable()
    story = Sequence(cloud.trail)
    with pytest.raises(KeyStateError):
        story.do("attach", disk.attach)
    assert story.messages[-2:] == [
        Message("KMS", "ECS", "Rejected.Disabled", refused=True),
        Message("ECS", "app", "Rejected.Disabled", refused=True),
    ]
    assert "refused: Rejected.Disabled" in repr(story)


def test_what_a_program_asks_itself_carries_its_plaintext() -> None:
    trail: list[Event] = []
    story = Sequence(trail)
    story.ask(lambda: trail.append(Event("app", "Encrypt")))

    def denied() -> None:
        trail.append(Event("other", "Decrypt", 403, "Forbidden"))
        raise KeyStateError

    with pytest.raises(KeyStateError):
        story.ask(denied)
    assert story.messages == [
        Message("app", "KMS", "Encrypt", ("plaintext",)),
        Message("KMS", "app", "", ("ciphertext",)),
        Message("other", "KMS", "Decrypt", ("ciphertext",)),
        Message("KMS", "other", "Forbidden", refused=True),
    ]
    assert story.lanes == ["app", "other", "KMS"]


def test_everything_lies_on_the_panel_and_every_message_is_an_arrow(cloud: Cloud) -> None:
    story = Sequence(cloud.trail)
    disk = story.do("create", lambda: cloud.ecs.create_disk("main"), stores="wrapped data key")
    story.do("attach", disk.attach)
    root = ElementTree.fromstring(story._repr_svg_())
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    for box in root.iter(f"{SVG}rect"):
        x, y, across, down = (float(box.get(name, "")) for name in ("x", "y", "width", "height"))
        assert 0 <= x < x + across <= width
        assert 0 <= y < y + down <= height
    assert len(list(root.iter(f"{SVG}path"))) == len(story.lanes) + len(story.messages)


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_names_and_texts_are_shown_and_never_obeyed(text: str) -> None:
    trail = [Event("app", "Encrypt")]
    story = Sequence(trail, program=text)
    trail.append(Event(text, text, 400, text))
    story.do(text, lambda: None)
    hostile.assert_safe_html(story._repr_svg_())
    hostile.assert_safe(story.seen())
    hostile.assert_safe_text(repr(story), lines=True)
