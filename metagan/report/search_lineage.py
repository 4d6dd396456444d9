"""Where settings changed on the way: the schedule of the best trial, and every change-over."""

from collections.abc import Sequence

from metagan.report.html import Child, el, shorten
from metagan.report.search_load import MAX_KEY, SearchFiles
from metagan.report.search_tables import id_cell, settings_cells
from metagan.report.search_words import measure_of
from metagan.report.tables import Column, Row, table
from metagan.report.values import plural

_SHOWN = 40  # Change-overs in the table; the rest is folded away.


def changed_section(search: SearchFiles) -> list[Child]:
    """With what settings the best weights were trained, and who went on from whom."""
    changes = [
        (trial, change)
        for trial in sorted(search.trials, key=lambda trial: trial.order)
        for change in trial.changes
    ]
    keys = [key.key for key in search.keys]
    if not changes:
        return [el("p", "No trial went on from another one\u2019s weights.")]
    parts: list[Child] = [
        el(
            "p",
            "Trials among the worst went on from the weights of one of the best, with changed "
            "settings. The settings that a trial ended with are therefore only the last ones of "
            "its weights: charts and importance above show those. best.yaml has the last settings "
            "of the best trial, which is not the schedule that trained it; where the best trial "
            "changed, both were trained with fresh seeds.",
        )
    ]
    best = search.best_trial
    if best is not None and len(best.lineage) > 1:
        rows = [
            Row([f"{part.step:,}", id_cell(part.trial), *settings_cells(part.sample, keys)])
            for part in best.lineage
        ]
        columns = [Column("From step", False), Column("Trained by", False), *_columns(keys)]
        about = "What its weights were trained with, from the beginning."
        parts.append(table("Schedule of the best trial", columns, rows, about=about))
        parts += _by_fresh_seeds(search)
    elif best is not None:
        parts.append(el("p", "The best trial trained with the same settings from the beginning."))
    rows = [
        Row(
            [
                id_cell(trial.id),
                f"{change.step:,}",
                id_cell(change.trial),
                *settings_cells(change.sample, keys),
            ]
        )
        for trial, change in changes
    ]
    columns = [
        Column("Trial", False),
        Column("At step"),
        Column("Took the weights of", False),
        *_columns(keys),
    ]
    about = "In order of the trials\u2019 start; settings are those from there on."
    parts.append(table("Where settings changed", columns, rows[:_SHOWN], about=about))
    if rest := rows[_SHOWN:]:
        more = f"The other {plural(len(rest), 'change')}"
        parts.append(el("details", el("summary", more), table(more, columns, rest)))
    return parts


def _by_fresh_seeds(search: SearchFiles) -> list[Child]:
    """What the schedule gave from the start, beside its last settings alone."""
    if not any(pair.schedule is not None for pair in search.pairs):
        return []
    measure = measure_of(search.objective)
    rows = [
        Row(
            [
                str(number) if pair.seed is None else str(pair.seed),
                *(measure.number(value) for value in (pair.given, pair.best, pair.schedule)),
            ]
        )
        for number, pair in enumerate(search.pairs, 1)
    ]
    columns = [
        Column("Seed", False),
        Column("Given settings"),
        Column("Last settings, best.yaml"),
        Column("Schedule"),
    ]
    about = f"{measure.short}; each was trained from the beginning."
    return [table("The schedule with fresh seeds", columns, rows, about=about)]


def _columns(keys: Sequence[str]) -> list[Column]:
    return [Column(shorten(key, MAX_KEY)) for key in keys]
