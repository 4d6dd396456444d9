"""Charts, drawn by matplotlib as inline SVG.

Text stays text, which the browser sets; colours become variables of the style sheet, so that a
chart follows light and dark. A chart grows and shrinks as a whole.
"""

import io
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from metagan.report.importance import Importance, categories
from metagan.report.search_load import MAX_KEY, RankedTrial, Search
from metagan.report.search_words import Measure, measure_of, outcome_of
from metagan.report.values import (
    DASH,
    LARGE,
    Estimate,
    brief,
    clean,
    duration,
    finite,
    fixed,
    plural,
    shorten,
    significant,
)
from metagan.strict_yaml import format_value

Points = Sequence[tuple[float, float | None]]
Values = NDArray[np.float64]

WIDTH = 400  # Units; about the pixels of a phone.
NUM_RANKS = 5  # Colours of a ranking.
_HEIGHT = 210
_TOP, _RIGHT, _BOTTOM = 10, 14, 36
_LETTER = 6.7  # Units of a letter, at most.
_ROW = 22  # Units of a row of dots.
_MAX_POINTS = 240  # Per line; more cannot be told apart.
_SMOOTHING = 25  # A line is smoothed over this part of its points.
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "metagan",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 11,
}
# matplotlib knows no variables: each is a colour of its own until the chart is drawn.
_COLOURS = {
    name: f"#0000{number:02x}"
    for number, name in enumerate(
        ("accent", "second", "base", "bad", "muted", "rule", "strong-rule")
        + tuple(f"q{rank}" for rank in range(NUM_RANKS)),
        start=1,
    )
}


@dataclass(frozen=True)
class Chart:
    """A picture for the page.

    Attributes:
        title: What is shown.
        more: The rest of its caption.
        svg: The picture.
        legend: Signs with their meanings: (words, class of the sign).
    """

    title: str
    more: str
    svg: Markup
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Mark:
    """A dot that tells what it stands for when a pointer rests on it.

    Attributes:
        x: In units of the axis, as `y`.
        y: See `x`.
        sign: Its class in the style sheet.
        text: What it stands for.
        radius: Units.
    """

    x: float
    y: float
    sign: str
    text: str
    radius: float = 4.0


@dataclass(frozen=True)
class Axis:
    """Ends of an axis, and whether it is logarithmic or leaves out a few extreme values."""

    low: float
    high: float
    is_log: bool = False
    is_cut: bool = False

    def share(self, value: float) -> float:
        """The place of a value on the axis, from 0 to 1."""
        low, high = self.low, self.high
        if self.is_log:
            value, low, high = (math.log(max(v, low)) for v in (value, low, high))
        return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.5

    def ticks(self, wanted: int = 4) -> dict[float, str]:
        """Round values, with as many decimals as tell them apart."""
        if self.is_log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            every = max(1, math.ceil((last - first + 1) / 6))
            found = [10.0**power for power in range(first, last + 1, every)]
            return {tick: significant(tick, 1) for tick in found}
        values = MaxNLocator(wanted, steps=[1, 2, 5, 10]).tick_values(self.low, self.high)
        found = [float(tick) for tick in values if self.low <= tick <= self.high]
        if max(map(abs, found), default=0.0) >= LARGE:
            return {tick: brief(tick) for tick in found}
        step = found[1] - found[0] if len(found) > 1 else 0.1
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


def thin(x: Values, y: Values) -> tuple[Values, Values]:
    """Few enough points: of each stretch the first, the smallest and the largest value."""
    if len(x) <= _MAX_POINTS:
        return x, y
    kept: set[int] = set()
    for stretch in np.array_split(np.arange(len(x)), _MAX_POINTS // 2):
        known = stretch[np.isfinite(y[stretch])]
        kept |= {known[y[known].argmin()], known[y[known].argmax()]} if len(known) else {stretch[0]}
    places = sorted(kept)
    return x[places], y[places]


def smooth(y: Values) -> Values:
    """A moving average over the finite values around each; where there is none, none comes out."""
    number = len(y)
    half = max(1, number // _SMOOTHING)
    known = np.isfinite(y)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, y, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    start = np.maximum(np.arange(number) - half, 0)
    stop = np.minimum(np.arange(number) + half + 1, number)
    means = (sums[stop] - sums[start]) / np.maximum(counts[stop] - counts[start], 1)
    return np.where(known, means, np.nan)


# --- charts of a run ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        name: For the legend.
        points: (x, y) in order of x; None where there is no value.
        colour: "accent", "second" or "base".
    """

    name: str
    points: Points
    colour: str = "accent"


@matplotlib.rc_context(_STYLE)
def line_chart(
    title: str, lines: Sequence[Line], *, x_name: str, changes: Sequence[tuple[float, str]] = ()
) -> Chart | None:
    """Curves over the same x: every value thin, their moving average bold.

    The vertical axis is logarithmic where positive values span more than a factor of 50. A few
    extreme values may lie outside of the frame; the caption then says so.

    Args:
        title: What is shown.
        lines: The curves.
        x_name: Of the horizontal axis.
        changes: (x, word) where something changes; no line crosses them, because values before and
            after are of different things.
    """
    data = [
        (line, *np.array([(x, math.nan if y is None else y) for x, y in line.points]).T)
        for line in lines
    ]
    values = np.concatenate([y[np.isfinite(y)] for _, _, y in data]) if data else np.empty(0)
    if not values.size:
        return None
    y_axis = axis_of(values)
    x_low, x_high = (float(end([end(x) for _, x, _ in data])) for end in (np.min, np.max))
    axes = _plot(_whole(x_low, x_high), y_axis, x_name)
    for line, x, y in data:
        cuts = np.searchsorted(x, sorted(place for place, _ in changes))
        for piece in np.split(np.arange(len(x)), cuts):
            if len(piece) > 1:
                look: dict[str, Any] = {"color": _COLOURS[line.colour], "clip_on": False}
                for shown, more in (
                    (y[piece], {"linewidth": 1, "alpha": 0.32, "zorder": 2}),
                    (smooth(y[piece]), {"linewidth": 1.9, "zorder": 3}),
                ):
                    few_x, few_y = thin(x[piece], np.clip(shown, y_axis.low, y_axis.high))
                    axes.plot(few_x, few_y, **look, **more)
    for place, word in changes:
        if x_low < place < x_high:
            axes.axvline(place, color=_COLOURS["strong-rule"], linestyle=":", linewidth=1)
            # The word stands on the side that has room for it.
            side = "right" if place > (x_low + x_high) / 2 else "left"
            _write(axes, place, 1.0, f"\u00a0{word}\u00a0", ha=side, va="top", transform="x")
    summary = "; ".join(
        f"{line.name}: {significant(known[0])} at first, {significant(known[-1])} at last"
        for line, _, y in data
        if (known := y[np.isfinite(y)].tolist())
    )
    cut = "; a few extreme values lie outside of the frame" * y_axis.is_cut
    legend = [(line.name, line.colour) for line in lines] if len(lines) > 1 else []
    return Chart(title, _log(y_axis) + cut, _svg(axes, f"{title}. {summary}"), legend)


@dataclass(frozen=True)
class Dot:
    """One mean with its interval in a dot chart.

    Attributes:
        label: In front of the row.
        value: The estimate; None leaves the row empty.
        colour: "accent", "second" or "base".
        text: Instead of a number where there is no value.
    """

    label: str
    value: Estimate | None
    colour: str = "accent"
    text: str = DASH

    def shown(self, *, signed: bool) -> str:
        """The value in words."""
        return self.text if self.value is None else self.value.text(signed=signed)


@matplotlib.rc_context(_STYLE)
def dot_chart(
    title: str,
    groups: Mapping[str, Sequence[Dot]],
    *,
    signed: bool = False,
    unit: str,
    span: tuple[float, float] | None = None,
) -> Chart | None:
    """Means as dots, 95 % intervals as lines, one row each; all on one axis.

    Args:
        title: What is shown.
        groups: Rows below their headings.
        signed: Differences: zero is on the axis and marked.
        unit: Of the axis, such as "%".
        span: Values (fractions) that the axis must contain, so that several charts can share one.
    """
    rows: list[tuple[str, Dot | None]] = []
    for heading, dots in groups.items():
        rows += [(heading, None), *((dot.label, dot) for dot in dots)]
    ends = span or span_of([dot for _, dot in rows if dot is not None])
    if ends is None:
        return None
    low, high = (100 * end for end in ends)
    if signed:
        low, high = min(low, 0.0), max(high, 0.0)
    room = 0.06 * (high - low) or 1.0
    axes = _rows([(name, dot is None) for name, dot in rows], Axis(low - room, high + room), signed)
    if signed:
        axes.axvline(0, color=_COLOURS["strong-rule"], linewidth=1)
    marks = []
    for row, (label, dot) in enumerate(rows):
        if dot is None:
            continue
        if dot.value is None:
            _write(axes, max(0.0, low - room), row, f"\u00a0{dot.text}", va="center")
            continue
        if dot.value.low is not None and dot.value.high is not None:
            whisker = {"color": _COLOURS[dot.colour], "linewidth": 2, "clip_on": False}
            axes.plot([100 * dot.value.low, 100 * dot.value.high], [row, row], **whisker)
        told = f"{label}: {dot.shown(signed=signed)}"
        marks.append(Mark(100 * dot.value.mean, row, dot.colour, told, 4.5))
    summary = "; ".join(
        f"{heading}, {dot.label}: {dot.shown(signed=signed)}"
        for heading, dots in groups.items()
        for dot in dots
    )
    return Chart(title, f", {unit}", _svg(axes, f"{title}, {unit}: {summary}", marks))


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


# --- charts of a search ------------------------------------------------------------------------


@matplotlib.rc_context(_STYLE)
def history_chart(search: Search) -> Chart | None:
    """The objective of each trial by its order, with the best so far."""
    measure = measure_of(search.objective)
    trials = sorted(search.trials, key=lambda trial: trial.order)
    values = [measure.factor * trial.value for trial in search.measured if trial.value is not None]
    if not values:
        return None
    outcome = outcome_of(search)
    means = [
        (measure.factor * mean, name, colour)
        for mean, name, colour in (
            (outcome.given, "given settings, mean of fresh seeds", "base"),
            (outcome.best, "best settings, mean of fresh seeds", "second"),
        )
        if mean is not None
    ]
    last = max(trial.order for trial in trials)
    y = axis_of([*values, *(mean for mean, _, _ in means)])
    axes = _plot(_whole(0.5, last + 0.5), y, "trial, in order of start")
    for mean, _, colour in means:
        axes.axhline(mean, color=_COLOURS[colour], linestyle=(0, (5, 3)), linewidth=1.4)
    steps = [(float(order), measure.factor * value) for order, value in search.best_so_far]
    _stairs(axes, steps, last + 0.5, y)
    marks = [
        Mark(
            trial.order,
            y.low if (sign := _sign(search, trial)) == "cross" else _inside(trial, measure, y),
            sign,
            _about(trial, measure),
            5 if sign == "best" else _radius(len(trials)),
        )
        # What is drawn last lies on top.
        for trial in sorted(trials, key=lambda trial: -trial.rank)
    ]
    signs = {mark.sign for mark in marks}
    words = {
        "full": "trained to the end",
        "ring": "stopped early",
        "cross": "failed or not measured",
        "best": "best",
    }
    title = "Objective by trial"
    description = (
        f"{title}. {measure.short} of {plural(len(trials), 'trial')} in order of start. Best so "
        "far: "
        + "; ".join(f"trial {order}, {measure.text(value)}" for order, value in search.best_so_far)
    )
    legend = [
        ("best so far", "accent"),
        *((text, sign) for sign, text in words.items() if sign in signs),
        *((name, f"dashed {colour}") for _, name, colour in means),
    ]
    return Chart(title, _caption(measure, y), _svg(axes, description, marks), legend)


@matplotlib.rc_context(_STYLE)
def curves_chart(search: Search) -> Chart | None:
    """The objective of every trial by outer step."""
    measure = measure_of(search.objective)
    # What is drawn last lies on top: the best.
    curves = [(t, points) for t in reversed(search.trials) if (points := _points(t, search))]
    if not curves:
        return None
    y = axis_of([value for _, points in curves for _, value in points])
    x = _whole(0, max(step for _, points in curves for step, _ in points))
    axes = _plot(x, y, "outer step")
    best, marks = search.best_trial, []
    for trial, points in curves:
        is_best = trial is best
        look = {"linewidth": 2.2} if is_best else {"linewidth": 1, "alpha": 0.5}
        steps, values = np.array(points).T
        few = thin(steps, np.clip(values, y.low, y.high))
        axes.plot(*few, color=_COLOURS["second" if is_best else "base"], clip_on=False, **look)
        sign = "best" if is_best else "full" if trial.status == "done" else "ring"
        place = (points[-1][0], min(max(points[-1][1], y.low), y.high))
        marks.append(Mark(*place, sign, _about(trial, measure), 4 if is_best else 2.5))
    title = "Objective by outer step"
    description = f"{title}. {measure.short}, one line for each trial."
    others = {trial.status for trial, _ in curves if trial is not best}
    legend = []
    if best is not None:
        told = "; ".join(f"step {x:.0f}, {measure.number(v / measure.factor)}"
                         for x, v in _points(best, search))  # fmt: skip
        description += f" The best, {_told_id(best)}: {told}"
        legend.append((f"the best, trial {_told_id(best)}", "second"))
    legend += [("other trials", "base")] if others else []
    legend += [("trained to the end", "full")] if "done" in others else []
    legend += [("stopped early or failed", "ring")] if others - {"done"} else []
    return Chart(title, _caption(measure, y), _svg(axes, description, marks), legend)


@matplotlib.rc_context(_STYLE)
def pareto_chart(search: Search) -> Chart | None:
    """The objective against a trial's time, with the front."""
    measure = measure_of(search.objective)
    timed = [(t, t.seconds, t.value) for t in search.measured if t.seconds is not None]
    if not timed:
        return None
    most = max(seconds for _, seconds, _ in timed)
    unit, length = next(
        (unit for unit in (("hours", 3600.0), ("minutes", 60.0)) if most >= 2 * unit[1]),
        ("seconds", 1.0),
    )
    y = axis_of([measure.factor * (value or 0.0) for _, _, value in timed])
    x = axis_of([seconds / length for _, seconds, _ in timed])
    axes = _plot(x, y, f"{unit} of one trial{', logarithmic' * x.is_log}")
    front = search.front
    stairs = [
        ((t.seconds or 0.0) / length, measure.factor * (t.value or 0.0)) for t in front
    ]
    _stairs(axes, stairs, x.high, y)
    on_front = {t.id for t in front}
    marks = [
        Mark(
            min(max(seconds / length, x.low), x.high),
            _inside(trial, measure, y),
            "best" if trial is search.best_trial else "full" if trial.id in on_front else "ring",
            f"{_about(trial, measure)}, {duration(seconds)}",
            _radius(len(timed)),
        )
        for trial, seconds, _ in sorted(timed, key=lambda t: (t[0].id in on_front, -t[0].rank))
    ]
    title = "Objective against time"
    description = f"{title}. On the front, cheapest first: " + "; ".join(
        f"trial {_told_id(t)}, {duration(t.seconds)}, {measure.text(t.value)}" for t in front
    )
    legend = [
        ("no other trial is both better and cheaper", "full"),
        ("another one is", "ring"),
        ("best", "best"),
    ]
    return Chart(title, _caption(measure, y), _svg(axes, description, marks), legend)


@dataclass(frozen=True)
class Coordinate:
    """One axis of parallel coordinates.

    Attributes:
        name: Above it.
        ticks: (share of the width, text, which end of the text lies there).
        places: For each trial its share of the width; None where its line ends.
        end: Share of the width where the axis ends.
        not_used: Whether some trials have no value here because the setting does not apply.
        key: What the numbers on the axis stand for, where there is no room for words.
    """

    name: str
    ticks: Sequence[tuple[float, str, str]]
    places: Sequence[float | None]
    end: float = 1.0
    not_used: bool = False
    key: Sequence[str] = ()


# An axis that does not apply to every trial ends here, and these trials are shown beyond.
_END_IF_CONDITIONAL, _NOT_USED = 0.8, 0.93
_MARGIN = 8  # Units beside the axes.
_APART = 60  # Units from axis to axis.
_MAX_NUMBERED = 14


@matplotlib.rc_context(_STYLE)
def parallel_chart(search: Search) -> tuple[Chart, list[str]] | None:
    """All trials over all searched settings and the objective, and what numbered values mean.

    The axes lie below each other, so that names and values have room on a phone as well; the line
    of a trial runs from the first axis down to the objective.
    """
    rows = coordinates(search)
    if len(rows) < 2 or not search.trials:
        return None
    figure = Figure((WIDTH / 72, _APART * len(rows) / 72), dpi=72)
    axes = figure.add_axes((_MARGIN / WIDTH, 0, 1 - 2 * _MARGIN / WIDTH, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(_APART * len(rows), 0))
    height = _APART * np.arange(len(rows)) + 24
    for place, trial in reversed(list(enumerate(search.trials))):
        line = [math.nan if (at := row.places[place]) is None else at for row in rows]
        axes.plot(line, height, clip_on=False, **line_look(search, trial))
    for row, at in zip(rows, height, strict=True):
        axes.plot([0, row.end], [at, at], color=_COLOURS["strong-rule"], linewidth=1, zorder=3)
        _write(axes, 0, at - 7, row.name, va="baseline", color="ink")
        for place, text, side in row.ticks:
            axes.plot([place] * 2, [at - 3, at + 3], color=_COLOURS["strong-rule"], linewidth=1)
            _write(axes, place, at + 15, text, va="baseline", ha=side)
        if row.not_used:
            _write(axes, _NOT_USED, at + 15, "not used", va="baseline", ha="center")
    title = "Settings and objective of every trial"
    names = ", ".join(row.name for row in rows)
    description = (
        f"{title}. {plural(len(search.trials), 'line')} over the axes {names}. The table of "
        "trials has the same numbers."
    )
    objective = f"; the lowest axis is the objective ({measure_of(search.objective).short})"
    number = len(search.measured)
    legend = [("the best", "second")] if number else []
    legend += [("by rank, from first to last", "ranks")] if number > 1 else []
    legend += [("not measured", "dotted bad")] if number < len(search.trials) else []
    numbered = [
        f"{row.name}: " + "; ".join(f"{i} {text}" for i, text in enumerate(row.key, 1))
        for row in rows
        if row.key
    ]
    more = ", one line each" + objective * bool(number)
    return Chart(title, more, _svg(axes, description), legend), numbered


def coordinates(search: Search) -> list[Coordinate]:
    """The axes: searched settings in their order, then the objective where it was measured."""
    rows = [_coordinate(key, search.trials) for key in search.keys]
    measure = measure_of(search.objective)
    values = [None if t.value is None else measure.factor * t.value for t in search.trials]
    known = [value for value in values if value is not None]
    if rows and known:
        low, high = min(known), max(known)
        axis = Axis(low, high, is_log=low > 0 and high > 50 * low)
        texts = [measure.number(end / measure.factor) for end in (low, high)]
        places = [None if value is None else axis.share(value) for value in values]
        name = f"{measure.short} ({search.better} is better)"
        rows.append(Coordinate(name, _end_ticks(axis, texts, 1.0), places))
    return rows


def line_look(search: Search, trial: RankedTrial) -> dict[str, Any]:
    """How a trial's line is drawn: which fifth of the ranking it is in, the best apart."""
    if trial.value is None:
        return {"color": _COLOURS["bad"], "linewidth": 1.2, "linestyle": ":", "alpha": 0.7}
    if trial is search.best_trial:
        return {"color": _COLOURS["second"], "linewidth": 2.6}
    rank = NUM_RANKS * search.measured.index(trial) // len(search.measured)
    return {"color": _COLOURS[f"q{rank}"], "linewidth": 1.2, "alpha": 0.85}


def _coordinate(key: Any, trials: Sequence[RankedTrial]) -> Coordinate:
    not_used = any(key.key not in trial.sample for trial in trials)
    end = _END_IF_CONDITIONAL if not_used else 1.0
    log, numbered, places = "", [], []
    if key.ends is not None:
        axis = Axis(*key.ends, is_log=key.is_log)
        log = " (log)" * key.is_log
        ticks = _end_ticks(axis, [brief(value) for value in key.ends], end)
        for trial in trials:
            number = finite(trial.sample.get(key.key))
            places.append(None if number is None else end * axis.share(number))
    else:
        texts = categories(key, trials)
        ticks, numbered = _category_ticks(texts, end)
        for trial in trials:
            index = texts.index(format_value(trial.sample.get(key.key))) if key.key in trial.sample else 0
            places.append(end * (index + 0.5) / len(texts))
    places = [
        place if key.key in trial.sample else _NOT_USED
        for place, trial in zip(places, trials, strict=True)
    ]
    return Coordinate(shorten(key.key, MAX_KEY) + log, ticks, places, end, not_used, numbered)


def _end_ticks(axis: Axis, texts: Sequence[str], end: float) -> list[tuple[float, str, str]]:
    """Both ends, and round values between them where there is room."""
    if axis.low == axis.high:
        return [(end / 2, texts[0], "center")]
    found = [(0.0, texts[0], "left"), (end, texts[1], "right")]
    taken = [(0.0, _width(texts[0])), (end - _width(texts[1]), end)]
    for value, text in axis.ticks().items():
        place, half = end * axis.share(value), _width(text) / 2
        if all(place + half < left or place - half > right for left, right in taken):
            taken.append((place - half, place + half))
            found.append((place, text, "center"))
    return sorted(found)


def _category_ticks(
    texts: Sequence[str], end: float
) -> tuple[list[tuple[float, str, str]], list[str]]:
    """Each value at its place; where there is no room for words a number, and what it means."""
    room = end / len(texts)
    places = [room * (i + 0.5) for i in range(len(texts))]
    if all(_width(text) < room for text in texts):
        return [(place, text, "center") for place, text in zip(places, texts, strict=True)], []
    every = -(-len(texts) // _MAX_NUMBERED)
    numbers = [(place, str(i + 1), "center") for i, place in enumerate(places) if i % every == 0]
    return numbers, [shorten(text, 60) for text in texts]


def _width(text: str) -> float:
    """Share of the chart that a text takes, with some room."""
    return (_LETTER * len(text) + 8) / (WIDTH - 2 * _MARGIN)


@matplotlib.rc_context(_STYLE)
def strength_chart(found: Sequence[Importance]) -> Chart:
    """A row for each setting: its strength as a dot, what chance reaches as a bar."""
    axes = _rows([(shorten(i.key, 20), False) for i in found], Axis(0.0, 1.0))
    marks, told = [], []
    for row, importance in enumerate(found):
        by_chance, strength = importance.by_chance or 0.0, importance.strength or 0.0
        axes.barh(row, by_chance, height=0.5, color=_COLOURS["rule"], clip_on=False)
        told.append(
            f"{importance.key}: {fixed(strength, 2)}; by chance up to {fixed(by_chance, 2)}"
        )
        sign = "best" if strength > by_chance else "full"
        marks.append(Mark(strength, row, sign, told[-1], 5))
    title = "Strength of association with the ranking"
    return Chart(
        title,
        ", 0 to 1; a dot beyond its grey bar is stronger than 95\u00a0% of the shuffles",
        _svg(axes, f"{title}. {'; '.join(told)}", marks),
    )


# --- parts -------------------------------------------------------------------------------------


def _plot(x: Axis, y: Axis, x_name: str) -> Axes:
    """The frame of a chart."""
    y_ticks = y.ticks(5)
    left = 12 + _LETTER * max(map(len, y_ticks.values()), default=0)
    axes = _axes(_HEIGHT, left)
    axes.spines["bottom"].set(visible=True, color=_COLOURS["strong-rule"], linewidth=1)
    axes.set(xscale="log" if x.is_log else "linear", yscale="log" if y.is_log else "linear")
    axes.set(xlim=(x.low, x.high), ylim=(y.low, y.high))
    axes.minorticks_off()
    axes.set_yticks(list(y_ticks), list(y_ticks.values()))
    x_ticks = x.ticks(5)
    axes.set_xticks(list(x_ticks), list(x_ticks.values()))
    axes.grid(axis="y", color=_COLOURS["rule"], linewidth=1)
    axes.set_xlabel(x_name, color=_COLOURS["muted"])
    return axes


def _rows(labels: Sequence[tuple[str, bool]], x: Axis, signed: bool = False) -> Axes:
    """The frame of a chart with a row for each label, headings bold."""
    left = 14 + _LETTER * max(len(label) for label, _ in labels)
    axes = _axes(_ROW * len(labels) + _TOP + 20, left, bottom=20)
    axes.set(xlim=(x.low, x.high), ylim=(len(labels) - 0.5, -0.5))
    axes.set_yticks(range(len(labels)), [clean(label) for label, _ in labels])
    axes.tick_params(axis="y", pad=8)
    for text, (_, is_heading) in zip(axes.get_yticklabels(), labels, strict=True):
        text.set(weight="bold" if is_heading else "normal")
    ticks = [tick for tick in x.ticks(4)]
    texts = x.ticks(4).values()
    if signed:
        texts = [f"+{text}" if tick > 0 else text for tick, text in x.ticks(4).items()]
    axes.set_xticks(ticks, list(texts))
    axes.grid(axis="x", color=_COLOURS["rule"], linewidth=1)
    return axes


def _axes(height: float, left: float, bottom: float = _BOTTOM) -> Axes:
    figure = Figure((WIDTH / 72, height / 72), dpi=72)
    across, up = 1 - (left + _RIGHT) / WIDTH, 1 - (bottom + _TOP) / height
    axes = figure.add_axes((left / WIDTH, bottom / height, across, up))
    axes.spines[:].set_visible(False)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=_COLOURS["muted"])
    return axes


def _whole(low: float, high: float) -> Axis:
    """An axis of whole numbers."""
    return Axis(low, high if high > low else low + 1)


def _stairs(axes: Axes, points: Iterable[tuple[float, float]], until: float, y: Axis) -> None:
    """A line that keeps each value up to the next point."""
    x, values = np.array([*points]).T
    axes.step(
        [*x, until],
        np.clip([*values, values[-1]], y.low, y.high),
        where="post",
        color=_COLOURS["accent"],
        linewidth=1.9,
        clip_on=False,
    )


def _write(axes: Axes, x: float, y: float, text: str, *, color: str = "muted", **look: Any) -> None:
    if look.pop("transform", None):
        look["transform"] = axes.get_xaxis_transform()
    axes.text(x, y, clean(text), color=_COLOURS.get(color, "black"), **look)


def _svg(axes: Axes, description: str, marks: Iterable[Mark] = ()) -> Markup:
    """What was drawn, small: without names of parts, positions to a tenth of a unit."""
    figure = axes.figure
    stream = io.StringIO()
    with warnings.catch_warnings():
        # Letters that matplotlib's font lacks are the browser's to draw.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    height = round(figure.get_figheight() * 72)
    drawn = stream.getvalue()
    drawn = drawn[drawn.index('<g id="axes_1">') : drawn.rindex("</svg>")]
    drawn = re.sub(r"</?g\b[^>]*>\s*", "", drawn)
    drawn = re.sub(r"<[^>]*>", _tag, drawn)
    dots = [_dot(axes, height, mark) for mark in marks]
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{{}}">{{}}{{}}</svg>'
    ).format(description, Markup(drawn), Markup("").join(dots))


def _tag(tag: re.Match[str]) -> str:
    """A tag with short numbers, variables for colours, and without what the style sheet says."""
    text = re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), tag[0])
    text = re.sub(r' transform="rotate\(-?0 [^"]*"| ?font-(?:size|family): [^;"]*;', "", text)
    for name, colour in _COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    return text.replace("\n", "")


def _dot(axes: Axes, height: float, mark: Mark) -> Markup:
    x, y = axes.transData.transform((mark.x, mark.y))
    if mark.sign == "cross":
        form = '<text class="cross" x="{:.1f}" y="{:.1f}">\u00d7<title>{}</title></text>'
        return Markup(form).format(x, height - y, mark.text)
    form = '<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:g}"><title>{}</title></circle>'
    return Markup(form).format(mark.sign, x, height - y, mark.radius, mark.text)


def _inside(trial: RankedTrial, measure: Measure, y: Axis) -> float:
    return min(max(measure.factor * (trial.value or 0.0), y.low), y.high)


def _points(trial: RankedTrial, search: Search) -> list[tuple[float, float]]:
    factor = measure_of(search.objective).factor
    points = [
        (float(at.step), factor * value)
        for at in trial.curve
        if (value := at.metrics.get(search.objective)) is not None
    ]
    if not points and trial.value is not None:
        points = [(float(trial.step), factor * trial.value)]
    return points


def _sign(search: Search, trial: RankedTrial) -> str:
    if trial.value is None or trial.status == "failed":
        return "cross"
    return "best" if trial is search.best_trial else "full" if trial.status == "done" else "ring"


def _about(trial: RankedTrial, measure: Measure) -> str:
    ends = {"done": "trained to the end", "stopped": "stopped early", "failed": "failed"}
    end = ends.get(trial.status, shorten(trial.status, 20))
    value = measure.text(trial.value)
    return f"trial {_told_id(trial)}, rank {trial.rank}: {value}, step {trial.step}, {end}"


def _told_id(trial: RankedTrial) -> str:
    return shorten(trial.id, 24)


def _radius(number: int) -> float:
    return 4.0 if number <= 40 else 3.0 if number <= 100 else 2.2


def _caption(measure: Measure, y: Axis) -> str:
    cut = "; a few extreme values are drawn at the edge" * y.is_cut
    return f", {measure.short}{_log(y)}{cut}"


def _log(axis: Axis) -> str:
    return ", logarithmic axis" * axis.is_log
