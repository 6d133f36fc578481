from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

import kmskit
from kmskit import envelope
from kmskit.testing import hostile
from kmskit.testing.notebooks.outputs import SANITIZE_FILE, read_rules

MARKED = re.compile("⟨[^⟩]*⟩")


def shown(info: envelope.EnvelopeInfo) -> tuple[str, str]:
    """What IPython shows: the SVG and the text."""
    from IPython.core.formatters import DisplayFormatter

    bundle, _ = DisplayFormatter().format(info)
    assert set(bundle) == {"image/svg+xml", "text/plain"}
    return bundle["image/svg+xml"], bundle["text/plain"]


def message(context: Mapping[str, str] | None = None, size: int = 300, *, signed: bool = False) -> bytes:
    key = kmskit.connect("software:?memory=1").create_key()
    safe = envelope.RawAesKey("safe", "2026", bytes(32))
    return envelope.encrypt(bytes(size), [key, safe], context=context, frame_length=64, signed=signed)


@pytest.mark.parametrize("signed", [False, True])
def test_two_messages_differ_only_in_what_is_marked_volatile(*, signed: bool) -> None:
    rules = read_rules(SANITIZE_FILE)
    masked = []
    for _ in range(2):
        forms = shown(envelope.inspect(message({"table": "orders"}, signed=signed)))
        for regex, replacement in rules.items():
            forms = tuple(re.sub(regex, replacement, form) for form in forms)
        masked.append(forms)
    assert masked[0] == masked[1]


def test_random_bytes_are_not_drawn_as_digits() -> None:
    data = message()
    info = envelope.inspect(data)
    drawing = MARKED.sub("", shown(info)[0])
    digits = "".join(re.findall(r">([0-9a-f]{2})</text>", drawing))
    for field in info.fields:
        if field.random and field.size >= 8:
            assert data[field.offset : field.end].hex()[:16] not in digits
    assert "0478" in digits
    assert b"kmskit".hex() in digits


def test_a_key_id_is_shown_whole() -> None:
    key = kmskit.connect("software:?memory=1").create_key()
    for form in shown(envelope.inspect(envelope.encrypt(b"", [key]))):
        assert f"⟨software:{key.id}⟩" in form


@pytest.mark.parametrize("text", [*hostile.STRINGS, "not a character: \ufffe\uffff"])
def test_what_others_wrote_is_shown_and_never_obeyed(text: str) -> None:
    key = envelope.RawAesKey(text, text, bytes(32))
    data = envelope.encrypt(b"x", [key], context={text: text, "plain": text}, frame_length=64)
    svg, plain = shown(envelope.inspect(data))
    hostile.assert_safe_html(svg)
    hostile.assert_safe_text(plain, lines=True)
    hostile.assert_safe_text(repr(envelope.inspect(data)))
    tags = {element.tag.partition("}")[2] for element in ElementTree.fromstring(svg).iter()}
    assert tags == {"svg", "title", "rect", "text"}


def test_a_picture_stays_small_whatever_the_message_holds() -> None:
    many = {f"name {number}": "v" * 40 for number in range(1000)}
    svg, plain = shown(envelope.inspect(message(many, size=100_000)))
    assert len(svg) < 100_000
    assert "994 more" in svg
    assert "994 more" in plain
    assert "frames 3 to 1,562" in svg


def test_an_empty_message_has_a_final_frame_and_a_context_of_length_0() -> None:
    svg, plain = shown(envelope.inspect(message(size=0)))
    assert "context length" in svg
    assert re.search(r"^35 +2 +context length +0 ", plain, re.MULTILINE)
    assert "final frame" in svg
    assert "frame 1" not in svg


def test_the_drawing_says_whether_a_key_was_used(tmp_path: Path) -> None:
    assert "not authenticated: only what the bytes say" in shown(envelope.inspect(message()))[0]
    plain, sealed = tmp_path / "plain", tmp_path / "sealed"
    plain.write_bytes(b"x")
    written = envelope.encrypt_file(plain, sealed, [kmskit.connect("software:?memory=1").create_key()])
    assert "not authenticated" not in shown(written)[0]
    assert ">authenticated<" in shown(written)[0]
