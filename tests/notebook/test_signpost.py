"""The picture of an alias that has moved: what it shows was tried."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

import kmskit
from kmskit.notebook import scratch
from kmskit.notebook.signpost import signpost
from kmskit.testing import hostile

SVG = "{http://www.w3.org/2000/svg}"


def test_it_tells_where_the_alias_points_and_which_key_opens_the_row() -> None:
    kms = scratch()
    old, new = kms.create_key("orders"), kms.create_key()
    row = old.encrypt(b"4111")
    keys = {"2025": old, "2026": new}
    outcomes = "The row with the key of each: 2025: opens; 2026: InvalidCiphertextError."
    assert repr(signpost("orders", keys, row)) == f"orders points to 2025. {outcomes}"

    old.remove_alias("orders")
    new.add_alias("orders")
    assert repr(signpost("orders", keys, row)) == f"orders points to 2026. {outcomes}"

    old.disable()
    assert "2025: KeyStateError" in repr(signpost("orders", keys, row))


def test_an_alias_of_a_third_key_points_to_none_of_these() -> None:
    kms = scratch()
    kms.create_key("orders")
    key = kms.create_key()
    assert repr(signpost("orders", {"this": key}, b"?")).startswith("orders points to none of these keys.")
    with pytest.raises(kmskit.KeyNotFoundError):
        signpost("payroll", {"this": key}, b"?")


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_texts_of_others_are_made_safe(text: str) -> None:
    key = kmskit.connect("software:?memory=1").create_key(text)
    picture = signpost(text, {text: key}, key.encrypt(b"4111"))
    root = ElementTree.fromstring(picture._repr_svg_())
    assert root.findtext(f"{SVG}title") == repr(picture)
    hostile.assert_safe_html(picture._repr_svg_())
    hostile.assert_safe_text(repr(picture), lines=True)
