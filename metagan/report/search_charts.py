"""Charts of a search: results of trials, their curves, and their times."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from metagan.report.drawing import (
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
from metagan.report.importance import Importance
from metagan.report.search_load import Search
from metagan.report.search_words import Measure, measure_of, outcome_of
from metagan.report.values import duration, fixed, plural, shorten
from metagan.runs.search_document import Trial

_SIGNS = {
    "full": "trained to the end",
    "ring": "stopped early",
    "cross": "failed or not measured",
    "best": "best",
}


@styled
def history_chart(search: Search) -> Chart | None:
    """The objective of each trial by its order, with the best so far."""
    measure, outcome = measure_of(search.objective), outcome_of(search)
    values = [measure.factor * trial.value for trial in search.measured if trial.value is not None]
    if not values:
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
    y = axis_of([*values, *means.values()])
    axes = frame(whole_axis(0.5, last + 0.5), y, "trial, in order of start")
    for (_, colour), mean in means.items():
        axes.axhline(mean, color=INK[colour], linestyle=(0, (5, 3)), linewidth=1.4)
    best = search.best_so_far
    _stairs(axes, [(order, measure.factor * value) for order, value in best], last + 0.5)
    marks = []
    # The best is drawn last and lies on top.
    for trial in reversed(search.trials):
        sign = _sign(search, trial)
        height = y.low if sign == "cross" else y.inside(measure.factor * (trial.value or 0.0))
        radius = 5 if sign == "best" else _radius(len(search.trials))
        marks.append(Mark(trial.order, height, sign, _about(trial, measure), radius))
    present = {mark.sign for mark in marks}
    description = (
        f"Objective by trial. {measure.short} of {plural(len(marks), 'trial')} in order of start. "
        f"Best so far: {'; '.join(f'trial {n}, {measure.text(value)}' for n, value in best)}."
    )
    legend = [
        ("best so far", "accent"),
        *((text, sign) for sign, text in _SIGNS.items() if sign in present),
        *((name, f"dashed {colour}") for name, colour in means),
    ]
    caption = _caption(measure, y)
    return Chart("Objective by trial", caption, svg(axes, description, marks), legend)


@styled
def curves_chart(search: Search) -> Chart | None:
    """The objective of every trial by outer step."""
    measure, best = measure_of(search.objective), search.best_trial
    # The best is drawn last and lies on top.
    curves = [(t, points) for t in reversed(search.trials) if (points := _points(t, search))]
    if not curves:
        return None
    y = axis_of([value for _, points in curves for _, value in points])
    x = whole_axis(0, max(step for _, points in curves for step, _ in points))
    axes = frame(x, y, "outer step")
    marks = []
    for trial, points in curves:
        steps, values = np.array(points).T
        if trial is best:
            line(axes, steps, values, "second", 2.2)
        else:
            line(axes, steps, values, "base", 1, alpha=0.5)
        sign = "best" if trial is best else "full" if trial.status == "done" else "ring"
        radius = 4 if trial is best else 2.5
        marks.append(Mark(steps[-1], y.inside(values[-1]), sign, _about(trial, measure), radius))
    description = f"Objective by outer step. {measure.short}, one line for each trial."
    others = {trial.status for trial, _ in curves if trial is not best}
    legend = [
        ("other trials", "base") if others else None,
        (_SIGNS["full"], "full") if "done" in others else None,
        ("stopped early or failed", "ring") if others - {"done"} else None,
    ]
    if best is not None:
        shown = "; ".join(f"step {step:.0f}, {fixed(v, 4)}" for step, v in _points(best, search))
        description += f" The best, {_id(best)}: {shown}"
        legend.insert(0, (f"the best, trial {_id(best)}", "second"))
    picture = svg(axes, description, marks)
    caption = _caption(measure, y)
    return Chart("Objective by outer step", caption, picture, [sign for sign in legend if sign])


@styled
def pareto_chart(search: Search) -> Chart | None:
    """The objective against a trial's time, with the front."""
    measure = measure_of(search.objective)
    timed = [trial for trial in search.measured if trial.seconds is not None]
    if not timed:
        return None
    most = max(trial.seconds or 0.0 for trial in timed)
    unit, length = next(
        (unit for unit in (("hours", 3600.0), ("minutes", 60.0)) if most >= 2 * unit[1]),
        ("seconds", 1.0),
    )
    at = {t.id: ((t.seconds or 0.0) / length, measure.factor * (t.value or 0.0)) for t in timed}
    x, y = (axis_of([place[i] for place in at.values()]) for i in (0, 1))
    axes = frame(x, y, f"{unit} of one trial{', logarithmic' * x.is_log}")
    front = {trial.id: trial for trial in search.front}
    _stairs(axes, [at[name] for name in front], x.high)
    marks = [
        Mark(
            x.inside(at[trial.id][0]),
            y.inside(at[trial.id][1]),
            "best" if trial is search.best_trial else "full" if trial.id in front else "ring",
            f"{_about(trial, measure)}, {duration(trial.seconds)}",
            _radius(len(timed)),
        )
        for trial in sorted(timed, key=lambda t: (t.id in front, -t.rank))
    ]
    description = "Objective against time. On the front, cheapest first: " + "; ".join(
        f"trial {_id(t)}, {duration(t.seconds)}, {measure.text(t.value)}" for t in front.values()
    )
    legend = [
        ("no other trial is both better and cheaper", "full"),
        ("another one is", "ring"),
        ("best", "best"),
    ]
    caption = _caption(measure, y)
    return Chart("Objective against time", caption, svg(axes, description, marks), legend)


@styled
def strength_chart(found: Sequence[Importance]) -> Chart:
    """A row for each setting: its strength as a dot, the reach of chance as a bar."""
    axes = row_frame([(shorten(i.key, 20), False) for i in found], Axis(0.0, 1.0))
    marks = []
    for row, importance in enumerate(found):
        by_chance, strength = importance.by_chance or 0.0, importance.strength or 0.0
        axes.barh(row, by_chance, height=0.5, color=INK["rule"], clip_on=False)
        told = f"{importance.key}: {fixed(strength, 2)}; by chance up to {fixed(by_chance, 2)}"
        marks.append(Mark(strength, row, "best" if strength > by_chance else "full", told, 5))
    title = "Strength of association with the ranking"
    description = f"{title}. {'; '.join(mark.text for mark in marks)}"
    more = ", 0 to 1; a dot beyond its grey bar is stronger than 95\u00a0% of the shuffles"
    return Chart(title, more, svg(axes, description, marks))


def _stairs(axes: Axes, points: Sequence[tuple[float, float]], until: float) -> None:
    """A line that keeps each value up to the next point."""
    x, y = np.array(points).repeat(2, axis=0).T
    line(axes, [*x[1:], until], y, "accent", 1.9)


def _points(trial: Trial, search: Search) -> list[tuple[float, float]]:
    factor = measure_of(search.objective).factor
    points = [
        (float(at.step), factor * value)
        for at in trial.curve
        if (value := at.metrics.get(search.objective)) is not None
    ]
    if not points and trial.value is not None:
        points = [(float(trial.step), factor * trial.value)]
    return points


def _sign(search: Search, trial: Trial) -> str:
    if trial.value is None or trial.status == "failed":
        return "cross"
    return "best" if trial is search.best_trial else "full" if trial.status == "done" else "ring"


def _about(trial: Trial, measure: Measure) -> str:
    """The text for a pointer that rests on a trial."""
    ends = {"done": "trained to the end", "stopped": "stopped early", "failed": "failed"}
    end = ends.get(trial.status, shorten(trial.status, 20))
    value = measure.text(trial.value)
    return f"trial {_id(trial)}, rank {trial.rank}: {value}, step {trial.step}, {end}"


def _id(trial: Trial) -> str:
    return shorten(trial.id, 24)


def _radius(number: int) -> float:
    return 4.0 if number <= 40 else 3.0 if number <= 100 else 2.2


def _caption(measure: Measure, y: Axis) -> str:
    cut = "; a few extreme values are drawn at the edge" * y.is_cut
    return f", {measure.short}{y.words}{cut}"
