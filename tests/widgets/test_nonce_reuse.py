"""`NonceReuse`: with one nonce the XOR of the ciphertexts is that of the plaintexts, with two it is noise."""

from __future__ import annotations

import re

from kmskit.widgets.nonce_reuse import NonceReuse
from tests.widgets.looking import assert_safe


def agreeing(shown: NonceReuse) -> int:
    """How many pixels of the XOR are told to be those of the plaintexts."""
    found = re.search(r"([\d,]+) of 2,304 pixels", shown.told)
    assert found
    return int(found[1].replace(",", ""))


def test_one_nonce_reveals_every_pixel() -> None:
    shown = NonceReuse()
    assert agreeing(shown) == 2_304
    assert "no key was needed" in shown.told
    first, second = re.findall(r"<code>([0-9a-f]{24})</code>", shown.nonces.value)
    assert first == second


def test_fresh_nonces_reveal_none() -> None:
    shown = NonceReuse()
    shown.two.click()
    # 2,304 tosses: 1,152 on average, and 24 is the standard deviation.
    assert abs(agreeing(shown) - 1_152) < 10 * 24
    first, second = re.findall(r"<code>([0-9a-f]{24})</code>", shown.nonces.value)
    assert first != second
    shown.one.click()
    assert agreeing(shown) == 2_304


def test_each_press_encrypts_anew() -> None:
    shown = NonceReuse()
    before = shown.drawing.value
    shown.one.click()
    assert shown.drawing.value != before


def test_the_stored_picture_is_the_same_each_time_and_depends_on_the_choice() -> None:
    assert NonceReuse().still() == NonceReuse().still() != NonceReuse(reuse=False).still()
    assert repr(NonceReuse(reuse=False)).startswith("<NonceReuse, a fresh nonce for each: Bitmaps: ")


def test_it_is_safe_to_show() -> None:
    assert_safe(NonceReuse())
