"""The picture of a Playground: what can be done in it, where no kernel runs."""

from __future__ import annotations

from collections.abc import Iterator

from kmskit import svg
from kmskit.notebook.pictures import cross, small_key, tick
from kmskit.svg import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, TINTS, WHITE

__all__ = ["WORDS", "picture"]

_PARTS = (("key version", 4, BLUE), ("iv", 4, GREEN), ("ciphertext", 6, PURPLE), ("tag", 4, ORANGE))
_CELL, _PITCH, _FLIPPED = 16, 18, 10
WORDS = (
    "Playground. Encrypt a text under a context, flip a byte of the ciphertext, and decrypting it is refused. Sign and"
    " verify, and make and verify MACs likewise; every call is counted. Run the cell to do it."
)


def picture() -> str:
    """An SVG that is always the same."""
    return svg.drawing(
        760,
        236,
        WORDS,
        svg.text(28, 40, "Playground", 16, style="bold"),
        svg.text(732, 40, "run the cell to use a key by hand; every call is counted", 12, GREY, "end"),
        *_box(28, "plaintext", "and a context"),
        *_step(180, "encrypt"),
        *_ciphertext(274),
        *_step(622, "decrypt"),
        *_outcome(706),
        *_likewise(),
    )


def _box(x: float, first: str, second: str) -> Iterator[str]:
    yield svg.box(x, 84, 136, 56, WHITE, GREY)
    yield svg.text(x + 68, 108, first, 13, anchor="middle", style="bold")
    yield svg.text(x + 68, 127, second, 12, GREY, "middle")


def _step(x: float, name: str) -> Iterator[str]:
    yield svg.text(x + 36, 88, name, 12, GREY, "middle")
    yield svg.arrow(x, 112, x + 76)
    yield small_key(x + 30, 132, BLUE, 0.8)


def _ciphertext(x: float) -> Iterator[str]:
    """Cells without digits: what a key makes differs each time."""
    place = 0
    for name, cells, colour in _PARTS:
        start = x + place * _PITCH
        yield svg.text(start + cells * _PITCH / 2 - 1, 84, name, 11, colour, "middle")
        for at in range(place, place + cells):
            flipped = at == _FLIPPED
            yield svg.box(
                x + at * _PITCH, 96, _CELL, 32, TINTS[RED] if flipped else TINTS[colour], RED if flipped else colour, 3
            )
        place += cells
    middle = x + _FLIPPED * _PITCH + _CELL / 2
    yield svg.line(f"M{middle:g} 158V134m-4 6l4 -6l4 6", RED)
    yield svg.text(middle, 174, "flip any byte", 12, RED, "middle", "bold")


def _outcome(x: float) -> Iterator[str]:
    yield tick(x + 10, 100)
    yield cross(x + 10, 126, RED)


def _likewise() -> Iterator[str]:
    yield svg.line("M28 192H732", svg.RULE, 1, "butt")
    yield svg.text(28, 216, "likewise:", 12, GREY)
    yield svg.text(92, 216, "sign, flip a byte of the message or the signature, verify", 12)
    yield svg.text(732, 216, "make a MAC, flip a byte, verify it", 12, anchor="end")
