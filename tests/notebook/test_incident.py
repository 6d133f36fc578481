"""The incident of the capstone: its clock, its picture, and the break-in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from kmskit import emulator, envelope
from kmskit.emulator import Cloud
from kmskit.notebook.incident import Incident, at, break_in
from kmskit.svg import RED, TINTS
from kmskit.testing import hostile

SVG = "{http://www.w3.org/2000/svg}"
FILES = {name: f"order,amount\n1,12.50\n2,{len(name)}.25\n".encode() for name in ("acme", "borealis", "dorado")}


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with emulator.start() as cloud:
        yield cloud


@dataclass
class Event:
    time: str
    action: str
    keys: tuple[str, ...] = ("k1",)
    access_key_id: str = "leaked"
    code: str = ""


def day(hour: str, action: str = "Decrypt", **more: str) -> Event:
    return Event(f"2026-01-02T{hour}:00Z", action, **more)  # type: ignore[arg-type]


def test_the_clock_goes_on_to_the_next_such_hour(cloud: Cloud) -> None:
    at(cloud.clock, "10:00")
    first = cloud.clock()
    at(cloud.clock, "10:11")
    second = cloud.clock()
    at(cloud.clock, "10:00")
    assert (first.hour, first.minute, second.hour, second.minute) == (10, 0, 10, 11)
    assert 600 < (second - first).total_seconds() < 720
    assert cloud.clock().date() > second.date()


def test_the_break_in_stands_in_the_trail_as_it_was_done(cloud: Cloud) -> None:
    kms = cloud.connect(instance="software")
    user = cloud.ram.create_user("app", policies=["AliyunKMSCryptoUserAccess"])
    keys = {name: kms.create_key(name) for name in FILES}
    names = {key.id: name for name, key in keys.items()}
    bucket = {name: envelope.encrypt(text, [keys[name]], context={"t": name}) for name, text in FILES.items()}
    before, meanwhile = dict(bucket), []
    intruder = break_in(cloud, user, bucket, meanwhile=lambda: meanwhile.append(cloud.clock().strftime("%H:%M")))
    done = [
        (e.time[11:16], names[e.keys[0]], e.action) for e in cloud.trail if e.user == "app" and e.keys and not e.code
    ]
    assert done == [
        ("10:12", "acme", "Decrypt"),
        ("10:13", "dorado", "Decrypt"),
        ("10:26", "dorado", "GenerateDataKey"),
    ]
    assert ("ListKeys", "Forbidden.NoPermission") in [(event.action, event.code) for event in cloud.trail]
    assert meanwhile == ["10:15"]
    assert [name for name in FILES if intruder.opens(before[name])] == ["acme", "dorado"]
    assert envelope.decrypt(bucket["dorado"], [keys["dorado"]]) == b"order,amount\n1,0.01\n2,0.01\n"
    assert {name: bucket[name] == before[name] for name in FILES} == {"acme": True, "borealis": True, "dorado": False}


def test_the_picture_tells_leaked_from_other_and_done_from_refused() -> None:
    calls = [
        day("09:00"),
        day("10:12"),
        day("10:12", "GenerateDataKey"),
        day("10:13", access_key_id="other"),
        day("10:14", code="Forbidden"),
        Event("2026-01-02T10:15:00Z", "ListKeys", ()),
        Event("2026-01-02T10:16:00Z", "Decrypt", ("of another file",)),
    ]
    incident = Incident(calls, {"k1": "acme", "k2": "dorado"}, "leaked")
    assert incident.minutes == ["09:00", "10:00", "10:12", "10:13", "10:14"]
    assert [line.split("  ")[0] for line in repr(incident).splitlines()] == [
        "time",
        "09:00",
        "10:12",
        "10:12",
        "10:13",
        "10:14",
    ]
    svg = incident._repr_svg_()
    words = [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert words.count("Decrypt") == 3
    assert words.count("2 calls") == 1
    strokes = [
        box.get("stroke") for box in ElementTree.fromstring(svg).iter(f"{SVG}rect") if box.get("fill") == "#ffffff"
    ]
    assert strokes == ["#3b78c2", "#b3261e", "#3b78c2", "#57606a"]


def test_the_red_hour_ends_when_the_access_key_is_disabled() -> None:
    calls = [day("10:12"), day("11:10", access_key_id="other")]

    def red(until: str) -> float:
        root = ElementTree.fromstring(Incident(calls, {"k1": "acme"}, "leaked", until=until)._repr_svg_())
        return next(float(box.get("width", "")) for box in root.iter(f"{SVG}rect") if box.get("fill") == TINTS[RED])

    assert Incident(calls, {"k1": "acme"}, "leaked", until="11:00").minutes == ["10:00", "10:12", "11:00", "11:10"]
    assert red("11:00") == red("11:10") == 156 < red("")


def test_everything_lies_on_the_panel() -> None:
    calls = [day(f"1{n}:00") for n in range(10)]
    root = ElementTree.fromstring(Incident(calls, {"k1": "acme", "k2": "dorado"}, "leaked")._repr_svg_())
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    for box in root.iter(f"{SVG}rect"):
        x, y, across, down = (float(box.get(name, "")) for name in ("x", "y", "width", "height"))
        assert 0 <= x < x + across <= width
        assert 0 <= y < y + down <= height


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_names_and_codes_are_shown_and_never_obeyed(text: str) -> None:
    incident = Incident([day("10:12", text), day("10:13", code=text)], {"k1": text}, "leaked")
    hostile.assert_safe_html(incident._repr_svg_())
    hostile.assert_safe_text(repr(incident), lines=True)
