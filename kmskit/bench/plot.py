"""Plots with logarithmic axes, and a name beside each line instead of a legend."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import log
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from kmskit.svg import GREY, INK, RULE

__all__ = ["Lines", "Plot", "panels"]

Lines = Mapping[str, Sequence[tuple[float, float]]]
_Show = Callable[[float], str]
# Okabe and Ito's colours, which people tell apart who see few, darkened so that names are legible. And a form each.
_LOOKS = (("#0072b2", "o"), ("#b84a00", "s"), ("#007a5a", "^"), ("#9a4a80", "D"), ("#7d6200", "v"), (INK, "P"))
_PANEL = "#fbfaf7"
_APART = 0.085  # Of a panel's height, so that names do not cover each other.


class Plot(Figure):
    """A figure that shows itself, without pyplot: as PNG or, if `recorded`, as SVG that depends on its data alone.

    A notebook test compares SVG and not PNG, so a figure of what was measured just now is the latter.
    """

    recorded = False

    def svg(self) -> str:
        out = io.StringIO()
        with rc_context({"svg.hashsalt": "kmskit", "svg.fonttype": "none"}):
            self.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        return out.getvalue()

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        names = sorted({text.get_text() for axes in self.axes for text in axes.texts})
        words = f"<Plot of {', '.join(axes.get_title(loc='left') for axes in self.axes)}: {', '.join(names)}>"
        if self.recorded:
            return {"text/plain": words, "image/svg+xml": self.svg()}
        out = io.BytesIO()
        self.savefig(out, format="png", dpi=110)
        return {"text/plain": words, "image/png": out.getvalue()}


def panels(
    found: Mapping[str, Lines], label: str, across: Callable[[str, float], str], up: _Show, recorded: bool
) -> Plot:
    """A panel for each name, and in it a line for each name.

    Args:
        label: of the axes that go up.
        across, up: how values on the axes are written; the first is told the panel's name, too.
    """
    names = dict.fromkeys(name for lines in found.values() for name in lines)
    looks = {name: _LOOKS[at % len(_LOOKS)] for at, name in enumerate(names)}
    columns = min(2, len(found)) or 1
    rows = -(-len(found) // columns)
    with rc_context({"font.size": 9, "text.color": INK, "axes.edgecolor": RULE, "axes.labelcolor": GREY}):
        plot = Plot(figsize=(4.6 * columns, 2.9 * rows), layout="constrained", facecolor=_PANEL)
        plot.recorded = recorded
        for at, (title, lines) in enumerate(found.items(), 1):
            panel = plot.add_subplot(rows, columns, at, facecolor=_PANEL, xscale="log", yscale="log")
            panel.set_title(title, loc="left", fontweight="bold")
            panel.set_ylabel(label)
            if len(names) > len(_LOOKS):  # Then they cannot mean the same in all panels.
                looks = dict(zip(lines, _LOOKS, strict=False))
            _draw(panel, lines, looks, partial(across, title), up)
    return plot


def _draw(panel: Axes, lines: Lines, looks: Mapping[str, tuple[str, str]], across: _Show, up: _Show) -> None:
    wide = sorted({x for points in lines.values() for x, _ in points})
    high = [y for points in lines.values() for _, y in points]
    low, top = min(high) / 1.6, max(high) * 1.6
    # The names stand right of the points.
    reach = wide[-1] / wide[0] if len(wide) > 1 else 10.0
    panel.set(xlim=(wide[0] / reach**0.08, wide[-1] * reach**0.75), ylim=(low, top))
    ticks = wide[:1]
    for x in wide:  # Not where they would cover each other.
        ticks += [x] * (x > ticks[-1] * reach**0.22)
    panel.set_xticks(ticks)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: across(x)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: up(y)))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_minor_locator(NullLocator())
    panel.tick_params(colors=GREY)
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", color=RULE, linewidth=0.6)
    ends = sorted(lines, key=lambda name: lines[name][-1][1])
    places = [log(lines[name][-1][1] / low) / log(top / low) for name in ends]
    for at in range(1, len(ends)):
        places[at] = max(places[at], places[at - 1] + _APART)
    for at in reversed(range(len(ends))):
        places[at] = min(places[at], 1 - (len(ends) - 1 - at) * _APART)
    for name, place in zip(ends, places, strict=True):
        colour, form = looks[name]
        panel.plot(*zip(*lines[name], strict=True), color=colour, marker=form, markersize=4, linewidth=1.5)
        lead = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "alpha": 0.5}
        panel.annotate(
            name, lines[name][-1], (0.64, place), textcoords="axes fraction", color=colour, va="center", arrowprops=lead
        )
