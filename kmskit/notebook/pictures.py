"""Pictures for lessons, as SVG: what GitHub and a paper page show too, and what a notebook test compares.

Each is drawn on a panel of its own with colours of its own, so that it is legible on a light and on a dark page. Its
text/plain form says the same in words: that is what an untrusted notebook, a screen reader or a terminal shows.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from kmskit import markup, svg
from kmskit.errors import KmsError
from kmskit.key import Key
from kmskit.svg import BLUE, GREEN, GREY, INK, ORANGE, RED, RULE, TINTS, WHITE

__all__ = [
    "KEY",
    "LOCK",
    "Picture",
    "Timeline",
    "anatomy",
    "bitmaps",
    "cross",
    "one_interface",
    "small_key",
    "tick",
    "who_can_forge",
]

_AMBER, _DUSK, _MIST = "#e3a15f", "#3a424b", "#d0d7de"  # on ink


class Picture:
    """An SVG drawing, and what it says in words."""

    def __init__(self, width: int, height: int, words: str, *parts: str) -> None:
        self.words = "\n".join(map(markup.printable, words.split("\n")))
        self.svg = svg.drawing(width, height, markup.Html(html.escape(self.words)), *parts)

    def __repr__(self) -> str:
        return self.words

    def _repr_svg_(self) -> str:
        return self.svg


# Pencils


def small_key(x: float, y: float, colour: str, scale: float = 1) -> str:
    """A small key, lying, its bow centred on (x, y)."""
    drawing = svg.line("M6 0h19m-9 0v5m6 -5v6", colour, 2.6)
    bow = f'<circle r="6" fill="none" stroke="{colour}" stroke-width="2.6"/>'
    return f'<g transform="translate({x:g} {y:g}) scale({scale:g})">{bow}{drawing}</g>'


def tick(x: float, y: float, scale: float = 1) -> str:
    """A tick in a circle."""
    path = f"M{x - 4 * scale:g} {y}l{3 * scale:g} {4 * scale:g}l{6 * scale:g} {-8 * scale:g}"
    return f'<circle cx="{x:g}" cy="{y:g}" r="{10 * scale:g}" fill="{GREEN}"/>' + svg.line(path, WHITE, 2.2 * scale)


def cross(x: float, y: float, colour: str, scale: float = 1) -> str:
    """A cross in a square, so that it differs from a tick by its form and not by its colour alone."""
    half, arm = 9 * scale, 4 * scale
    path = f"M{x - arm:g} {y - arm:g}l{2 * arm:g} {2 * arm:g}m0 {-2 * arm:g}l{-2 * arm:g} {2 * arm:g}"
    return svg.box(x - half, y - half, 2 * half, 2 * half, colour, radius=3) + svg.line(path, WHITE, 2.2 * scale)


# Drawings of fixed things


def one_interface() -> Picture:
    """What crosses between a program and its keys, and the three places where the keys can be."""
    calls = [
        ("key.encrypt(…)", "plaintext", "ciphertext"),
        ("key.decrypt(…)", "ciphertext", "plaintext"),
        ("key.sign(…)", "message", "signature"),
    ]
    places = [
        (BLUE, "software", "a sealed file", "software:"),
        (GREEN, "pkcs11", "a token or an HSM", "pkcs11:token=demo?module-path=…"),
        (ORANGE, "alibaba", "the cloud, or its emulator", "alibaba://cn-hangzhou?instance=…"),
    ]
    parts = [svg.text(32, 40, "your notebook", 13, GREY), svg.text(732, 40, "where the key is", 13, GREY, "end")]
    parts += [svg.box(28, 52, 190, 212, WHITE, "#8a929b")]
    for at, (call, there, back) in enumerate(calls):
        y = 84 + 74 * at
        parts += [svg.text(46, y + 5, call, 14, style="mono")]
        parts += [svg.text(325, y - 12, there, 12, anchor="middle"), svg.arrow(234, y - 5, 416)]
        parts += [svg.text(325, y + 24, back, 12, anchor="middle"), svg.arrow(416, y + 7, 234)]
    for at, (colour, name, where, uri) in enumerate(places):
        y = 52 + 74 * at
        parts += [svg.box(432, y, 300, 64, TINTS[colour], colour), small_key(456, y + 31, colour)]
        parts += [svg.text(496, y + 27, name, 14, style="bold"), svg.text(716, y + 27, where, 12, "#424a53", "end")]
        parts += [svg.text(496, y + 48, uri, 11, GREY, style="mono")]
    parts += [cross(264, 293, RED), svg.text(282, 297, "the key never crosses", 13, RED, style="bold")]
    words = (
        "One interface, three backends. Between your notebook and the key pass plaintexts, ciphertexts, messages and"
        " signatures. The key itself never leaves its place: software (a sealed file), pkcs11 (a token or an HSM) or"
        " alibaba (the cloud, or its emulator)."
    )
    return Picture(760, 320, words, *parts)


def who_can_forge() -> Picture:
    """A signature and a MAC side by side: who can check, who could have made it."""
    left, right = 28, 394
    parts = [svg.box(x, 24, 338, 268, WHITE, RULE) for x in (left, right)]
    parts += [svg.text(left + 20, 54, "Signature", 16, style="bold")]
    parts += [*_holder(left + 20, "private key", "one holder")]
    for y in (74, 108, 142):
        parts += [svg.arrow(left + 150, y + 14, left + 196), svg.box(left + 202, y, 118, 28, TINTS[BLUE], BLUE, 6)]
        parts += [
            small_key(left + 218, y + 13, BLUE, 0.7),
            svg.text(left + 312, y + 18, "public key", 11.5, anchor="end"),
        ]
    parts += [*_verdicts(left + 20, (BLUE, "everyone"), (ORANGE, "the holder alone"))]
    parts += [svg.text(left + 20, 270, "So it is evidence, also before a third party.", 12.5)]
    parts += [svg.text(right + 20, 54, "MAC", 16, style="bold")]
    parts += [*_holder(right + 20, "the same secret", "maker"), *_holder(right + 194, "the same secret", "checker")]
    parts += [svg.arrow(right + 150, 116, right + 188), svg.arrow(right + 188, 130, right + 150)]
    parts += [*_verdicts(right + 20, (ORANGE, "each of the two"), (ORANGE, "each of the two"))]
    parts += [svg.text(right + 20, 270, "So it convinces these two, and nobody else.", 12.5)]
    words = (
        "Signature: one holder has the private key, everyone can have the public key; everyone can check, and only the"
        " holder could have made it. MAC: maker and checker share one secret; each of the two can check, and each could"
        " have made it."
    )
    return Picture(760, 316, words, *parts)


def _holder(x: float, secret: str, who: str) -> Iterator[str]:
    yield svg.box(x, 74, 124, 96, TINTS[ORANGE], ORANGE)
    yield small_key(x + 44, 106, ORANGE, 1.3)
    yield svg.text(x + 62, 140, secret, 12.5, anchor="middle")
    yield svg.text(x + 62, 158, who, 12, GREY, "middle")


def _verdicts(x: float, check: tuple[str, str], made: tuple[str, str]) -> Iterator[str]:
    for y, question, (colour, answer) in ((214, "can check:", check), (240, "could have made it:", made)):
        yield svg.text(x, y, question, 13, GREY)
        yield svg.text(x + 142, y, answer, 13, colour, style="bold")


# Drawings of what a lesson computed


def anatomy(key: Key) -> Picture:
    """What of a key is there to see, and what is only there to be used."""
    count = len(key.versions)
    parts = [
        svg.text(32, 42, "what you see", 13, GREY),
        svg.box(28, 54, 150, 40, TINTS[BLUE], BLUE),
        svg.text(103, 79, "alias", 13.5, anchor="middle", style="bold"),
        svg.text(103, 114, "can be moved", 12, GREY, "middle"),
        svg.arrow(184, 74, 212),
        svg.box(218, 54, 238, 206, WHITE, "#8a929b"),
        svg.text(234, 80, "key id", 13.5, style="bold"),
        svg.text(440, 80, "for good", 12, GREY, "end"),
        svg.text(488, 42, "what is only used", 13, GREY),
        svg.box(484, 54, 248, 206, INK),
    ]
    facts = (("spec", key.spec), ("usage", key.usage), ("state", key.state), ("versions", count))
    for at, (name, value) in enumerate(facts):
        parts += [
            svg.text(234, 118 + 34 * at, name, 12.5, GREY),
            svg.text(440, 118 + 34 * at, value, 12, INK, "end", "mono"),
        ]
    shown = min(count, 4)
    for at in range(shown):
        y = 68 + 46 * at
        primary = at == shown - 1
        parts += [
            svg.box(498, y, 220, 38, _DUSK, _AMBER if primary else "none", 6),
            small_key(516, y + 18, _AMBER, 0.8),
        ]
        parts += [svg.text(548, y + 24, f"version {count - shown + at + 1}", 13, WHITE)]
        parts += [svg.text(706, y + 24, "primary" if primary else "opens only", 12, _MIST, "end")]
    parts += [svg.text(608, 286, "used inside, by the backend alone", 12.5, GREY, "middle")]
    parts += [svg.text(337, 286, "everyone who may list keys", 12.5, GREY, "middle")]
    words = (
        f"A key: an alias points to a key id. To be seen: spec {key.spec}, usage {key.usage}, state {key.state},"
        f" {count} version(s). Only to be used: the material of each version; the last is the primary one."
    )
    return Picture(760, 306, words, *parts)


_SIDE = 48


def _bitmap(inside: Callable[[int, int], bool]) -> bytes:
    bits = "".join("01"[inside(x, y)] for y in range(_SIDE) for x in range(_SIDE))
    return int(bits, 2).to_bytes(len(bits) // 8)


def _is_key(x: int, y: int) -> bool:
    from_bow = (x - 12) ** 2 + (y - 24) ** 2
    bit = x in (36, 37, 38, 42, 43, 44) and 26 < y < 33
    return 16 < from_bow < 90 or (20 < x < 45 and 22 < y < 27) or bit


def _is_lock(x: int, y: int) -> bool:
    from_shackle = (x - 23.5) ** 2 + (y - 20) ** 2
    keyhole = (x - 23.5) ** 2 + (y - 30) ** 2 < 11 or (22 < x < 25 and 30 < y < 38)
    return (9 < x < 38 and 20 < y < 43 and not keyhole) or (y <= 20 and 60 < from_shackle < 130)


KEY = _bitmap(_is_key)
"""The bitmap of a key: 48 x 48 pixels, one bit each, 288 bytes."""
LOCK = _bitmap(_is_lock)
"""The bitmap of a lock, of the same size."""


def bitmaps(named: Mapping[str, bytes]) -> Picture:
    """Bytes as bitmaps of 48 x 48 pixels, side by side.

    Args:
        named: caption -> 288 bytes.

    Raises:
        ValueError: not 288 bytes.
    """
    side, gap = 4 * _SIDE, 26
    parts = []
    for at, (caption, data) in enumerate(named.items()):
        if len(data) * 8 != _SIDE * _SIDE:
            raise ValueError(f"named: {_SIDE * _SIDE // 8} bytes expected for {caption!r}, not {len(data)}")
        x = gap + at * (side + gap)
        parts += [svg.box(x - 1, 23, side + 2, side + 2, WHITE, "#8a929b", 0)]
        parts += [f'<g transform="translate({x} 24) scale(4)">{svg.line(_runs(data), INK, 1, cap="butt")}</g>']
        parts += [svg.text(x + side / 2, side + 48, caption, 13, anchor="middle")]
    return Picture(gap + len(named) * (side + gap), side + 68, f"Bitmaps: {', '.join(named)}", *parts)


def _runs(data: bytes) -> str:
    """The black pixels as one path: a stroke for each run of them."""
    bits = f"{int.from_bytes(data):0{_SIDE * _SIDE}b}"
    strokes = []
    for y in range(_SIDE):
        row = bits[y * _SIDE : (y + 1) * _SIDE]
        x = row.find("1")
        while x >= 0:
            end = (row + "0").find("0", x)
            strokes.append(f"M{x} {y}.5h{end - x}")
            x = row.find("1", end)
    return "".join(strokes)


class Timeline:
    """Which ciphertexts of a key open after each step of its life. Every mark is a decryption that was tried.

    Args:
        key: whose ciphertexts they are.
    """

    def __init__(self, key: Key) -> None:
        self._key = key
        self._steps: list[tuple[str, str]] = []
        self._rows: dict[str, tuple[bytes, Mapping[str, str] | None]] = {}
        self._marks: dict[tuple[str, int], str] = {}

    def watch(self, name: str, ciphertext: bytes, *, context: Mapping[str, str] | None = None) -> None:
        """Try this ciphertext too, from the next step on."""
        self._rows[name] = (ciphertext, context)

    def step(self, name: str, when: datetime | None = None) -> None:
        """Something was done to the key: try all ciphertexts now."""
        for row, (ciphertext, context) in self._rows.items():
            try:
                self._key.decrypt(ciphertext, context=context)
                self._marks[row, len(self._steps)] = "opens"
            except KmsError as error:
                self._marks[row, len(self._steps)] = type(error).__name__
        self._steps.append((name, f"{when:%Y-%m-%d}" if when else ""))

    def __repr__(self) -> str:
        headers = ["ciphertext", *(f"{name}, {when}" if when else name for name, when in self._steps)]
        marks = ([row, *(self._marks.get((row, at), "") for at in range(len(self._steps)))] for row in self._rows)
        return markup.columns(headers, marks)

    def _repr_svg_(self) -> str:
        return self.picture().svg

    def picture(self, last: int | None = None) -> Picture:
        """The steps side by side.

        Args:
            last: how many of the last steps; all if left out.
        """
        left, wide, high, top = 136, 104, 54, 96
        first = 0 if last is None else max(0, len(self._steps) - last)
        width, height = left + wide * (len(self._steps) - first) + 16, top + high * len(self._rows) + 8
        parts = []
        for at, (name, when) in enumerate(self._steps[first:]):
            x = left + wide * (at + 0.5)
            parts += [
                svg.text(x, 42, name, 13, anchor="middle", style="bold"),
                svg.text(x, 62, when, 11.5, GREY, "middle"),
            ]
        for number, row in enumerate(self._rows):
            y = top + high * number + 6
            parts += [svg.text(28, y + 5, row, 13.5, style="bold")]
            for at in range(first, len(self._steps)):
                if (row, at) in self._marks:
                    parts += _mark(left + wide * (at - first + 0.5), y, wide, self._marks[row, at])
        return Picture(width, height, repr(self), *parts)


def _mark(x: float, y: float, wide: float, mark: str) -> Iterator[str]:
    """Green: it opened. Orange: refused, and someone can undo that. Red: there is no key any more."""
    colour = {"opens": GREEN, "KeyNotFoundError": RED}.get(mark, ORANGE)
    yield svg.box(x - wide / 2 + 3, y - 18, wide - 6, 46, TINTS[colour])
    yield tick(x, y) if mark == "opens" else cross(x, y, colour)
    yield svg.text(x, y + 23, mark, 10, "#424a53", "middle")
