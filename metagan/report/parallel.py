"""Parallel coordinates: one axis per searched setting, one line per trial.

The axes lie below each other, each as wide as the chart, so that names and values of many settings
have room; lines run from the first axis down to the objective.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from metagan.config.yaml import format_value
from metagan.report.drawing import (
    INK,
    LETTER,
    NUM_RANKS,
    WIDTH,
    Axis,
    Chart,
    styled,
    svg,
    write,
)
from metagan.report.importance import categories
from metagan.report.search_load import MAX_KEY, Search
from metagan.report.search_words import measure_of
from metagan.report.values import brief, finite, plural, shorten
from metagan.runs.search_document import SearchedKey, Trial

# An axis that does not apply to every trial ends here, and these trials are shown beyond.
_END_IF_CONDITIONAL, NOT_USED = 0.8, 0.93
_MARGIN, _APART = 8, 60  # Units beside the axes, and from axis to axis.
_MAX_NUMBERED = 14


class Coordinate(NamedTuple):
    """One axis: its ticks (share of the width, text, end of the text that lies there), and more.

    `places` has each trial's share of the width, None where its line ends. The axis ends at `end`,
    beyond which lie trials to which the setting does not apply, where there are any (`not_used`).
    `key` says what numbers on the axis stand for, where there is no room for words.
    """

    name: str
    ticks: Sequence[tuple[float, str, str]]
    places: Sequence[float | None]
    end: float = 1.0
    not_used: bool = False
    key: Sequence[str] = ()


@styled
def parallel_chart(search: Search) -> Chart | None:
    """All trials over all searched settings and the objective; None without a setting."""
    rows = coordinates(search)
    if len(rows) < 2 or not search.trials:
        return None
    figure = Figure((WIDTH / 72, _APART * len(rows) / 72), dpi=72)
    axes = figure.add_axes((_MARGIN / WIDTH, 0, 1 - 2 * _MARGIN / WIDTH, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(_APART * len(rows), 0))
    heights = [float(_APART * i + 24) for i in range(len(rows))]
    # The best is drawn last and lies on top.
    for place, trial in reversed(list(enumerate(search.trials))):
        places = [math.nan if (at := row.places[place]) is None else at for row in rows]
        colour, look = line_look(search, trial)
        axes.plot(places, heights, color=INK[colour], clip_on=False, **look)
    for row, at in zip(rows, heights, strict=True):
        ruler: dict[str, Any] = {"color": INK["strong-rule"], "linewidth": 1, "zorder": 3}
        axes.plot([0, row.end], [at, at], clip_on=False, **ruler)
        write(axes, 0, at - 7, row.name, "ink")
        for share, text, side in row.ticks:
            axes.plot([share, share], [at - 3, at + 3], clip_on=False, **ruler)
            write(axes, share, at + 15, text, ha=side)
        if row.not_used:
            write(axes, NOT_USED, at + 15, "not used", ha="center")
    title = "Settings and objective of every trial"
    description = (
        f"{title}. {plural(len(search.trials), 'line')} over the axes "
        f"{', '.join(row.name for row in rows)}. The table of trials has the same numbers."
    )
    number = len(search.measured)
    legend = [("the best", "second")] if number else []
    legend += [("by rank, from first to last", "ranks")] if number > 1 else []
    legend += [("not measured", "dotted")] if number < len(search.trials) else []
    more = ", one line each"
    if number:
        more += f"; the lowest axis is the objective ({measure_of(search.objective).short})"
    notes = [
        f"{row.name}: " + "; ".join(f"{i} {text}" for i, text in enumerate(row.key, 1))
        for row in rows
        if row.key
    ]
    return Chart(title, more, svg(axes, description), legend, notes)


def coordinates(search: Search) -> list[Coordinate]:
    """The axes: searched settings in their order, then the objective where it was measured."""
    rows = [_coordinate(key, search.trials) for key in search.space]
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


def line_look(search: Search, trial: Trial) -> tuple[str, dict[str, Any]]:
    """Colour and form of a trial's line: which fifth of the ranking it is in, the best apart."""
    if trial.value is None:
        return "bad", {"linewidth": 1.2, "linestyle": ":", "alpha": 0.7}
    if trial is search.best_trial:
        return "second", {"linewidth": 2.6}
    rank = NUM_RANKS * search.measured.index(trial) // len(search.measured)
    return f"q{rank}", {"linewidth": 1.2, "alpha": 0.85}


def _coordinate(key: SearchedKey, trials: Sequence[Trial]) -> Coordinate:
    not_used = any(key.key not in trial.sample for trial in trials)
    end = _END_IF_CONDITIONAL if not_used else 1.0
    numbered: list[str] = []
    if (ends := key.ends) is not None:
        axis = Axis(*ends, key.is_log)
        ticks = _end_ticks(axis, [brief(value) for value in ends], end)
    else:
        texts = categories(key, trials)
        ticks, numbered = _category_ticks(texts, end)

    def place(value: Any) -> float | None:
        if ends is None:
            return end * (texts.index(format_value(value)) + 0.5) / len(texts)
        number = finite(value)
        return None if number is None else end * axis.share(number)

    places = [
        place(trial.sample[key.key]) if key.key in trial.sample else NOT_USED for trial in trials
    ]
    name = shorten(key.key, MAX_KEY) + " (log)" * (ends is not None and key.is_log)
    return Coordinate(name, ticks, places, end, not_used, numbered)


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
    return (LETTER * len(text) + 8) / (WIDTH - 2 * _MARGIN)
