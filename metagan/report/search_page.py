"""The page about a search: its sections in order."""

from metagan.config.load import Config
from metagan.report.appendix import settings_section
from metagan.report.document import Section, document
from metagan.report.html import Child, el
from metagan.report.search_charts import (
    comparable,
    curves_chart,
    history_chart,
    pareto_chart,
)
from metagan.report.search_lineage import changed_section
from metagan.report.search_load import SearchFiles
from metagan.report.search_overview import (
    confirmation_section,
    difference_section,
    result_header,
    search_commands,
    search_facts,
)
from metagan.report.search_parallel import parallel_chart
from metagan.report.search_style import SEARCH_STYLE
from metagan.report.search_tables import front_table, importance_section, trials_section
from metagan.report.search_words import outcome_of
from metagan.report.values import plural

_NOTHING = "No trial was measured, so there is nothing to draw."
_FOOTER = (
    "What a search measures is measured on validation classes; test classes were not touched. A "
    "dash stands for a number that was not measured or does not apply."
)


def render_search(search: SearchFiles, model: type[Config]) -> str:
    """The page as text.

    Args:
        search: What the folder of the search holds.
        model: The settings' type, for defaults and meanings.
    """
    changed: list[Section] = [
        ("changed", "Where settings changed", changed_section(search)),
    ]
    changes = search.settings.get("scheduler") == "pbt" or any(t.changes for t in search.trials)
    sections: list[Section] = [
        ("confirmation", "Best against given, with fresh seeds", confirmation_section(search)),
        ("difference", "What the best settings change", difference_section(search, model)),
        ("searched", "What was searched", search_facts(search)),
        ("history", "How the search went", _history(search)),
        ("settings-and-objective", "Settings and objective", _parallel(search)),
        ("importance", "Importance of each setting", importance_section(search)),
        *(changed if changes else []),
        ("time", "Objective against time", _front(search)),
        ("trials", "All trials", trials_section(search)),
        ("given", "Settings that were given", _given(search, model)),
        ("commands", "Commands", search_commands(search)),
    ]
    return document(
        f"{search.name}: report of a search",
        result_header(search),
        sections,
        _FOOTER,
        more_style=SEARCH_STYLE,
    )


def _history(search: SearchFiles) -> list[Child]:
    if not search.measured:
        return [el("p", _NOTHING)]
    reached = comparable(search)
    dashed = ": dashed lines show what fresh seeds gave" if outcome_of(search).num_pairs else ""
    return [
        el(
            "p",
            "Values of trials compare only at the same outer step, so the line of the best so far "
            f"is of those that got to step {reached[0].step:,} ({len(reached):,} of "
            f"{plural(len(search.trials), 'trial')}). Its end is the search\u2019s maximum, which "
            f"flatters itself{dashed}.",
        ),
        history_chart(search),
        curves_chart(search),
    ]


def _parallel(search: SearchFiles) -> list[Child]:
    chart = parallel_chart(search)
    if not chart:
        return [el("p", _NOTHING if search.keys else "No setting was searched.")]
    return [
        el(
            "p",
            "A line runs through the values of one trial, from the first setting down to the "
            "objective. Colours follow the ranking, in which trials that got further come first.",
        ),
        chart,
    ]


def _front(search: SearchFiles) -> list[Child]:
    chart = pareto_chart(search)
    if not chart:
        return [el("p", "No trial has both a value and a time.")]
    return [
        el(
            "p",
            "Time is what passed from a trial\u2019s start to its last measurement, measurements "
            "and the start of its process included, with other trials beside it on the same "
            "machine. Values are single noisy ones, those of stopped trials of an earlier step.",
        ),
        chart,
        front_table(search),
    ]


def _given(search: SearchFiles, model: type[Config]) -> list[Child]:
    if not search.given:
        return [el("p", "They were not written down.")]
    return settings_section(search.given, model)
