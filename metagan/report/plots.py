"""The frame of a chart as inline SVG: axes, grid, and room for what is drawn in it.

Horizontal positions are shares of the width, so that a chart fits any screen while its text and its
lines keep their size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metagan.report.axes import Scale, decimals_of, ticks, vertical_scale
from metagan.report.html import Child, Html, el, join
from metagan.report.values import LARGE, brief, fixed, significant

HEIGHT = 170  # Pixels of a frame.
TOP = 8


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        name: Below or beside it.
        scale: From values to shares of its length.
        ticks: Values that are marked, and how they are written.
        is_cut: Whether some values are outside of it.
    """

    name: str
    scale: Scale
    ticks: Sequence[tuple[float, str]]
    is_cut: bool = False

    def across(self, value: float) -> str:
        """Where a value lies on a horizontal axis; what is outside of it, at its end."""
        return percent(_inside(self.scale.share(value)))

    def down(self, value: float, height: float = HEIGHT) -> float:
        """Where it lies on a vertical one, in pixels from the top of the picture."""
        return round(TOP + height * (1 - _inside(self.scale.share(value))), 1)


def value_axis(name: str, values: Sequence[float]) -> Axis:
    """A vertical axis for these values, logarithmic where they span orders of magnitude."""
    scale, is_cut = vertical_scale(values)
    return Axis(name, scale, written_ticks(scale), is_cut)


def written_ticks(scale: Scale, wanted: int = 4) -> list[tuple[float, str]]:
    """Round values on an axis, with as many decimals as tell them apart."""
    found = ticks(scale, wanted)
    if scale.log:
        return [(tick, significant(tick, 1)) for tick in found]
    if max(map(abs, found), default=0.0) >= LARGE:
        return [(tick, brief(tick)) for tick in found]
    return [(tick, fixed(tick, decimals_of(found))) for tick in found]


def step_axis(name: str, low: float, high: float) -> Axis:
    """A horizontal axis of whole numbers."""
    scale = Scale(low, high if high > low else low + 1)
    whole = [tick for tick in ticks(scale, 5) if float(tick).is_integer()]
    return Axis(name, scale, [(tick, f"{tick:,.0f}") for tick in whole])


def frame(
    x: Axis,
    y: Axis,
    paths: Child,
    *,
    attributes: Mapping[str, str],
    told: Child = None,
    below: Child = None,
    above: Child = None,
    height: int = HEIGHT,
) -> Html:
    """The picture right of the vertical axis.

    Args:
        x: Horizontal axis.
        y: Vertical axis; its words are drawn by `y_labels`.
        paths: Drawn in a frame of 1000 x 1000 that is stretched to the picture.
        attributes: Of the element, such as its label.
        told: Title and description, for those who cannot see it.
        below: Shapes under the paths.
        above: Shapes over them.
        height: Pixels of the frame.
    """
    bottom = TOP + height
    parts: list[Child] = [told] if told else []
    parts += [
        el("line", class_="gridline", x1="0", x2="100%", y1=down, y2=down)
        for down in (y.down(tick, height) for tick, _ in y.ticks)
    ]
    parts.append(below)
    parts.append(
        el(
            "svg",
            paths,
            x="0",
            y=TOP,
            width="100%",
            height=height,
            viewBox="0 0 1000 1000",
            preserveAspectRatio="none",
        )
    )
    parts.append(above)
    parts.append(el("line", class_="axis", x1="0", x2="100%", y1=bottom, y2=bottom))
    for tick, text in x.ticks:
        share = x.scale.share(tick)
        anchor = "end" if share > 0.95 else "start" if share < 0.02 else "middle"
        parts.append(el("text", text, x=percent(share), y=bottom + 15, text_anchor=anchor))
    parts.append(el("text", x.name, x="50%", y=bottom + 31, text_anchor="middle"))
    return el("svg", parts, height=bottom + 36, role="img", **attributes)


def y_labels(y: Axis, height: int = HEIGHT) -> Html:
    """The words of the vertical axis."""
    texts = [
        el(
            "text",
            text,
            x="100%",
            dx="-7",
            y=y.down(tick, height),
            dy="0.33em",
            text_anchor="end",
        )
        for tick, text in y.ticks
    ]
    return el("svg", texts, height=TOP + height, aria_hidden="true")


def told(name: str, title: str, description: str) -> tuple[Child, dict[str, str]]:
    """Title and description of a picture, and the attributes that tie them to it."""
    parts = [
        el("title", title, id=f"{name}-title"),
        el("desc", description, id=f"{name}-desc"),
    ]
    return parts, {"aria_labelledby": f"{name}-title", "aria_describedby": f"{name}-desc"}


def legend(entries: Sequence[tuple[Child, str]], *, style: str | None = None) -> Html:
    """Signs with their meanings: (words, classes of the sign)."""
    return el(
        "ul",
        [el("li", el("i", class_=sign), join(words)) for words, sign in entries],
        class_="legend",
        style=style,
    )


def percent(share: float) -> str:
    """A share as a length in SVG."""
    return f"{100 * share:.2f}%"


def _inside(share: float) -> float:
    return min(1.0, max(0.0, share))
