"""Pictures of the lesson on envelopes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kmskit import svg
from kmskit.envelope import Field
from kmskit.envelope.drawing import colour_of
from kmskit.notebook.pictures import Picture
from kmskit.svg import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, TINTS, WHITE

__all__ = ["how_it_is_made", "what_refuses"]

_WIDTH, _REASONS = 820, 396


def how_it_is_made() -> Picture:
    """How a message is made: what the KMS does, what is done here, and what the message holds."""
    parts = [
        svg.text(32, 40, "the KMS", 13, GREY),
        svg.box(28, 52, 172, 120, INK),
        *_key(52, 88, ORANGE),
        svg.text(88, 93, "your key", 14, WHITE, style="bold"),
        svg.text(48, 124, "makes a data key,", 12, "#d0d7de"),
        svg.text(48, 142, "and wraps it", 12, "#d0d7de"),
        svg.text(268, 40, "your program", 13, GREY),
        svg.box(264, 52, 468, 120, WHITE, "#8a929b"),
        svg.arrow(206, 84, 282),
        svg.arrow(206, 140, 282),
        *_data_key(292, 66, GREEN, "data key, in the clear"),
        svg.text(512, 82, "encrypts the frames here,", 12.5),
        svg.text(512, 99, "and is forgotten", 12.5),
        *_data_key(292, 122, ORANGE, "data key, wrapped"),
        svg.text(512, 138, "goes into the message,", 12.5),
        svg.text(512, 155, "for each recipient", 12.5),
        svg.text(32, 214, "the message", 13, GREY),
    ]
    fields = (("context", BLUE, 88), ("data key, wrapped", ORANGE, 148), ("commitment, tag", GREEN, 124))
    x = 28.0
    for name, colour, width in (*fields, *((f"frame {n}", PURPLE, 96) for n in (1, 2)), ("final frame", PURPLE, 128)):
        parts += [svg.box(x, 226, width, 44, TINTS[colour], colour, 4)]
        parts += [svg.text(x + width / 2, 253, name, 12, INK, "middle")]
        x += width + 4
    parts += [_brace(28, 392, "header: readable, and authenticated"), _brace(400, 728, "body: your data, encrypted")]
    words = (
        "How an envelope is made. The KMS makes a data key and wraps it under your key. In the clear the data key"
        " encrypts the frames here, and is forgotten. Wrapped it goes into the message, once for each recipient. The"
        " message: a header of context, wrapped data keys, commitment and tag, readable and authenticated; then the"
        " frames."
    )
    return Picture(760, 318, words, *parts)


def what_refuses(reasons: Mapping[str, Sequence[Field]]) -> Picture:
    """Which changes of a message are refused for which reason.

    Args:
        reasons: what was said -> the fields that were changed.
    """
    parts = [svg.text(32, 38, "changed", 13, GREY), svg.text(_REASONS, 38, "refused, because", 13, GREY)]
    y = 52.0
    for reason, fields in reasons.items():
        x = 28.0
        for field in fields:
            width = 6.2 * len(field.name) + 16
            if x + width > _REASONS - 20:
                x, y = 28.0, y + 27
            colour = colour_of(field.group)
            parts += [svg.box(x, y, width, 22, TINTS[colour], colour, 11)]
            parts += [svg.text(x + width / 2, y + 15, field.name, 11.5, INK, "middle")]
            x += width + 6
        parts += [svg.text(_REASONS, y + 15, reason, 12.5)]
        y += 33
    changes = (f"{reason}: {', '.join(f'{f.group} {f.name}' for f in fields)}" for reason, fields in reasons.items())
    return Picture(
        _WIDTH, round(y + 10), "\n".join(["What was said, and which fields were changed.", *changes]), *parts
    )


def _data_key(x: float, y: float, colour: str, what: str) -> Iterator[str]:
    yield svg.box(x, y, 206, 38, TINTS[colour], colour, 6)
    yield from _key(x + 20, y + 18, colour)
    yield svg.text(x + 52, y + 24, what, 12.5)


def _key(x: float, y: float, colour: str) -> Iterator[str]:
    yield f'<circle cx="{x:g}" cy="{y:g}" r="5" fill="none" stroke="{colour}" stroke-width="2.4"/>'
    yield svg.line(f"M{x + 5:g} {y:g}h16m-7 0v4m5 -4v5", colour, 2.4)


def _brace(x: float, to: float, what: str) -> str:
    return svg.line(f"M{x:g} 278v6H{to:g}v-6") + svg.text((x + to) / 2, 301, what, 12, GREY, "middle")
