"""`ByteMap`: what it sends to the page, what the page may ask of it, and what it never sends."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

import kmskit
from kmskit import envelope
from kmskit.notebook.byte_grid import ROW, shown_rows
from kmskit.svg import BLUE
from kmskit.testing import hostile
from kmskit.widgets.bytemap import ByteField, ByteMap

FIELDS = [ByteField(0, 4, "magic", "what it is", "KMSK", "header", BLUE), ByteField(6, 20, "rest")]


def sent(shown: ByteMap) -> str:
    """Everything that goes to the page."""
    return json.dumps(shown.get_state(), default=lambda value: bytes(value).hex())


def envelope_of(size: int, **context: str) -> ByteMap:
    key = kmskit.connect("software:?memory=1").create_key()
    message = envelope.encrypt(bytes(size), [key], context=context, frame_length=4096)
    return ByteMap(message, [ByteField.of(field) for field in envelope.inspect(message).fields], "envelope")


def test_small_data_is_shown_whole() -> None:
    shown = ByteMap(bytes(range(20)), FIELDS, "token")
    assert shown._seen == bytes(range(20))
    assert shown._view["runs"] == [(0, 20)]
    assert [field[3] for field in shown._view["fields"]] == ["magic", "rest"]
    assert repr(shown) == "<ByteMap token, 20 bytes, 2 fields>"


def test_a_flip_changes_one_bit_and_undo_takes_it_back() -> None:
    shown = ByteMap(bytes(20), FIELDS)
    shown.flip(3, 7)
    shown.flip(9)
    assert shown.data == b"\0\0\0\x80" + bytes(5) + b"\1" + bytes(10)
    assert shown.flipped == (3, 9)
    assert shown._changed == [(3, 0), (9, 0)]
    shown.flip(3, 7)
    assert shown.flipped == (9,)
    shown.undo()
    assert (shown.data, shown.flipped, shown._changed) == (bytes(20), (), [])


def test_every_flip_is_told() -> None:
    shown, told = ByteMap(bytes(20)), []
    shown.on_flip(lambda changed: told.append(changed.data.count(1)))
    shown.flip(0)
    shown.flip(1)
    shown.undo()
    assert told == [1, 2, 0]


@pytest.mark.parametrize(("offset", "bit"), [(-1, 0), (20, 0), (0, 8), (0, -1)])
def test_a_flip_outside_is_refused(offset: int, bit: int) -> None:
    with pytest.raises(ValueError, match="20 bytes of 8 bits expected"):
        ByteMap(bytes(20)).flip(offset, bit)


def test_the_page_can_flip_and_unfold_and_nothing_else() -> None:
    shown = ByteMap(bytes(10_000))
    shown._heard(shown, {"flip": [3, 1]}, [])
    assert shown.flipped == (3,)
    before = len(shown._seen)
    shown._heard(shown, {"unfold": 10}, [])
    assert len(shown._seen) == before + 32 * ROW
    data = shown.data
    for flip in ([10_000, 0], [0, 9], ["0", 0], [0], 0):
        shown._heard(shown, {"flip": flip}, [])
    for nonsense in ({"unfold": -1}, {"undo": 1}, "flip", None):
        shown._heard(shown, nonsense, [])
    assert shown.data == data


def test_fields_tell_what_a_byte_belongs_to() -> None:
    shown = ByteMap(bytes(20), FIELDS)
    assert [shown.field_at(at) for at in (0, 3, 4, 6, 19)] == [FIELDS[0], FIELDS[0], None, FIELDS[1], FIELDS[1]]


@pytest.mark.parametrize(
    "fields",
    [[ByteField(0, 5, "a"), ByteField(4, 6, "b")], [ByteField(0, 21, "a")], [ByteField(3, 1, "a")]],
    ids=["overlap", "beyond", "backwards"],
)
def test_fields_that_do_not_fit_are_refused(fields: list[ByteField]) -> None:
    with pytest.raises(ValueError, match=r"fields: '[ab]'"):
        ByteMap(bytes(20), fields)


def test_a_large_message_is_not_sent_whole() -> None:
    shown = envelope_of(100_000, tenant="acme")
    assert len(shown.data) > 100_000
    assert len(shown._seen) < 1_500
    assert len(sent(shown)) < 40_000


def test_thousands_of_fields_are_not_sent_either() -> None:
    shown = envelope_of(10, **{f"name-{number}": "value" for number in range(3_000)})
    assert len(shown._seen) <= 260 * ROW
    assert len(shown._view["fields"]) < 1_500
    assert len(shown.still()["image/svg+xml"]) < 1_500_000


def test_choosing_a_byte_that_is_folded_away_unfolds_it() -> None:
    shown = ByteMap(bytes(10_000))
    shown.selected = 5_000
    assert any(start <= 5_000 < end for start, end in shown._view["runs"])


def test_other_bytes_can_be_shown_in_its_place() -> None:
    shown = ByteMap(bytes(10_000))
    shown.selected = 5_000
    shown.flip(1)
    shown.show(b"other", [ByteField(0, 5, "word")])
    assert (shown.selected, shown.flipped, shown._view["runs"], shown._seen) == (-1, (), [(0, 5)], b"other")


@pytest.mark.parametrize("string", hostile.STRINGS)
def test_names_from_others_reach_the_page_without_control_characters(string: str) -> None:
    field = ByteField(0, 5, string, string, string, string)
    shown = ByteMap(bytes(20), [field], string)
    hostile.assert_safe_text(repr(shown))
    for text in (*shown._view["fields"][0][2:], shown.label):
        hostile.assert_safe_text(text)
    still = shown.still()["image/svg+xml"]
    ElementTree.fromstring(still)
    hostile.assert_safe_html(still)


def test_no_script_writes_markup() -> None:
    script = ByteMap._esm
    assert "textContent" in script
    for dangerous in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert dangerous not in script


def test_a_stored_picture_has_no_random_digits() -> None:
    first, second = (envelope_of(100, tenant="acme") for _ in range(2))
    assert first.data != second.data
    assert first.still() == second.still()
    assert "74</text>" in first.still()["image/svg+xml"]  # the t of tenant


def test_a_notebook_gets_the_picture_too() -> None:
    data, _ = ByteMap(b"abc", label="token")._repr_mimebundle_()
    assert data["text/plain"] == "<ByteMap token, 3 bytes, 0 fields>"
    assert "image/svg+xml" in data
    assert "application/vnd.jupyter.widget-view+json" in data


def test_nothing_at_all_can_be_shown() -> None:
    assert ByteMap()._view == {"size": 0, "runs": [], "fields": []}
    assert shown_rows(0, []) == []
