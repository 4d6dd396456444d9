"""Charts of a search: its trials by start, by outer step, by each setting and by time."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes

from metagan.config.yaml import format_value
from metagan.report.charts import (
    INK,
    Axis,
    Chart,
    Mark,
    axis_of,
    frame,
    line,
    row_frame,
    styled,
    svg,
    whole_axis,
)
from metagan.report.importance import categories
from metagan.report.search_load import ENDS, MAX_ID, MAX_KEY, Search
from metagan.report.search_words import outcome_of
from metagan.report.values import duration, finite, fixed, plural, shorten
from metagan.runs.search_document import SearchedKey, Trial

# In every chart a trial has the same sign.
_SIGNS = {
    "full": ENDS["done"],
    "ring": ENDS["stopped"],
    "cross": "failed or not measured",
    "best": "best",
}


@styled
def history_chart(search: Search) -> Chart | None:
    """The objective of each trial by its order, with the best so far."""
    if not search.measured:
        return None
    measure, outcome, best = search.measure, outcome_of(search), search.best_so_far
    means = {
        colour: measure.factor * mean
        for colour, mean in (("base", outcome.given), ("second", outcome.best))
        if mean is not None
    }
    x = whole_axis(0.5, max(trial.order for trial in search.trials) + 0.5)
    y = axis_of([*(_height(search, trial) for trial in search.measured), *means.values()])
    axes = frame(x, y, "trial, in order of start")
    for colour, mean in means.items():
        axes.axhline(mean, color=INK[colour], linestyle=(0, (5, 3)), linewidth=1.4)
    _stairs(axes, [(order, measure.factor * value) for order, value in best], x.high)
    places = [
        (t, t.order, y.low if _sign(search, t) == "cross" else _height(search, t))
        for t in search.trials
    ]
    description = (
        f"{plural(len(places), 'trial')} in order of start. "
        f"Best so far: {'; '.join(f'trial {n}, {measure.text(value)}' for n, value in best)}."
    )
    legend = [("best so far", "accent")]
    if means:
        for name, colour in (("given", "base"), ("best", "second")):
            legend.append((f"{name} settings, mean of fresh seeds", f"dashed {colour}"))
    return _chart(search, "Objective by trial", axes, x, y, places, description, legend)


@styled
def curves_chart(search: Search) -> Chart | None:
    """The objective of every trial by outer step."""
    best = search.best_trial
    # The best is drawn last and lies on top.
    curves = [(t, points) for t in reversed(search.trials) if (points := _points(search, t))]
    if not curves:
        return None
    y = axis_of([value for _, points in curves for _, value in points])
    x = whole_axis(0, max(step for _, points in curves for step, _ in points))
    axes = frame(x, y, "outer step")
    for trial, points in curves:
        steps, values = np.array(points).T
        if trial is best:
            line(axes, steps, values, "second", 2.2)
        else:
            line(axes, steps, values, "base", 1, alpha=0.5)
    description = "One line for each trial."
    legend = [("other trials", "base")] if len(curves) > 1 else []
    if best is not None:
        shown = "; ".join(f"step {step:.0f}, {fixed(v, 4)}" for step, v in _points(search, best))
        description += f" The best, {_id(best)}: {shown}"
        legend.insert(0, (f"the best, trial {_id(best)}", "second"))
    ends = [(trial, *points[-1]) for trial, points in curves]
    return _chart(search, "Objective by outer step", axes, x, y, ends, description, legend)


@styled
def setting_charts(search: Search) -> list[Chart]:
    """The objective by the values of each searched setting that trials had."""
    found = [(key, [t for t in search.measured if key.key in t.sample]) for key in search.space]
    return [_setting_chart(search, key, trials) for key, trials in found if trials]


def _setting_chart(search: Search, key: SearchedKey, trials: Sequence[Trial]) -> Chart:
    """A setting's values from left to right; values without an order as rows."""
    title, heights = shorten(key.key, MAX_KEY), axis_of([_height(search, t) for t in trials])
    description = f"{plural(len(trials), 'trial')} by the value of the setting."
    if key.ends is None:
        names = categories(key, trials)
        axes, rows = row_frame(names, heights), Axis(0, len(names))
        at = [(t, _height(search, t), names.index(format_value(t.sample[key.key]))) for t in trials]
        return _chart(search, title, axes, heights, rows, at, description, caption=heights.words)
    x = Axis(*key.ends, is_log=key.is_log, is_whole="randint" in key.kind)
    axes = frame(x, heights, f"{title}{', logarithmic' * x.is_log}")
    values = [(t, finite(t.sample[key.key])) for t in trials]
    places = [(t, value, _height(search, t)) for t, value in values if value is not None]
    return _chart(search, title, axes, x, heights, places, description)


@styled
def pareto_chart(search: Search) -> Chart | None:
    """The objective against a trial's time, with the front, where values compare."""
    seconds = {t.id: t.seconds for t in search.comparable if t.seconds is not None}
    if not seconds:
        return None
    unit, length = "seconds", 1.0
    for name, longer in (("minutes", 60.0), ("hours", 3600.0)):
        if max(seconds.values()) >= 2 * longer:
            unit, length = name, longer
    timed = [t for t in search.comparable if t.id in seconds]
    at = {t.id: (seconds[t.id] / length, _height(search, t)) for t in timed}
    x, y = (axis_of([place[i] for place in at.values()]) for i in (0, 1))
    axes = frame(x, y, f"{unit} of one trial{', logarithmic' * x.is_log}")
    _stairs(axes, [at[trial.id] for trial in search.front], x.high)
    description = "On the front, cheapest first: " + "; ".join(
        f"trial {_id(t)}, {duration(t.seconds)}, {search.measure.text(t.value)}"
        for t in search.front
    )
    places = [(t, *at[t.id]) for t in timed]
    legend = [("no other trial is both better and cheaper", "accent")]
    return _chart(search, "Objective against time", axes, x, y, places, description, legend)


def _chart(
    search: Search,
    title: str,
    axes: Axes,
    x: Axis,
    y: Axis,
    places: Iterable[tuple[Trial, float, float]],
    description: str,
    legend: Sequence[tuple[str, str]] = (),
    caption: str | None = None,
) -> Chart:
    """A chart with the marks of trials on it, the best last, as it lies on top."""
    ordered = sorted(places, key=lambda place: -place[0].rank)
    usual = 4.0 if len(ordered) <= 40 else 3.0 if len(ordered) <= 100 else 2.2
    marks = [
        Mark(x.inside(across), y.inside(up), sign, _about(search, trial), usual + (sign == "best"))
        for trial, across, up in ordered
        for sign in [_sign(search, trial)]
    ]
    present = {mark.sign for mark in marks}
    signs = [(text, sign) for sign, text in _SIGNS.items() if sign in present]
    cut = "; a few extreme values are drawn at the edge" * (x.is_cut or y.is_cut)
    more = f", {search.measure.short}{y.words if caption is None else caption}{cut}"
    picture = svg(axes, f"{title}. {search.measure.short}. {description}", marks)
    return Chart(title, more, picture, [*legend, *signs])


def _stairs(axes: Axes, points: Sequence[tuple[float, float]], until: float) -> None:
    """A line that keeps each value up to the next point."""
    x, y = np.array(points).repeat(2, axis=0).T
    line(axes, [*x[1:], until], y, "accent", 1.9)


def _height(search: Search, trial: Trial) -> float:
    """The objective as it is drawn."""
    return search.measure.factor * (trial.value or 0.0)


def _points(search: Search, trial: Trial) -> list[tuple[float, float]]:
    values = [(at.step, at.metrics.get(search.objective)) for at in trial.curve]
    points = [(float(step), search.measure.factor * v) for step, v in values if v is not None]
    if not points and trial.value is not None:
        points = [(float(trial.step), _height(search, trial))]
    return points


def _sign(search: Search, trial: Trial) -> str:
    if trial.value is None or trial.status == "failed":
        return "cross"
    return "best" if trial is search.best_trial else "full" if trial.status == "done" else "ring"


def _about(search: Search, trial: Trial) -> str:
    """The text for a pointer that rests on a trial."""
    end = ENDS.get(trial.status, shorten(trial.status, 20))
    value = search.measure.text(trial.value)
    return f"trial {_id(trial)}, rank {trial.rank}: {value}, step {trial.step}, {end}"


def _id(trial: Trial) -> str:
    return shorten(trial.id, MAX_ID)
