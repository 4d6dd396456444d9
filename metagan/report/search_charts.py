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
from metagan.report.search_load import MAX_KEY, Search
from metagan.report.search_words import measure_of, outcome_of
from metagan.report.values import duration, finite, fixed, plural, shorten
from metagan.runs.search_document import SearchedKey, Trial

# In every chart a trial has the same sign.
_SIGNS = {
    "full": "trained to the end",
    "ring": "stopped early",
    "cross": "failed or not measured",
    "best": "best",
}
Legend = Sequence[tuple[str, str]]


@styled
def history_chart(search: Search) -> Chart | None:
    """The objective of each trial by its order, with the best so far."""
    measure, outcome = measure_of(search.objective), outcome_of(search)
    if not search.measured:
        return None
    means = {
        (f"{name} settings, mean of fresh seeds", colour): measure.factor * mean
        for name, colour, mean in (
            ("given", "base", outcome.given),
            ("best", "second", outcome.best),
        )
        if mean is not None
    }
    last = max(trial.order for trial in search.trials)
    x = whole_axis(0.5, last + 0.5)
    y = axis_of([*(_height(search, trial) for trial in search.measured), *means.values()])
    axes = frame(x, y, "trial, in order of start")
    for (_, colour), mean in means.items():
        axes.axhline(mean, color=INK[colour], linestyle=(0, (5, 3)), linewidth=1.4)
    best = search.best_so_far
    _stairs(axes, [(order, measure.factor * value) for order, value in best], x.high)
    places = [
        (t, t.order, y.low if _sign(search, t) == "cross" else _height(search, t))
        for t in search.trials
    ]
    description = (
        f"{plural(len(places), 'trial')} in order of start. "
        f"Best so far: {'; '.join(f'trial {n}, {measure.text(value)}' for n, value in best)}."
    )
    legend = [("best so far", "accent"), *((name, f"dashed {colour}") for name, colour in means)]
    return _chart(search, "Objective by trial", axes, x, y, places, description, legend)


@styled
def curves_chart(search: Search) -> Chart | None:
    """The objective of every trial by outer step."""
    best = search.best_trial
    # The best is drawn last and lies on top.
    curves = [(t, points) for t in reversed(search.trials) if (points := _points(t, search))]
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
        shown = "; ".join(f"step {step:.0f}, {fixed(v, 4)}" for step, v in _points(best, search))
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
        axes = row_frame([(name, False) for name in names], heights)
        rows = whole_axis(0, len(names) - 1)
        at = [
            (t, _height(search, t), float(names.index(format_value(t.sample[key.key]))))
            for t in trials
        ]
        return _chart(search, title, axes, heights, rows, at, description)
    x = Axis(*key.ends, is_log=key.is_log, is_whole="randint" in key.kind)
    axes = frame(x, heights, f"{title}{', logarithmic' * x.is_log}")
    at = [
        (t, value, _height(search, t))
        for t in trials
        if (value := finite(t.sample[key.key])) is not None
    ]
    return _chart(search, title, axes, x, heights, at, description)


@styled
def pareto_chart(search: Search) -> Chart | None:
    """The objective against a trial's time, with the front."""
    measure = measure_of(search.objective)
    seconds = {t.id: t.seconds for t in search.measured if t.seconds is not None}
    if not seconds:
        return None
    most = max(seconds.values())
    unit, length = next(
        (unit for unit in (("hours", 3600.0), ("minutes", 60.0)) if most >= 2 * unit[1]),
        ("seconds", 1.0),
    )
    at = [
        (t, seconds[t.id] / length, _height(search, t)) for t in search.measured if t.id in seconds
    ]
    x, y = axis_of([place for _, place, _ in at]), axis_of([height for _, _, height in at])
    axes = frame(x, y, f"{unit} of one trial{', logarithmic' * x.is_log}")
    front = search.front
    _stairs(axes, [(seconds[t.id] / length, _height(search, t)) for t in front], x.high)
    description = "On the front, cheapest first: " + "; ".join(
        f"trial {_id(t)}, {duration(t.seconds)}, {measure.text(t.value)}" for t in front
    )
    legend = [("no other trial is both better and cheaper", "accent")]
    return _chart(search, "Objective against time", axes, x, y, at, description, legend)


def _chart(
    search: Search,
    title: str,
    axes: Axes,
    x: Axis,
    y: Axis,
    places: Iterable[tuple[Trial, float, float]],
    description: str,
    legend: Legend = (),
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
    short = measure_of(search.objective).short
    cut = "; a few extreme values are drawn at the edge" * (x.is_cut or y.is_cut)
    picture = svg(axes, f"{title}. {short}. {description}", marks)
    words = x.words if y.is_whole else y.words  # Rows are whole numbers; the objective lies across.
    return Chart(title, f", {short}{words}{cut}", picture, [*legend, *signs])


def _stairs(axes: Axes, points: Sequence[tuple[float, float]], until: float) -> None:
    """A line that keeps each value up to the next point."""
    x, y = np.array(points).repeat(2, axis=0).T
    line(axes, [*x[1:], until], y, "accent", 1.9)


def _height(search: Search, trial: Trial) -> float:
    """The objective as it is drawn."""
    return measure_of(search.objective).factor * (trial.value or 0.0)


def _points(trial: Trial, search: Search) -> list[tuple[float, float]]:
    factor = measure_of(search.objective).factor
    points = [
        (float(at.step), factor * value)
        for at in trial.curve
        if (value := at.metrics.get(search.objective)) is not None
    ]
    if not points and trial.value is not None:
        points = [(float(trial.step), _height(search, trial))]
    return points


def _sign(search: Search, trial: Trial) -> str:
    if trial.value is None or trial.status == "failed":
        return "cross"
    return "best" if trial is search.best_trial else "full" if trial.status == "done" else "ring"


def _about(search: Search, trial: Trial) -> str:
    """The text for a pointer that rests on a trial."""
    ends = {"done": "trained to the end", "stopped": "stopped early", "failed": "failed"}
    end = ends.get(trial.status, shorten(trial.status, 20))
    value = measure_of(search.objective).text(trial.value)
    return f"trial {_id(trial)}, rank {trial.rank}: {value}, step {trial.step}, {end}"


def _id(trial: Trial) -> str:
    return shorten(trial.id, 24)
