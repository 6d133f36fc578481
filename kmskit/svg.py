"""Pencils: the parts of an SVG drawing, as text.

SVG is what GitHub shows of a notebook's pictures, and text that a notebook test compares. A drawing stands on a panel
of its own, with colours of its own, so that it is legible on a light and on a dark page. Every value is escaped here.
"""

from __future__ import annotations

from kmskit.markup import escape

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "INK",
    "ORANGE",
    "PURPLE",
    "RED",
    "RULE",
    "TINTS",
    "WHITE",
    "arrow",
    "box",
    "drawing",
    "line",
    "text",
]

INK, GREY, WHITE = "#24292f", "#57606a", "#ffffff"
BLUE, GREEN, ORANGE, PURPLE, RED = "#3b78c2", "#2f8a4c", "#a85d14", "#7a4fb0", "#b3261e"
TINTS = {GREY: "#e9e8e3", BLUE: "#dbe8f8", GREEN: "#d9eedf", ORANGE: "#fbe6d0", PURPLE: "#e9dff5", RED: "#fbe3e0"}
"""A colour -> its light one, to fill what it surrounds."""

_PANEL, RULE = "#fbfaf7", "#d6d2c8"
_SANS = "-apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
_MONO = "ui-monospace, 'DejaVu Sans Mono', Menlo, monospace"


def drawing(width: float, height: float, title: str, *parts: str) -> str:
    """A whole drawing on its panel.

    Args:
        width, height: in pixels, as are all lengths here.
        title: what it shows, for those who cannot see it.
        parts: what the other functions return.
    """
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    panel = box(1, 1, width - 2, height - 2, _PANEL, RULE, 14)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{_SANS}">'
        f"<title>{escape(title)}</title>{panel}{''.join(parts)}</svg>"
    )


def box(x: float, y: float, width: float, height: float, fill: str, stroke: str = "none", radius: float = 8) -> str:
    size = f'width="{width:g}" height="{height:g}"'
    return f'<rect x="{x:g}" y="{y:g}" {size} rx="{radius:g}" fill="{fill}" stroke="{stroke}"/>'


def text(
    x: float, y: float, value: object, size: float = 13, fill: str = INK, anchor: str = "start", style: str = ""
) -> str:
    """`style` is made of the words `bold` and `mono`."""
    more = (' font-weight="600"' if "bold" in style else "") + (f' font-family="{_MONO}"' if "mono" in style else "")
    place = f'x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{fill}" text-anchor="{anchor}"'
    return f"<text {place}{more}>{escape(value)}</text>"


def line(path: str, colour: str = GREY, width: float = 1.6, cap: str = "round") -> str:
    """A path in SVG's own words, such as `M10 20h30`."""
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}" stroke-linecap="{cap}"/>'


def arrow(x: float, y: float, to: float, colour: str = GREY) -> str:
    """A level arrow."""
    back = -7 if to > x else 7
    return line(f"M{x:g} {y:g}H{to:g}m{back} -4l{-back} 4l{back} 4", colour)
