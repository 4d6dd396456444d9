"""Charts by matplotlib for pages: axes, lines, dots with intervals, and their inline SVG.

Text stays text, which the browser sets; colours become variables of the style sheet, so that a
chart follows light and dark. A chart grows and shrinks as a whole.
"""

import io
import math
import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import matplotlib.style
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from metagan.report.values import (
    LARGE,
    SPACE,
    Estimate,
    brief,
    clean,
    fixed,
    shorten,
    significant,
)

Values = NDArray[np.float64]

WIDTH: Final = 380  # Units of every chart; about the pixels of a phone.
LETTER: Final = 6.7  # Units of a letter, at most.
_HEIGHT, _ROW = 210, 22  # Units of a chart, and of a row of dots.
_TOP, _RIGHT, _BOTTOM = 10, 14, 36
_MAX_LABEL = 28  # Letters of a label.
_MAX_POINTS = 240  # Per line; more cannot be told apart.
_SMOOTHING = 25  # A line is smoothed over this part of its points.
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "metagan",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 11,
}
_COLOURS = ("ink", "muted", "rule", "strong-rule", "accent", "second", "base", "bad")
# matplotlib knows no variables: each is a colour of its own until the chart is drawn.
INK: Final = {name: f"#0000{number:02x}" for number, name in enumerate(_COLOURS, start=1)}
styled = matplotlib.style.context(["default", _STYLE])
"""Around every function that makes a chart, whatever the user has set for charts of their own."""


_NEEDLESS = re.compile(
    r' (?:clip-path|transform)="(?:url|rotate\(-?0 )[^"]*"'
    r'| ?(?:font-size|font-family|stroke-line\w+): [^;"]*;?'
)


class Chart(NamedTuple):
    """A picture for a page: its title, the rest of its caption, a legend (words, sign)."""

    title: str
    more: str
    svg: Markup
    legend: Sequence[tuple[str, str]] = ()


class Mark(NamedTuple):
    """A dot at a place on the axes: its class in the style sheet, and a text for pointers."""

    x: float
    y: float
    sign: str
    text: str
    radius: float = 4.0


class Axis(NamedTuple):
    """Ends of an axis; whether it is logarithmic, leaves out extremes, is of whole numbers."""

    low: float
    high: float
    is_log: bool = False
    is_cut: bool = False
    is_whole: bool = False

    @property
    def words(self) -> str:
        """Words for the caption, where the axis is logarithmic."""
        return ", logarithmic axis" * self.is_log

    def inside(self, value: float) -> float:
        """The value, or the end of the axis beyond which it lies."""
        return min(max(value, self.low), self.high)

    def ticks(self, wanted: int = 4) -> dict[float, str]:
        """Round values, with as many decimals as tell them apart."""
        if self.is_log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            every = max(1, math.ceil((last - first + 1) / 6))
            powers = [10.0**power for power in range(first, last + 1, every)]
            if powers:
                return {tick: significant(tick, 1) for tick in powers}
        whole = {"integer": True, "min_n_ticks": 1} if self.is_whole else {}
        locator = MaxNLocator(wanted, steps=[1, 2, 5, 10], **whole)
        values = locator.tick_values(self.low, self.high)
        found = [float(tick) for tick in values if self.low <= tick <= self.high]
        if max(map(abs, found), default=0.0) >= LARGE:
            return {tick: brief(tick) for tick in found}
        step = found[1] - found[0] if len(found) > 1 else 1.0 if self.is_whole else 0.1
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return {tick: fixed(tick, decimals) for tick in found}


def axis_of(values: Sequence[float] | Values) -> Axis:
    """An axis for these values, logarithmic where they span orders of magnitude."""
    array = np.asarray(values, np.float64)
    low, high = float(array.min()), float(array.max())
    if low > 0 and high > 50 * low:
        first, last = math.log10(low), math.log10(high)
        room = 0.04 * (last - first)
        # At least one power of ten on the axis, or it could not be read.
        return Axis(10 ** min(first - room, math.floor(last)), 10 ** (last + room), is_log=True)
    is_cut = False
    if len(array) >= 100:
        inner_low, inner_high = (float(q) for q in np.quantile(array, [0.01, 0.99]))
        if high - low > 2.5 * (inner_high - inner_low) > 0:
            low, high, is_cut = inner_low, inner_high, True
    room = 0.06 * (high - low) or max(abs(high), 1.0) * 0.1
    return Axis(low - room, high + room, is_cut=is_cut)


def whole_axis(low: float, high: float) -> Axis:
    """An axis of whole numbers."""
    return Axis(low, high if high > low else low + 1, is_whole=True)


def thin(x: Values, y: Values) -> tuple[Values, Values]:
    """Few enough points: of each stretch the smallest and the largest value."""
    if len(x) <= _MAX_POINTS:
        return x, y
    kept: set[int] = set()
    for stretch in np.array_split(np.arange(len(x)), _MAX_POINTS // 2):
        known = stretch[np.isfinite(y[stretch])]
        kept |= {known[y[known].argmin()], known[y[known].argmax()]} if len(known) else {stretch[0]}
    places = sorted(kept)
    return x[places], y[places]


def smooth(y: Values) -> Values:
    """Moving average over the finite values around each value; None where there is none."""
    number = len(y)
    half = max(1, number // _SMOOTHING)
    known = np.isfinite(y)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, y, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    start = np.maximum(np.arange(number) - half, 0)
    stop = np.minimum(np.arange(number) + half + 1, number)
    means = (sums[stop] - sums[start]) / np.maximum(counts[stop] - counts[start], 1)
    return np.where(known, means, np.nan)


def frame(x: Axis, y: Axis, x_name: str) -> Axes:
    """A chart with two axes of numbers."""
    x_ticks, y_ticks = x.ticks(5), y.ticks(5)
    axes = _axes(_HEIGHT, 12 + LETTER * max(map(len, y_ticks.values()), default=0), _BOTTOM)
    axes.spines["bottom"].set(visible=True, color=INK["strong-rule"], linewidth=1)
    axes.set(xscale="log" if x.is_log else "linear", yscale="log" if y.is_log else "linear")
    axes.set(xlim=(x.low, x.high), ylim=(y.low, y.high))
    axes.minorticks_off()
    axes.set_xticks(list(x_ticks), list(x_ticks.values()))
    axes.set_yticks(list(y_ticks), list(y_ticks.values()))
    axes.grid(axis="y", color=INK["rule"], linewidth=1)
    axes.set_xlabel(x_name, color=INK["muted"])
    return axes


def row_frame(labels: Sequence[str], x: Axis, *, signed: bool = False) -> Axes:
    """A chart with a row for each label."""
    texts = [shorten(clean(label), _MAX_LABEL) for label in labels]
    left = 14 + LETTER * max(map(len, texts))
    axes = _axes(_ROW * len(labels) + _TOP + 20, left, bottom=20)
    axes.set(xlim=(x.low, x.high), ylim=(len(labels) - 0.5, -0.5))
    axes.set_yticks(range(len(labels)), texts)
    axes.tick_params(axis="y", pad=8)
    ticks = x.ticks()
    axes.set_xticks(list(ticks), ["+" * (signed and at > 0) + ticks[at] for at in ticks])
    axes.grid(axis="x", color=INK["rule"], linewidth=1)
    return axes


def _axes(height: float, left: float, bottom: float) -> Axes:
    figure = Figure((WIDTH / 72, height / 72), dpi=72)
    across, up = 1 - (left + _RIGHT) / WIDTH, 1 - (bottom + _TOP) / height
    axes = figure.add_axes((left / WIDTH, bottom / height, across, up))
    axes.spines[:].set_visible(False)
    axes.patch.set_visible(False)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=INK["muted"])
    return axes


def line(axes: Axes, x: Any, y: Any, colour: str, width: float, **look: Any) -> None:
    """A line of few points that ends at the frame."""
    low, high = sorted(axes.get_ylim())
    if len(x) < 2:
        return
    few = thin(np.asarray(x, np.float64), np.clip(np.asarray(y, np.float64), low, high))
    axes.plot(*few, color=INK[colour], linewidth=width, clip_on=False, **look)


def svg(axes: Axes, description: str, marks: Iterable[Mark] = ()) -> Markup:
    """The chart, small: without names of parts, positions to a tenth of a unit.

    Marks are drawn on top, in order; the description is for those who cannot see it.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    stream = io.StringIO()
    with warnings.catch_warnings():
        # Letters that matplotlib's font lacks are the browser's to draw.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    height = round(figure.get_figheight() * 72)
    drawn = stream.getvalue()
    drawn = drawn[drawn.index('<g id="axes_1">') : drawn.rindex("</svg>")]
    drawn = re.sub(r"<defs>.*?</defs>|</?g\b[^>]*>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r"[ \n]*(<[^>]*>)[ \n]*", _tag, drawn)
    form = '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}</svg>'
    dots = Markup("").join(_dot(axes, height, mark) for mark in marks)
    return Markup(form).format(WIDTH, height, description, Markup(drawn), dots)


def _tag(tag: re.Match[str]) -> str:
    """A tag with short numbers, variables for colours, and without what the style sheet says."""
    text = re.sub(r"\d+\.\d+", lambda n: f"{float(n[0]):.1f}".removesuffix(".0"), tag[1])
    text = re.sub(_NEEDLESS, "", text)
    for name, colour in INK.items():
        text = text.replace(colour, f"var(--{name})")
    return text.replace("\n", "")


def _dot(axes: Axes, height: float, mark: Mark) -> Markup:
    x, y = axes.transData.transform((mark.x, mark.y))
    if mark.sign == "cross":
        form = '<text class="cross" x="{:.1f}" y="{:.1f}">\u00d7<title>{}</title></text>'
        return Markup(form).format(x, height - y, mark.text)
    form = '<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:g}"><title>{}</title></circle>'
    return Markup(form).format(mark.sign, x, height - y, mark.radius, mark.text)


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
    extreme values may lie outside of the frame; the caption then says so. No line crosses the
    `changes` (x, word), because values before and after them are of different things.
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
            where: dict[str, Any] = {"ha": side, "transform": axes.get_xaxis_transform()}
            axes.text(place, 1, clean(text), va="top", color=INK["muted"], **where)
    summary = "; ".join(
        f"{curve.name}: {significant(known[0])} at first, {significant(known[-1])} at last"
        for curve, _, y in data
        if (known := y[np.isfinite(y)].tolist())
    )
    cut = "; a few extreme values lie outside of the frame" * y_axis.is_cut
    legend = [(curve.name, curve.colour) for curve in lines] if len(lines) > 1 else []
    return Chart(title, y_axis.words + cut, svg(axes, f"{title}. {summary}", marks), legend)


@styled
def dot_chart(title: str, rows: Sequence[tuple[str, Estimate | str]], *, unit: str) -> Chart | None:
    """Differences as dots, their 95 % intervals as lines, one row each; None without any.

    A row is a label and its estimate, or a text instead; that of a heading is empty.
    """
    values = [value for _, value in rows if isinstance(value, Estimate)]
    if not values:
        return None
    ends = [100 * end for v in values for end in (v.mean, v.low, v.high) if end is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.06 * (high - low) or 1.0
    axes = row_frame([label for label, _ in rows], Axis(low - room, high + room), signed=True)
    axes.axvline(0, color=INK["strong-rule"], linewidth=1)
    marks, told = [], []
    for row, (label, value) in enumerate(rows):
        if isinstance(value, str):
            axes.get_yticklabels()[row].set_fontweight("normal" if value else "bold")
            axes.text(0, row, SPACE + value, va="center", color=INK["muted"])
            told.append(f"{label}: {value}" if value else label)
            continue
        if value.low is not None and value.high is not None:
            line(axes, [100 * value.low, 100 * value.high], [row, row], "accent", 2)
        told.append(f"{label}: {value.text(signed=True)}")
        marks.append(Mark(100 * value.mean, row, "accent", told[-1], 4.5))
    return Chart(title, f", {unit}", svg(axes, f"{title}, {unit}: {'; '.join(told)}", marks))
