"""Pictures of the lesson on hardware keys."""

from __future__ import annotations

from collections.abc import Iterator

from kmskit import svg
from kmskit.notebook.pictures import Picture, small_key
from kmskit.svg import BLUE, GREEN, GREY, INK, ORANGE, RED, TINTS, WHITE

__all__ = ["who_has_the_key"]

_HIGH = 118
_CODE, _LIBRARY, _OUTSIDE = 44, 262, 528


def who_has_the_key() -> Picture:
    """Where the key lies in the clear: in the process, in the library, or in a device behind a wall."""
    parts = [
        svg.text(_CODE - 16, 36, "your process", 13, GREY),
        svg.text(_OUTSIDE, 36, "outside of it", 13, GREY),
        *_process(48, "software", RED, "has the key: this process"),
        *_holder(_LIBRARY, 76, BLUE, "key store", "in kmskit"),
        *_sealed(76, "keys.db", "sealed by a passphrase"),
        *_process(48 + _HIGH, "SoftHSM", RED, "has the key: this process"),
        *_holder(_LIBRARY, 76 + _HIGH, GREEN, "the token", "in SoftHSM's library"),
        *_sealed(76 + _HIGH, "token folder", "sealed by the PIN"),
        *_process(48 + 2 * _HIGH, "an HSM", GREEN, "has the key: the HSM alone"),
        svg.box(_LIBRARY, 76 + 2 * _HIGH, 192, 58, WHITE, "#8a929b", 6),
        svg.text(_LIBRARY + 96, 102 + 2 * _HIGH, "the maker's library", 13, anchor="middle", style="bold"),
        svg.text(_LIBRARY + 96, 121 + 2 * _HIGH, "passes questions on", 12, GREY, "middle"),
        *_there_and_back(_LIBRARY + 198, 105 + 2 * _HIGH, _OUTSIDE - 6),
        *_device(76 + 2 * _HIGH),
    ]
    words = (
        "Who has the key. Software: it lies in the memory of your process, and sealed by a passphrase in a file."
        " SoftHSM: the token is a library, so the key lies in the memory of your process too, and sealed by the PIN in"
        " the token's folder. An HSM: your process holds only the maker's library, which passes questions on; the key"
        " lies in the device, behind a wall, and nowhere else."
    )
    return Picture(760, 56 + 3 * _HIGH, words, *parts)


def _process(y: float, name: str, colour: str, verdict: str) -> Iterator[str]:
    """A process, its code, and who in it has the key."""
    yield svg.box(_CODE - 16, y, 458, 98, WHITE, "#8a929b")
    yield svg.text(_CODE, y + 19, name, 13, style="bold")
    yield svg.text(_LIBRARY + 192, y + 19, verdict, 12, colour, "end", "bold")
    yield svg.box(_CODE, y + 28, 150, 58, TINTS[GREY], "#8a929b", 6)
    yield svg.text(_CODE + 75, y + 54, "your code", 13, anchor="middle", style="bold")
    yield svg.text(_CODE + 75, y + 73, "key.encrypt(…)", 12, GREY, "middle", "mono")
    yield from _there_and_back(_CODE + 156, y + 57, _LIBRARY - 6)


def _there_and_back(x: float, y: float, to: float) -> Iterator[str]:
    yield svg.arrow(x, y - 6, to)
    yield svg.arrow(to, y + 6, x)


def _holder(x: float, y: float, colour: str, name: str, where: str) -> Iterator[str]:
    """What uses the key, and so has it in the clear."""
    yield svg.box(x, y, 192, 58, TINTS[colour], colour, 6)
    yield small_key(x + 22, y + 28, colour)
    yield svg.text(x + 62, y + 26, name, 13, style="bold")
    yield svg.text(x + 62, y + 45, where, 12, "#424a53")


def _sealed(y: float, name: str, how: str) -> Iterator[str]:
    """A file that is read and written by what stands beside it."""
    yield svg.line(f"M{_LIBRARY + 192:g} {y + 29:g}H{_OUTSIDE:g}")
    yield svg.box(_OUTSIDE, y, 204, 58, TINTS[ORANGE], ORANGE, 6)
    yield from _lock(_OUTSIDE + 24, y + 22, ORANGE)
    yield svg.text(_OUTSIDE + 50, y + 26, name, 13, style="bold")
    yield svg.text(_OUTSIDE + 50, y + 45, how, 12, "#424a53")


def _device(y: float) -> Iterator[str]:
    yield svg.box(_OUTSIDE, y - 8, 204, 74, INK, radius=6)
    yield svg.box(_OUTSIDE + 5, y - 3, 194, 64, "none", "#8a929b", 4)
    yield small_key(_OUTSIDE + 24, y + 28, "#e3a15f")
    yield svg.text(_OUTSIDE + 64, y + 26, "the HSM", 13, WHITE, style="bold")
    yield svg.text(_OUTSIDE + 64, y + 45, "computes inside", 12, "#d0d7de")


def _lock(x: float, y: float, colour: str) -> Iterator[str]:
    yield svg.line(f"M{x - 6:g} {y + 6:g}v-6a6 6 0 0 1 12 0v6", colour, 2.4)
    yield svg.box(x - 10, y + 6, 20, 15, colour, radius=3)
