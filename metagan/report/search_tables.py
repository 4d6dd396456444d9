"""Tables of a search: all trials, the front, and what settings have to do with the result."""

from collections.abc import Mapping, Sequence
from typing import Any

from metagan.config.yaml import format_value
from metagan.report.axes import Scale
from metagan.report.html import Child, Html, el, shorten
from metagan.report.importance import MIN_TRIALS, NUM_SHUFFLES, Importance, importances
from metagan.report.plots import percent, told
from metagan.report.search_charts import pareto_front
from metagan.report.search_load import MAX_KEY, SearchFiles, SearchTrial
from metagan.report.search_words import measure_of
from metagan.report.tables import Column, Row, table
from metagan.report.values import brief, duration, finite, fixed, plural

_SHOWN = 40  # Trials in the table; the rest is folded away.
_ROW = 25.6  # Pixels of a row of `.dots`: 1.6rem in `style.py`.


def trials_section(search: SearchFiles) -> list[Child]:
    """Every trial in the order of the ranking."""
    if not search.trials:
        return [el("p", "There is no trial.")]
    measure = measure_of(search.objective)
    others = sorted(
        {name for trial in search.trials for name in trial.metrics} - {search.objective}
    )
    keys = [key.key for key in search.keys]
    columns = [
        Column("Rank", False),
        Column("Trial", False),
        Column(measure.short),
        Column("Steps"),
        Column("Ended", False, prose=any(t.error or t.retries for t in search.trials)),
        Column("Time"),
        *(Column(shorten(key, MAX_KEY)) for key in keys),
        *(Column(measure_of(name).short) for name in others),
        Column("Started as"),
    ]
    rows = [_trial_row(trial, search, others, keys) for trial in search.trials]
    about = (
        "As they were ranked: by how far they got, then by the objective; failed ones last. A dash "
        "stands for a setting that does not apply to the trial."
    )
    parts: list[Child] = [table("Trials", columns, rows[:_SHOWN], about=about)]
    if rest := rows[_SHOWN:]:
        more = f"The other {plural(len(rest), 'trial')}"
        parts.append(el("details", el("summary", more), table(more, columns, rest)))
    return parts


def _trial_row(
    trial: SearchTrial, search: SearchFiles, others: Sequence[str], keys: Sequence[str]
) -> Row:
    cells: list[Child] = [
        str(trial.rank),
        id_cell(trial.id),
        measure_of(search.objective).number(trial.value),
        f"{trial.step:,}",
        [
            shorten(trial.status, 20),
            f": {shorten(trial.error, 200)}" if trial.error else None,
            _started_again(trial),
        ],
        None if trial.seconds is None else duration(trial.seconds),
        *settings_cells(trial.sample, keys),
        *(measure_of(name).number(trial.metrics.get(name)) for name in others),
        str(trial.order),
    ]
    return Row(cells, class_="best" if trial is search.best_trial else "")


def _started_again(trial: SearchTrial) -> str | None:
    """How often, and why the last time."""
    if not trial.retries:
        return None
    times = plural(len(trial.retries), "time")
    return f" (started again {times}: {shorten(trial.retries[-1], 200)})"


def front_table(search: SearchFiles) -> Html | None:
    """The trials on the front, cheapest first."""
    measure, front = measure_of(search.objective), pareto_front(search)
    if not front:
        return None
    rows = [
        Row(
            [
                id_cell(trial.id),
                duration(trial.seconds),
                measure.number(trial.value),
                f"{trial.step:,}",
                shorten(trial.status, 20),
                str(trial.rank),
            ]
        )
        for trial in front
    ]
    columns = [
        Column("Trial", False),
        Column("Time"),
        Column(measure.short),
        Column("Steps"),
        Column("Ended", False),
        Column("Rank"),
    ]
    return table(
        "The front",
        columns,
        rows,
        about="Trials of which no other one is at least as good in both and better in one.",
    )


def importance_section(search: SearchFiles) -> list[Child]:
    """Which settings go along with better trials, and how little that may mean."""
    found = importances(search)
    if not found:
        return [el("p", "No setting was searched.")]
    told_of = [importance for importance in found if importance.strength is not None]
    number = max((importance.num_trials for importance in found), default=0)
    if not told_of:
        return [
            el(
                "p",
                f"Nothing can be told: it takes at least {MIN_TRIALS} measured trials that differ "
                "in a setting and in how well they did.",
            )
        ]
    parts: list[Child] = [
        el(
            "p",
            "How it is computed: trials are ranked as in the table (by steps, then by the "
            "objective; failed ones are left out), and that ranking is compared with the values "
            "of one setting at a time. For numbers the strength is the size of Spearman\u2019s "
            "rank correlation; for settings without an order it is the square root of the share "
            "of the ranks\u2019 variance that lies between the values. 0 is no association, 1 a "
            "perfect one. The grey bar reaches as far as 95\u00a0% of "
            f"{NUM_SHUFFLES:,} shuffles of the same trials.",
        ),
        el(
            "p",
            f"This is weak evidence: with {plural(number, 'trial')} strong associations come up "
            "by chance, and one setting in twenty passes its grey bar without meaning anything "
            f"({plural(len(found), 'setting')} here). A setting can matter and not show, where its "
            "best value lies in the middle or depends on another setting; how far a trial got is "
            "partly luck where trials are stopped early; and a searcher that learns does not draw "
            "evenly.",
        ),
    ]
    parts.append(_strengths(told_of))
    rows = [
        Row(
            [
                el("code", shorten(i.key, MAX_KEY)),
                fixed(i.strength, 2),
                _direction(i),
                None if i.p is None else fixed(i.p, 3),
                str(i.num_trials),
            ]
        )
        for i in found
    ]
    columns = [
        Column("Setting", False),
        Column("Strength"),
        Column("Which way", False),
        Column("As strong by chance"),
        Column("Trials"),
    ]
    about = "The last but one column is the share of shuffles that are at least as strong."
    parts.append(table("Association with the ranking", columns, rows, about=about))
    return parts


def _direction(importance: Importance) -> str:
    if importance.strength is None:
        return importance.why_not
    if not importance.is_ordered:
        return "between values without an order"
    words = {1: "larger values did better", -1: "smaller values did better"}
    return words.get(importance.direction, "neither")


def _strengths(found: Sequence[Importance]) -> Html:
    """A row for each setting: its strength as a dot, what chance reaches as a bar."""
    scale = Scale(0.0, 1.0)
    height = _ROW * len(found)
    shapes = []
    for tick in (0.0, 0.5, 1.0):
        x = percent(scale.share(tick))
        shapes.append(el("line", class_="gridline", x1=x, x2=x, y1=0, y2=round(height, 1)))
        anchor = "start" if tick == 0 else "end" if tick == 1 else "middle"
        text = f"{tick:g}"
        shapes.append(el("text", text, x=x, y=round(height + 15, 1), text_anchor=anchor))
    for row, importance in enumerate(found):
        middle = round((row + 0.5) * _ROW, 1)
        by_chance, strength = importance.by_chance or 0.0, importance.strength or 0.0
        shapes.append(
            el(
                "rect",
                class_="chance",
                x="0",
                y=middle - 5,
                width=percent(scale.share(by_chance)),
                height="10",
            )
        )
        name = f"{importance.key}: {fixed(strength, 2)}; by chance up to {fixed(by_chance, 2)}"
        passes = "best" if strength > by_chance else "full"
        dot = el("circle", class_=passes, cx=percent(scale.share(strength)), cy=middle, r="5")
        shapes.append(el("g", el("title", name), dot))
    words, attributes = told(
        "importance",
        "Strength of association with the ranking",
        "; ".join(
            f"{i.key}: {fixed(i.strength, 2)}, by chance up to {fixed(i.by_chance, 2)}"
            for i in found
        ),
    )
    labels = el("ol", [el("li", shorten(i.key, MAX_KEY)) for i in found], aria_hidden="true")
    picture = el("svg", words, shapes, height=round(height + 20), role="img", **attributes)
    return el(
        "figure",
        el(
            "figcaption",
            el("b", "Strength of association with the ranking"),
            ", 0 to 1; a dot beyond its grey bar is stronger than 95\u00a0% of the shuffles",
        ),
        el("div", labels, picture, class_="dots"),
        class_="chart search",
    )


def id_cell(trial_id: str) -> Html:
    """Which trial it is."""
    return el("code", shorten(trial_id, 24), class_="id")


def settings_cells(sample: Mapping[str, Any], keys: Sequence[str]) -> list[Child]:
    """A cell for each key; empty for a setting that did not apply."""
    return [_value(sample[key]) if key in sample else None for key in keys]


def _value(value: Any) -> Child:
    number = finite(value)
    if number is not None and isinstance(value, float):
        return brief(number, 3)
    return shorten(format_value(value), 60)
