"""Charts of a run: curves over outer steps, and means with their intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from metagan.report.drawing import (
    INK,
    Axis,
    Chart,
    Mark,
    axis_of,
    frame,
    line,
    row_frame,
    smooth,
    styled,
    svg,
    whole_axis,
    write,
)
from metagan.report.values import DASH, SPACE, Estimate, significant


class Line(NamedTuple):
    """A curve: its name, (x, y) in order of x with None where there is no value, its colour."""

    name: str
    points: Sequence[tuple[float, float | None]]
    colour: str = "accent"


@styled
def line_chart(
    title: str, lines: Sequence[Line], *, x_name: str, changes: Sequence[tuple[float, str]] = ()
) -> Chart | None:
    """Curves over the same x: every value thin, their moving average bold.

    The vertical axis is logarithmic where positive values span more than a factor of 50. A few
    extreme values may lie outside of the frame; the caption then says so.

    Args:
        title: Of the chart.
        lines: The curves.
        x_name: Name of the horizontal axis.
        changes: (x, word) where something changes; no line crosses them, because values before and
            after are of different things.
    """
    data = [
        (curve, *np.array([(x, math.nan if y is None else y) for x, y in curve.points]).T)
        for curve in lines
    ]
    values = np.concatenate([np.empty(0), *(y[np.isfinite(y)] for _, _, y in data)])
    if not values.size:
        return None
    low, high = min(x[0] for _, x, _ in data), max(x[-1] for _, x, _ in data)
    y_axis = axis_of(values)
    axes = frame(whole_axis(low, high), y_axis, x_name)
    marks = []
    for curve, x, y in data:
        cuts = np.searchsorted(x, sorted(place for place, _ in changes))
        for piece in np.split(np.arange(len(x)), cuts):
            line(axes, x[piece], y[piece], curve.colour, 1, alpha=0.32, zorder=2)
            line(axes, x[piece], smooth(y[piece]), curve.colour, 1.9, zorder=3)
            known = piece[np.isfinite(y[piece])]
            if len(known) == 1:
                told = f"{curve.name}: {significant(y[known[0]])} at {x[known[0]]:g}"
                at = x[known[0]], y_axis.inside(y[known[0]])
                marks.append(Mark(*at, curve.colour, told, 3.5))
    for place, word in changes:
        if low < place < high:
            axes.axvline(place, color=INK["strong-rule"], linestyle=":", linewidth=1)
            # The word stands on the side that has room for it.
            side, text = (
                ("right", word + SPACE) if 2 * place > low + high else ("left", SPACE + word)
            )
            write(axes, place, 1, text, ha=side, va="top", transform=axes.get_xaxis_transform())
    summary = "; ".join(
        f"{curve.name}: {significant(known[0])} at first, {significant(known[-1])} at last"
        for curve, _, y in data
        if (known := y[np.isfinite(y)].tolist())
    )
    cut = "; a few extreme values lie outside of the frame" * y_axis.is_cut
    legend = [(curve.name, curve.colour) for curve in lines] if len(lines) > 1 else []
    return Chart(title, y_axis.words + cut, svg(axes, f"{title}. {summary}", marks), legend)


class Dot(NamedTuple):
    """A row of a dot chart: its label, its estimate, and a text where there is no estimate."""

    label: str
    value: Estimate | None
    text: str = DASH

    @property
    def shown(self) -> str:
        """The value in words."""
        return self.text if self.value is None else self.value.text(signed=True)


@styled
def dot_chart(title: str, groups: Mapping[str, Sequence[Dot]], *, unit: str) -> Chart | None:
    """Differences as dots, their 95 % intervals as lines, one row each below their headings.

    Args:
        title: Of the chart.
        groups: Rows below their headings.
        unit: Of the axis, on which zero is marked.
    """
    rows: list[tuple[str, Dot | None]] = []
    for heading, dots in groups.items():
        rows += [(heading, None), *((dot.label, dot) for dot in dots)]
    values = [dot.value for _, dot in rows if dot is not None and dot.value is not None]
    if not values:
        return None
    ends = [100 * end for v in values for end in (v.mean, v.low, v.high) if end is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.06 * (high - low) or 1.0
    axes = row_frame(
        [(name, dot is None) for name, dot in rows], Axis(low - room, high + room), signed=True
    )
    marks = []
    for row, (label, dot) in enumerate(rows):
        if dot is None:
            continue
        if dot.value is None:
            write(axes, 0.0, row, SPACE + dot.text, va="center")
            continue
        if dot.value.low is not None and dot.value.high is not None:
            line(axes, [100 * dot.value.low, 100 * dot.value.high], [row, row], "accent", 2)
        marks.append(Mark(100 * dot.value.mean, row, "accent", f"{label}: {dot.shown}", 4.5))
    summary = "; ".join(
        f"{heading}, {dot.label}: {dot.shown}" for heading, dots in groups.items() for dot in dots
    )
    return Chart(title, f", {unit}", svg(axes, f"{title}, {unit}: {summary}", marks))
