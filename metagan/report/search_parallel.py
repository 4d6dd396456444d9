"""Parallel coordinates: one axis per searched setting, one line per trial.

The axes lie below each other, each as wide as the page, so that names and values of many settings
have room on a phone, too; lines run from the first axis down to the objective.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metagan.config.yaml import format_value
from metagan.report.axes import Scale
from metagan.report.html import Child, Html, el, shorten
from metagan.report.plots import told, written_ticks
from metagan.report.search_load import MAX_KEY, SearchedKey, SearchFiles, SearchTrial
from metagan.report.search_words import measure_of
from metagan.report.tables import note
from metagan.report.values import brief, finite, plural

NUM_COLOURS = 5
_ROW = 66  # Pixels from axis to axis.
_LINE = 24  # Pixels from the top of a row, where its name stands, to its axis.
_LEFT, _RIGHT = 0.015, 0.985  # Ends of an axis, so that circles there are whole.
# An axis that does not apply to every trial ends here, and these trials are shown beyond.
_RIGHT_IF_CONDITIONAL, _NOT_USED = 0.8, 0.93
_NARROWEST = 330  # Pixels of the chart on a small phone.
_LETTER = 6.6  # Pixels of a letter, at most.
_MAX_NUMBERED = 14


@dataclass(frozen=True)
class Row:
    """One axis.

    Attributes:
        name: Beside it.
        ticks: (share of the width, text, which end of the text lies there).
        places: For each trial its share of the width; None where its line ends.
        end: Share of the width where the axis ends.
        not_used: Whether some trials have no value here because the setting does not apply.
        key: What the numbers on the axis stand for, where there is no room for words.
    """

    name: str
    ticks: Sequence[tuple[float, str, str]]
    places: Sequence[float | None]
    end: float
    not_used: bool
    key: Sequence[str] = ()


def parallel_chart(search: SearchFiles) -> Html:
    """All trials over all searched settings and the objective; nothing without a setting."""
    rows = rows_of(search)
    if len(rows) < 2 or not search.trials:
        return Html("")
    measure = measure_of(search.objective)
    height = _ROW * len(rows)
    words, attributes = told(
        "parallel",
        "Settings and objective of every trial",
        f"{plural(len(search.trials), 'line')} over the axes "
        + ", ".join(row.name for row in rows)
        + ". The table of trials has the same numbers.",
    )
    axes = [_axis(row, _ROW * i) for i, row in enumerate(rows)]
    # What is drawn last lies on top: the best.
    lines = [
        el(
            "path",
            class_=line_class(search, trial),
            d=_line([row.places[i] for row in rows]),
        )
        for i, trial in reversed(list(enumerate(search.trials)))
    ]
    picture = el(
        "svg",
        words,
        el(
            "svg",
            lines,
            x="0",
            y="0",
            width="100%",
            height=height,
            viewBox=f"0 0 1000 {height}",
            preserveAspectRatio="none",
        ),
        axes,
        height=height,
        role="img",
        **attributes,
    )
    numbered = [row for row in rows if row.key]
    return el(
        "figure",
        el(
            "figcaption",
            el("b", "Settings and objective of every trial"),
            f", one line each; the lowest axis is the objective ({measure.short})"
            if search.measured
            else ", one line each",
        ),
        picture,
        _scale_of_colours(search),
        note(
            [
                el("p", el("b", row.name), ": ", "; ".join(f"{i} {text}" for i, text in
                   enumerate(row.key, 1)))
                for row in numbered
            ]
        )
        if numbered
        else None,
        class_="chart search",
    )  # fmt: skip


def rows_of(search: SearchFiles) -> list[Row]:
    """The axes: searched settings in their order, then the objective where it was measured."""
    rows = [_setting_row(key, search.trials) for key in search.keys]
    measure = measure_of(search.objective)
    values = [trial.value for trial in search.trials]
    known = [measure.factor * value for value in values if value is not None]
    if rows and known:
        low, high = min(known), max(known)
        log = low > 0 and high > 50 * low
        better = "larger" if search.is_larger_better else "smaller"
        scale = Scale(low, high, log)
        texts = [measure.number(end / measure.factor) for end in (low, high)]
        places = [
            None if value is None else _place(scale, measure.factor * value, _RIGHT)
            for value in values
        ]
        name = f"{measure.short} ({better} is better)"
        rows.append(Row(name, _end_ticks(scale, texts, _RIGHT), places, _RIGHT, False))
    return rows


def line_class(search: SearchFiles, trial: SearchTrial) -> str:
    """Its colour: which fifth of the ranking it is in; the best and those without a value apart."""
    if trial.value is None:
        return "trial none"
    if trial is search.best_trial:
        return "trial best"
    place = search.measured.index(trial)
    return f"trial q{NUM_COLOURS * place // len(search.measured)}"


def _setting_row(key: SearchedKey, trials: Sequence[SearchTrial]) -> Row:
    names: list[str] = []
    not_used = any(key.key not in trial.sample for trial in trials)
    end = _RIGHT_IF_CONDITIONAL if not_used else _RIGHT
    if (ends := key.ends) is not None:
        scale = Scale(*ends, log=key.is_log)

        def place(value: Any) -> float | None:
            number = finite(value)
            return None if number is None else _place(scale, number, end)

        texts = [brief(value) for value in ends]
        ticks = _end_ticks(scale, texts, end)
    else:
        texts = categories(key, trials)

        def place(value: Any) -> float | None:
            index = texts.index(format_value(value))
            return _LEFT + (end - _LEFT) * (index + 0.5) / len(texts)

        ticks, names = _category_ticks(texts, end)
    places = [
        place(trial.sample[key.key]) if key.key in trial.sample else _NOT_USED for trial in trials
    ]
    log = " (log)" if ends is not None and key.is_log else ""
    return Row(shorten(key.key, MAX_KEY) + log, ticks, places, end, not_used, names)


def categories(key: SearchedKey, trials: Sequence[SearchTrial]) -> list[str]:
    """What there is to choose from, and whatever else trials had."""
    values = [*key.values, *(t.sample[key.key] for t in trials if key.key in t.sample)]
    return list(dict.fromkeys(format_value(value) for value in values)) or ["?"]


def _place(scale: Scale, value: float, end: float) -> float:
    share = 0.5 if scale.low == scale.high else min(1.0, max(0.0, scale.share(value)))
    return _LEFT + (end - _LEFT) * share


def _end_ticks(scale: Scale, texts: Sequence[str], end: float) -> list[tuple[float, str, str]]:
    """Both ends, and round values between them where there is room."""
    if scale.low == scale.high:
        return [(_place(scale, scale.low, end), texts[0], "middle")]
    found = [(_LEFT, texts[0], "start"), (end, texts[1], "end")]
    taken = [
        (0.0, _width(texts[0])),
        (end - _width(texts[1]), end),
    ]
    for value, text in written_ticks(scale):
        place, half = _place(scale, value, end), _width(text) / 2
        if all(place + half < left or place - half > right for left, right in taken):
            taken.append((place - half, place + half))
            found.append((place, text, "middle"))
    return sorted(found)


def _category_ticks(
    texts: Sequence[str], end: float
) -> tuple[list[tuple[float, str, str]], list[str]]:
    """Each value at its place; where there is no room for words a number, and what it means."""
    room = (end - _LEFT) / len(texts)
    places = [_LEFT + room * (i + 0.5) for i in range(len(texts))]
    if all(_width(text) < room for text in texts):
        return [(place, text, "middle") for place, text in zip(places, texts, strict=True)], []
    every = -(-len(texts) // _MAX_NUMBERED)
    numbers = [(place, str(i + 1), "middle") for i, place in enumerate(places) if i % every == 0]
    return numbers, [shorten(text, 60) for text in texts]


def _width(text: str) -> float:
    """Share of the chart that a text takes where the chart is narrowest, with some room."""
    return (_LETTER * len(text) + 8) / _NARROWEST


def _axis(row: Row, top: int) -> list[Html]:
    line = top + _LINE
    parts = [
        el(
            "line",
            class_="axis",
            x1=f"{100 * _LEFT}%",
            x2=f"{100 * row.end:.1f}%",
            y1=line,
            y2=line,
        )
    ]
    parts.append(el("text", row.name, class_="halo name", x=f"{100 * _LEFT}%", y=line - 9))
    for place, text, anchor in row.ticks:
        across = f"{100 * place:.2f}%"
        parts.append(el("line", class_="axis", x1=across, x2=across, y1=line - 3, y2=line + 3))
        parts.append(el("text", text, class_="halo", x=across, y=line + 16, text_anchor=anchor))
    if row.not_used:
        across = f"{100 * _NOT_USED:.1f}%"
        parts.append(
            el("text", "not used", class_="halo", x=across, y=line + 16, text_anchor="middle")
        )
    return parts


def _line(places: Sequence[float | None]) -> str:
    """Down the axes; it breaks where a trial has no value."""
    words, pen = [], "M"
    for i, place in enumerate(places):
        if place is None:
            pen = "M"
            continue
        words.append(f"{pen}{1000 * place:.1f} {_ROW * i + _LINE}")
        pen = "L"
    return "".join(words)


def _scale_of_colours(search: SearchFiles) -> Html:
    parts: list[Child] = []
    if search.measured:
        parts += [el("span", class_="swatch best"), "the best\u00a0 "]
    if len(search.measured) > 1:
        parts += [
            "rank: first ",
            [el("span", class_=f"swatch q{i}") for i in range(NUM_COLOURS)],
            " last\u00a0 ",
        ]
    if len(search.measured) < len(search.trials):
        parts += [el("span", class_="swatch none"), "not measured"]
    return el("p", parts, class_="swatches")
