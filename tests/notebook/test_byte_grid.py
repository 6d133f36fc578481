"""`byte_grid`: which rows are shown, and the picture of them."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from kmskit.notebook.byte_grid import ROW, ByteField, byte_grid, shown_rows

SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def laid_out(draw: st.DrawFn) -> tuple[int, list[ByteField]]:
    """A size and fields that fit into it, in order, with gaps."""
    cuts = sorted(draw(st.lists(st.integers(0, 20_000), max_size=12)))
    fields = [ByteField(start, end, "field") for start, end in pairwise(cuts)][:: draw(st.integers(1, 2))]
    return draw(st.integers(cuts[-1] if cuts else 0, 40_000)), fields


def bytes_of(rows: list[tuple[int, int]]) -> set[int]:
    return {at for first, end in rows for at in range(first * ROW, end * ROW)}


@given(laid_out())
def test_rows_are_in_order_and_every_field_shows_both_of_its_ends(layout: tuple[int, list[ByteField]]) -> None:
    size, fields = layout
    rows = shown_rows(size, fields)
    assert all(0 <= first < end <= -(-size // ROW) for first, end in rows)
    assert all(end < first for (_, end), (first, _) in pairwise(rows))
    shown = bytes_of(rows)
    for field in fields:
        if field.offset < field.end:
            assert {field.offset, field.end - 1} <= shown


@given(laid_out(), st.integers(0, 2_500))
def test_unfolding_only_adds(layout: tuple[int, list[ByteField]], row: int) -> None:
    size, fields = layout
    before, after = bytes_of(shown_rows(size, fields)), bytes_of(shown_rows(size, fields, [(row, row + 32)]))
    assert before <= after
    assert after - before <= bytes_of([(row, row + 32)])
    assert bytes_of([(row, row + 32)]) & bytes_of([(0, -(-size // ROW))]) <= after


def test_unfolding_everything_shows_everything() -> None:
    assert shown_rows(10_000, [], [(0, 700)]) == [(0, 625)]


def test_however_many_fields_there_are_the_rows_have_a_limit() -> None:
    fields = [ByteField(at, at + 1, "byte") for at in range(100_000)]
    rows = shown_rows(100_000, fields)
    assert sum(end - first for first, end in rows) == 258
    assert rows[-1][1] == 6_250


def test_the_picture_names_the_fields_and_says_them_in_words() -> None:
    picture = byte_grid(b"\x01" + bytes(300), [ByteField(0, 1, "version", "of the format")], "token")
    texts = [text.text for text in ElementTree.fromstring(picture.svg).iter(f"{SVG}text")]
    assert {"version", "byte 0", "01", "… 208 bytes more"} <= set(texts)
    assert repr(picture).splitlines() == [
        "token, 301 bytes",
        "at  bytes  field    meaning",
        "0   1      version  of the format",
    ]


def test_all_that_is_drawn_lies_on_the_panel() -> None:
    fields = [ByteField(at, at + 9, f"field {at}", "meaning") for at in range(0, 900, 9)]
    root = ElementTree.fromstring(byte_grid(bytes(1_000), fields).svg)
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    for box in root.iter(f"{SVG}rect"):
        x, y, wide, high = (float(box.get(name, "")) for name in ("x", "y", "width", "height"))
        assert 0 <= x < x + wide <= width
        assert 0 <= y < y + high <= height
