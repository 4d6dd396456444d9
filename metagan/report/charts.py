"""Charts as inline SVG.

Horizontal positions are shares of the width, so that a chart fits any screen while its text and its
lines keep their size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from metagan.report.axes import (
    Points,
    Scale,
    decimals_of,
    padded,
    path_data,
    pieces,
    smooth,
    thin,
    ticks,
)
from metagan.report.html import Child, Html, el
from metagan.report.plots import (
    HEIGHT,
    TOP,
    Axis,
    frame,
    legend,
    percent,
    step_axis,
    value_axis,
    y_labels,
)
from metagan.report.values import DASH, Estimate, fixed, significant

_ROW = 25.6  # Pixels of a row of dots: 1.6rem in `style.py`.


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        name: For the legend.
        points: (x, y) in order of x; None where there is no value.
        colour: 0 accent, 1 second, 2 neutral.
    """

    name: str
    points: Points
    colour: int = 0


@dataclass(frozen=True)
class Mark:
    """A vertical line with a word, where something changes."""

    x: float
    text: str


@dataclass(frozen=True)
class Dot:
    """One mean with its interval in a dot chart.

    Attributes:
        label: In front of the row.
        value: The estimate; None leaves the row empty.
        colour: 0 accent, 1 second, 2 neutral.
        text: Instead of a number where there is no value.
    """

    label: str
    value: Estimate | None
    colour: int = 0
    text: str = DASH

    def shown(self, *, signed: bool) -> str:
        """The value in words."""
        return self.text if self.value is None else self.value.text(signed=signed)


def line_chart(
    title: str, lines: Sequence[Line], *, x_name: str, marks: Sequence[Mark] = ()
) -> Html:
    """Curves over the same x: every value thin, their moving average bold.

    The vertical axis is logarithmic where positive values span more than a factor of 50. A few
    extreme values may lie outside of the frame; the caption then says so.
    """
    values = [y for line in lines for _, y in line.points if y is not None]
    xs = [x for line in lines for x, _ in line.points]
    if not values:
        return Html("")
    y = value_axis(title, values)
    x = step_axis(x_name, min(xs), max(xs))
    # A line across a change of algorithm would join values of different things.
    breaks = [mark.x for mark in marks]
    paths = [
        el(
            "path",
            class_=f"{kind} s{line.colour}",
            d=path_data(thin(smooth(piece) if kind == "smooth" else piece), x.scale, y.scale),
        )
        for kind in ("raw", "smooth")
        for line in lines
        for piece in pieces(line.points, breaks)
    ]
    ends = [_last(line.points) for line in lines]
    summary = "; ".join(
        f"{line.name}: {significant(first)} at first, {significant(last)} at last"
        for line, (first, last) in zip(lines, ends, strict=True)
    )
    label = {"aria_label": f"{title}. {summary}"}
    caption: list[Child] = [el("b", title)]
    if y.scale.log:
        caption.append(", logarithmic axis")
    if y.is_cut:
        caption.append("; a few extreme values lie outside of the frame")
    return el(
        "figure",
        el("figcaption", caption),
        el(
            "div",
            y_labels(y),
            frame(x, y, paths, below=_marks(x, marks), attributes=label),
            class_="plot",
        ),
        legend([(line.name, f"k{line.colour}") for line in lines]) if len(lines) > 1 else None,
        class_="chart",
    )


def _marks(x: Axis, marks: Sequence[Mark]) -> list[Html]:
    parts = []
    for mark in marks:
        share = x.scale.share(mark.x)
        if not 0 < share < 1:
            continue
        place = percent(share)
        parts.append(el("line", class_="mark", x1=place, x2=place, y1=TOP, y2=TOP + HEIGHT))
        # The word stands on the side that has room for it.
        side, shift = ("end", "-4") if share > 0.5 else ("start", "4")
        parts.append(el("text", mark.text, x=place, y=TOP + 11, dx=shift, text_anchor=side))
    return parts


def dot_chart(
    title: str,
    groups: Sequence[tuple[str, Sequence[Dot]]],
    *,
    signed: bool = False,
    unit: str,
    show_values: bool = False,
    span: tuple[float, float] | None = None,
) -> Html:
    """Means as dots, 95 % intervals as lines, one row each; all on one axis.

    Args:
        title: What is shown.
        groups: Rows below a heading each; an empty heading is left out.
        signed: Differences: zero is on the axis and marked.
        unit: Of the axis, such as "%".
        show_values: Numbers beside the rows, where a screen is wide enough.
        span: Values (fractions) that the axis must contain besides those of the rows, so that
            several charts can share one axis.
    """
    dots = [dot for _, rows in groups for dot in rows]
    ends = span_of(dots) if span is None else span
    if ends is None:
        return Html("")
    scale = padded(*ends, include_zero=signed)
    labels, values, shapes = [], [], []
    row = 0
    for heading, rows in groups:
        if heading:
            labels.append(el("li", heading, class_="head"))
            values.append(el("li", "\u00a0"))
            row += 1
        for dot in rows:
            labels.append(el("li", dot.label))
            values.append(el("li", "" if dot.value is None else dot.shown(signed=signed)))
            shapes += _dot(dot, scale, (row + 0.5) * _ROW)
            row += 1
    height = row * _ROW
    lines = []
    found = ticks(scale, 5)
    decimals = decimals_of(found)
    for tick in found:
        x = percent(scale.share(tick))
        kind = "axis" if signed and tick == 0 else "gridline"
        lines.append(el("line", class_=kind, x1=x, x2=x, y1=0, y2=round(height, 1)))
        text = fixed(tick, decimals, signed=signed)
        lines.append(el("text", text, x=x, y=round(height + 15, 1), text_anchor="middle"))
    summary = "; ".join(
        f"{heading + ', ' if heading else ''}{dot.label}: {dot.shown(signed=signed)}"
        for heading, rows in groups
        for dot in rows
    )
    return el(
        "figure",
        el("figcaption", el("b", title), f", {unit}"),
        el(
            "div",
            el("ol", labels, aria_hidden="true"),
            el(
                "svg",
                lines,
                shapes,
                height=round(height + 20),
                role="img",
                aria_label=f"{title}, {unit}: {summary}",
            ),
            el("ol", values, class_="value", aria_hidden="true") if show_values else None,
            class_="dots wide-values" if show_values else "dots",
        ),
        class_="chart",
    )


def span_of(dots: Sequence[Dot]) -> tuple[float, float] | None:
    """Smallest and largest end of the intervals; None if no row has a value."""
    ends = [
        end
        for dot in dots
        if dot.value is not None
        for end in (dot.value.mean, dot.value.low, dot.value.high)
        if end is not None
    ]
    return (min(ends), max(ends)) if ends else None


def _dot(dot: Dot, scale: Scale, y: float) -> list[Html]:
    y = round(y, 1)
    if dot.value is None:
        x = percent(min(1.0, max(0.0, scale.share(0.0))))
        return [el("text", dot.text, x=x, y=y, dx="6", dy="0.33em")]
    shapes = []
    if dot.value.low is not None and dot.value.high is not None:
        low, high = (percent(scale.share(100 * end)) for end in (dot.value.low, dot.value.high))
        shapes.append(el("line", class_=f"whisker s{dot.colour}", x1=low, x2=high, y1=y, y2=y))
    middle = percent(scale.share(100 * dot.value.mean))
    shapes.append(el("circle", class_=f"dot s{dot.colour}", cx=middle, cy=y, r="4.5"))
    return shapes


def stacked_bar(title: str, parts: Sequence[tuple[str, float, str]]) -> Html:
    """Parts of a whole side by side: (name, amount, text of the amount)."""
    total = sum(amount for _, amount, _ in parts)
    if total <= 0:
        return Html("")
    pieces = [
        el("span", class_=f"k{i % 3}", style=f"width:{100 * amount / total:.2f}%")
        for i, (_, amount, _) in enumerate(parts)
        if amount > 0
    ]
    keys = [
        (f"{name}: {text} ({_whole_percent(amount / total)})", f"k{i % 3} box")
        for i, (name, amount, text) in enumerate(parts)
    ]
    return el(
        "figure",
        el("figcaption", el("b", title)),
        el("div", pieces, class_="bar", aria_hidden="true"),
        legend(keys, style="margin-left:0"),
        class_="chart",
    )


def _whole_percent(share: float) -> str:
    return "under 1\u00a0%" if 0 < share < 0.005 else f"{100 * share:.0f}\u00a0%"


def _last(points: Points) -> tuple[float | None, float | None]:
    known = [y for _, y in points if y is not None]
    return (known[0], known[-1]) if known else (None, None)
