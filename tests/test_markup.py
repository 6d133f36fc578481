"""Escaping: whatever a value holds, a page and a terminal show it and do not obey it."""

from __future__ import annotations

import re
import unicodedata
from html import unescape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kmskit import markup
from kmskit.testing import hostile

TEXTS = st.one_of(st.text(), st.sampled_from(hostile.STRINGS), st.text("<>&\"'/=x \n\x1b\u202e", max_size=30))


@given(TEXTS)
def test_no_text_is_obeyed(text: str) -> None:
    hostile.assert_safe_text(markup.printable(text))
    shown = [
        markup.escape(text),
        markup.code(text),
        markup.badge(text),
        markup.volatile_html(text),
        markup.alias_html(text),
        markup.link(text),
        markup.link("https://example.com/" + text, text),
        markup.pairs({text: text}),
        markup.table([text, text], [[text, text]], note=text),
        markup.card(text, {text: text}, mark=text, kind="bad"),
    ]
    for html in shown:
        hostile.assert_safe_html(html)
    for plain in (markup.volatile_text(text), markup.alias_text(text)):
        hostile.assert_safe_text(plain)
    hostile.assert_safe_text(markup.columns([text, "x"], [[text, text]]), lines=True)


def test_every_character_that_controls_or_reorders_is_escaped() -> None:
    for number in range(0x110000):
        character = chr(number)
        steers = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or (
            # The characters with the property Bidi_Control, Unicode Standard Annex 9.
            number in (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
            # What XML, and so a picture, cannot hold.
            or number in (0xFFFE, 0xFFFF)
        )
        assert (markup.printable(character) != character) == steers, f"U+{number:04X}"


def test_a_harmless_text_stays_as_it_is() -> None:
    for text in ("orders", "阿里云 straße 🔑", "a\\b ‹x› 1 < 2"):
        assert markup.printable(text) == text
        assert unescape(markup.escape(text)) == text
    assert markup.printable("\x1b[0m\n\u202e\ud800") == r"\x1b[0m\n\u202e\ud800"


def test_markup_is_escaped_once() -> None:
    once = markup.escape("<b>")
    assert once == "&lt;b&gt;"
    assert markup.escape(once) is once
    assert '<span class="kms-volatile">&lt;b&gt;</span></code>' in markup.code(markup.volatile_html("<b>"))


@given(TEXTS)
@example("a⟩b⟨c")
def test_a_volatile_mark_ends_where_the_value_ends(text: str) -> None:
    marked = markup.volatile_text(text)
    assert marked[0] == "⟨"
    assert marked.index("⟩") == len(marked) - 1


def test_the_random_prefix_of_a_scratch_alias_is_volatile_and_the_rest_is_not() -> None:
    assert markup.alias_text("nb-0123abcd-orders") == "⟨nb-0123abcd-⟩orders"
    assert '<span class="kms-volatile">nb-0123abcd-</span></span>orders' in markup.alias_html("nb-0123abcd-orders")
    for plain in ("orders", "nb-orders", "x-nb-0123abcd-orders"):
        assert markup.alias_text(plain) == markup.alias_html(plain) == plain


@pytest.mark.parametrize("url", ["https://example.com/?a=b&c=d", "HTTP://example.com"])
def test_http_addresses_are_links(url: str) -> None:
    html = markup.link(url, "more")
    assert re.fullmatch(r'<a href="([^"]+)" rel="noreferrer noopener" target="_blank">more</a>', html)
    assert unescape(html.split('"')[1]) == url


def test_a_link_shows_nothing_volatile_and_still_leads_there() -> None:
    html = markup.link("https://example.com/?id=42&x=1", volatile="42")
    assert html.startswith('<a class="kms-volatile" href="https://example.com/?id=42&amp;x=1" ')
    assert html.endswith(">https://example.com/?id=…</a>")
    assert markup.link("https://example.com/42", "more", volatile="42").endswith(">more</a>")
    assert "class" not in markup.link("https://example.com/", volatile="42")
    assert "class" not in markup.link("https://example.com/", volatile="")


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//example.com",
        "file:///etc/passwd",
        "https://",
        "x https://a",
        "https://a b",
        "https://a\n",
    ],
)
def test_nothing_else_is_a_link(url: str) -> None:
    assert "<a" not in markup.link(url)


def test_a_card_leaves_out_what_is_not_known() -> None:
    html = markup.card("Key", {"spec": "AES_256", "tags": None})
    assert "AES_256" in html
    assert "tags" not in html
    assert "<table" not in markup.card("Key", {})


def test_columns_are_aligned() -> None:
    assert (
        markup.columns(["a", "long header"], [["wider", "x"], ["y", "z"]]) == "a      long header\nwider  x\ny      z"
    )
    assert markup.columns(["a", "b"], []) == "a  b"
