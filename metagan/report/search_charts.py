"""Charts of a search: what trials reached, how they got there, and what they cost."""

import math
from collections.abc import Iterable, Sequence

from metagan.report.axes import Points, Scale, path_data, thin
from metagan.report.front import front_of
from metagan.report.html import Child, Html, el, shorten
from metagan.report.plots import (
    HEIGHT,
    TOP,
    Axis,
    frame,
    legend,
    step_axis,
    told,
    value_axis,
    written_ticks,
    y_labels,
)
from metagan.report.search_load import SearchFiles, SearchTrial
from metagan.report.search_words import Measure, measure_of, outcome_of
from metagan.report.values import duration, plural

_MAX_ID = 24
_CUT = "; a few extreme values are drawn at the edge"


def best_so_far(search: SearchFiles) -> list[tuple[int, float]]:
    """(order of a trial, best value of those up to it), of trials that got as far as the best.

    Trials that were stopped earlier do not count: their values are of another step.
    """
    if search.best_trial is None:
        return []
    found: list[tuple[int, float]] = []
    for trial in sorted(comparable(search), key=lambda trial: trial.order):
        assert trial.value is not None
        if not found or search.sign * (trial.value - found[-1][1]) > 0:
            found.append((trial.order, trial.value))
    return found


def comparable(search: SearchFiles) -> list[SearchTrial]:
    """Trials that got as far as the best one, from best to worst."""
    best = search.best_trial
    return [
        trial
        for trial in search.measured
        if best is not None and trial.step == best.step and trial.status == best.status
    ]


def pareto_front(search: SearchFiles) -> list[SearchTrial]:
    """Trials that no other one beats in the objective and in time at once, quickest first."""
    timed = [trial for trial in search.measured if trial.seconds is not None]
    values, costs = [t.value or 0.0 for t in timed], [t.seconds or 0.0 for t in timed]
    return [timed[place] for place in front_of(values, costs, sign=search.sign)]


def history_chart(search: SearchFiles) -> Html:
    """The objective of each trial by its order, with the best so far."""
    measure = measure_of(search.objective)
    trials = sorted(search.trials, key=lambda trial: trial.order)
    values = [measure.factor * trial.value for trial in trials if trial.value is not None]
    if not values:
        return Html("")
    outcome = outcome_of(search)
    means = [
        (measure.factor * mean, name, sign)
        for mean, name, sign in (
            (outcome.given, "given settings, mean of fresh seeds", "s2"),
            (outcome.best, "best settings, mean of fresh seeds", "s1"),
        )
        if mean is not None
    ]
    last = max(trial.order for trial in trials)
    y = value_axis(measure.short, [*values, *(mean for mean, _, _ in means)])
    x = step_axis("trial, in order of start", 0.5, last + 0.5)
    steps = [(order, measure.factor * value) for order, value in best_so_far(search)]
    levels = [
        el("line", class_=f"level {sign}", x1="0", x2="100%", y1=y.down(mean), y2=y.down(mean))
        for mean, _, sign in means
    ]
    title = "Objective by trial"
    description = (
        f"{measure.short} of {plural(len(trials), 'trial')} in order of start. Best so far: "
        + "; ".join(f"trial {order}, {measure.text(value)}" for order, value in best_so_far(search))
        + "."
    )
    found = {trial.status for trial in trials}
    entries: list[tuple[Child, str]] = [
        ("best so far", "k0"),
        ("trained to the end", "sign full"),
        *([("stopped early", "sign ring")] if "stopped" in found else []),
        *([("failed or not measured", "sign cross")] if _has_crosses(trials) else []),
        ("best", "sign best"),
        *((name, f"dash {sign}") for _, name, sign in means),
    ]
    return _figure(
        "history",
        title,
        [f", {measure.short}", _log(y), _CUT if y.is_cut else ""],
        description,
        x,
        y,
        el("path", class_="front s0", d=_stairs(steps, x, y, until=last + 0.5)),
        below=levels,
        above=[_sign(search, t, x.across(t.order), y, len(trials)) for t in _best_last(trials)],
        entries=entries,
    )


def curves_chart(search: SearchFiles) -> Html:
    """The objective of every trial by outer step."""
    measure = measure_of(search.objective)
    curves = [
        (trial, points)
        for trial in reversed(search.trials)
        if (points := _points(trial, measure.factor))
    ]
    values = [y for _, points in curves for _, y in points if y is not None]
    if not values:
        return Html("")
    y = value_axis(measure.short, values)
    x = step_axis("outer step", 0, max(point for _, points in curves for point, _ in points))
    best = search.best_trial
    paths, ends = [], []
    for trial, points in curves:
        is_best = trial is best
        sign = "curve best" if is_best else "curve"
        paths.append(el("path", class_=sign, d=path_data(thin(points), x.scale, y.scale)))
        step, value = points[-1]
        assert value is not None
        end = el(
            "circle",
            class_="best" if is_best else "ring" if trial.status != "done" else "full",
            cx=x.across(step),
            cy=y.down(value),
            r="4" if is_best else "2.5",
        )
        ends.append(_named(_about(trial, measure), end))
    others = {trial.status for trial, _ in curves if trial is not best}
    description = f"{measure.short} by outer step, one line for each trial. " + (
        f"The best, {_told_id(best)}: "
        + "; ".join(f"step {p.step}, {measure.text(p.value)}" for p in best.curve)
        if best is not None
        else ""
    )
    return _figure(
        "curves",
        "Objective by outer step",
        [f", {measure.short}", _log(y), _CUT if y.is_cut else ""],
        description,
        x,
        y,
        paths,
        above=ends,
        entries=[
            (f"the best, trial {_told_id(best)}" if best is not None else "the best", "k1"),
            *([("other trials", "k2 thin")] if others else []),
            *([("trained to the end", "sign full")] if "done" in others else []),
            *([("stopped early or failed", "sign ring")] if others - {"done"} else []),
        ],
    )


def pareto_chart(search: SearchFiles) -> Html:
    """The objective against a trial's seconds, with the front."""
    measure = measure_of(search.objective)
    timed = [t for t in search.measured if t.seconds is not None]
    if not timed:
        return Html("")

    def cost(trial: SearchTrial) -> float:
        return trial.seconds or 0.0

    unit, seconds = _unit([cost(t) for t in timed])
    y = value_axis(measure.short, [measure.factor * (t.value or 0.0) for t in timed])
    x = _time_axis(f"{unit} of one trial", [cost(t) / seconds for t in timed])
    front = pareto_front(search)
    stairs = [(cost(t) / seconds, measure.factor * (t.value or 0.0)) for t in front]
    on_front = {t.id for t in front}
    dots = []
    for trial in sorted(timed, key=lambda t: (t.id in on_front, -t.rank)):
        place = x.across(cost(trial) / seconds)
        height = y.down(measure.factor * (trial.value or 0.0))
        sign = "best" if trial is search.best_trial else "full" if trial.id in on_front else "ring"
        dot = el("circle", class_=sign, cx=place, cy=height, r=_radius(len(timed)))
        dots.append(_named(_about(trial, measure), dot))
    description = "On the front, cheapest first: " + "; ".join(
        f"trial {_told_id(t)}, {duration(cost(t))}, {measure.text(t.value)}" for t in front
    )
    return _figure(
        "pareto",
        "Objective against time",
        [f", {measure.short}", _log(y), _CUT if y.is_cut else ""],
        description,
        x,
        y,
        el("path", class_="front s0", d=_stairs(stairs, x, y, until=x.scale.high)),
        above=dots,
        entries=[
            ("no other trial is both better and cheaper", "sign full"),
            ("another one is", "sign ring"),
            ("best", "sign best"),
        ],
    )


def _figure(
    name: str,
    title: str,
    caption: Sequence[Child],
    description: str,
    x: Axis,
    y: Axis,
    paths: Child,
    *,
    below: Child = None,
    above: Child = None,
    entries: Sequence[tuple[Child, str]],
) -> Html:
    words, attributes = told(name, title, description)
    return el(
        "figure",
        el("figcaption", el("b", title), caption),
        el(
            "div",
            y_labels(y),
            frame(x, y, paths, below=below, above=above, told=words, attributes=attributes),
            class_="plot",
        ),
        legend(entries),
        class_="chart search",
    )


def _sign(search: SearchFiles, trial: SearchTrial, across: str, y: Axis, number: int) -> Html:
    """A trial's mark in the history."""
    measure = measure_of(search.objective)
    if trial.value is None or trial.status == "failed":
        bottom = TOP + HEIGHT - 3
        mark = el("text", "\u00d7", class_="cross", x=across, y=bottom, text_anchor="middle")
        return _named(_about(trial, measure), mark)
    is_best = trial is search.best_trial
    sign = "best" if is_best else "full" if trial.status == "done" else "ring"
    height = y.down(measure.factor * trial.value)
    radius = "5" if is_best else _radius(number)
    dot = el("circle", class_=sign, cx=across, cy=height, r=radius)
    return _named(_about(trial, measure), dot)


def _stairs(points: Iterable[tuple[float, float]], x: Axis, y: Axis, *, until: float) -> str:
    """A line that keeps each value up to the next point."""
    words: list[str] = []
    for place, value in points:
        across, down = 1000 * x.scale.share(place), 1000 * (1 - y.scale.share(value))
        down = min(1000.0, max(0.0, down))
        words.append(f"H{across:.1f}V{down:.1f}" if words else f"M{across:.1f} {down:.1f}")
    if words:
        words.append(f"H{1000 * x.scale.share(until):.1f}")
    return "".join(words)


def _points(trial: SearchTrial, factor: float) -> Points:
    points = [(float(p.step), factor * p.value) for p in trial.curve if p.value is not None]
    if not points and trial.value is not None:
        points = [(float(trial.step), factor * trial.value)]
    return points


def _unit(seconds: Sequence[float]) -> tuple[str, float]:
    """In what trials' times are told: its name, and its seconds."""
    units = (("hours", 3600.0), ("minutes", 60.0))
    return next((unit for unit in units if max(seconds) >= 2 * unit[1]), ("seconds", 1.0))


def _time_axis(name: str, values: Sequence[float]) -> Axis:
    low, high = min(values), max(values)
    if low > 0 and high > 50 * low:
        # At least one power of ten, or it could not be read.
        scale = Scale(min(low / 1.15, 10.0 ** math.floor(math.log10(high))), 1.15 * high, log=True)
        name += ", logarithmic"
    else:
        room = 0.05 * (high - low) or 0.1 * high or 1.0
        scale = Scale(low - room, high + room)
    return Axis(name, scale, written_ticks(scale))


def _about(trial: SearchTrial, measure: Measure) -> str:
    """What a pointer that rests on a trial is told."""
    value = measure.text(trial.value)
    ends = {"done": "trained to the end", "stopped": "stopped early", "failed": "failed"}
    end = ends.get(trial.status, shorten(trial.status, 20))
    return f"trial {_told_id(trial)}, rank {trial.rank}: {value}, step {trial.step}, {end}"


def _told_id(trial: SearchTrial) -> str:
    return shorten(trial.id, _MAX_ID)


def _named(text: str, shape: Html) -> Html:
    return el("g", el("title", text), shape)


def _radius(number: int) -> str:
    return "4" if number <= 40 else "3" if number <= 100 else "2.2"


def _best_last(trials: Sequence[SearchTrial]) -> list[SearchTrial]:
    # What is drawn last lies on top.
    return sorted(trials, key=lambda trial: -trial.rank)


def _has_crosses(trials: Sequence[SearchTrial]) -> bool:
    return any(trial.value is None or trial.status == "failed" for trial in trials)


def _log(axis: Axis) -> str:
    return ", logarithmic axis" if axis.scale.log else ""
