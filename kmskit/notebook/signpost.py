"""The picture of an alias that has moved: where it points today, and which key opens what was encrypted before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kmskit import svg
from kmskit.errors import KmsError
from kmskit.key import Key
from kmskit.notebook.pictures import Picture, cross, small_key, tick
from kmskit.svg import BLUE, GREEN, GREY, INK, ORANGE, RED, TINTS, WHITE

__all__ = ["signpost"]

_WIDE, _TOP, _HIGH, _GAP = 760, 28, 66, 22
_ALIAS, _KEY, _ROW = 28, 240, 606
_BORDER = "#8a929b"


def signpost(alias: str, keys: Mapping[str, Key], ciphertext: bytes) -> Picture:
    """Where an alias points, and which of the keys open a ciphertext. Both are tried, not told.

    Args:
        alias: a name that one of the keys has now.
        keys: what each is called in the picture -> the key.
        ciphertext: made by one of them, without a context.

    Raises:
        KeyNotFoundError: no key has the alias.
    """
    today = next(iter(keys.values())).kms.key(alias)
    opened = {name: _outcome(key, ciphertext) for name, key in keys.items()}
    middles = [_TOP + _HIGH / 2 + at * (_HIGH + _GAP) for at in range(len(keys))]
    centre = (middles[0] + middles[-1]) / 2
    parts = [
        *_box(_ALIAS, centre, 126, alias, "an alias", TINTS[BLUE], BLUE),
        *_box(_ROW, centre, 126, "the row", "encrypted once", TINTS[ORANGE], ORANGE),
    ]
    for (name, key), y in zip(keys.items(), middles, strict=True):
        parts += [svg.box(_KEY, y - _HIGH / 2, 130, _HIGH, WHITE, _BORDER), small_key(_KEY + 20, y - 1, INK)]
        parts += [svg.text(_KEY + 58, y - 2, name, 14, style="bold"), svg.text(_KEY + 58, y + 17, "a key", 12, GREY)]
        if key == today:
            parts += [*_way(_ALIAS + 132, centre, 196, y), svg.arrow(196, y, _KEY - 6)]
        parts += [*_verdict(y, centre, opened[name])]
    points = ", ".join(f"{alias} points to {name}" for name, key in keys.items() if key == today)
    words = f"{points or f'{alias} points to none of these keys'}. The row with the key of each: " + "; ".join(
        f"{name}: {outcome}" for name, outcome in opened.items()
    )
    return Picture(_WIDE, 2 * _TOP + len(keys) * (_HIGH + _GAP) - _GAP, f"{words}.", *parts)


def _outcome(key: Key, ciphertext: bytes) -> str:
    try:
        key.decrypt(ciphertext)
    except KmsError as error:
        return type(error).__name__
    return "opens"


def _box(x: float, y: float, wide: float, name: str, what: str, fill: str, colour: str) -> Iterator[str]:
    yield svg.box(x, y - 28, wide, 56, fill, colour)
    yield svg.text(x + wide / 2, y - 2, name, 14, anchor="middle", style="bold")
    yield svg.text(x + wide / 2, y + 17, what, 12, "#424a53", "middle")


def _way(x: float, y: float, to: float, to_y: float) -> Iterator[str]:
    """A line that goes level, then up or down."""
    yield svg.line(f"M{x:g} {y:g}H{to:g}V{to_y:g}")


def _verdict(y: float, centre: float, outcome: str) -> Iterator[str]:
    """What came of opening the row with the key that stands at this height."""
    opens = outcome == "opens"
    yield from _way(_ROW - 6, centre, _ROW - 22, y)
    yield svg.line(f"M{_KEY + 136} {y:g}H{_ROW - 22}")
    yield tick(_KEY + 158, y) if opens else cross(_KEY + 158, y, RED)
    yield svg.text(_KEY + 176, y - 8, outcome, 11.5, GREEN if opens else RED, style="bold")
