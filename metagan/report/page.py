"""Pages about runs and searches: one HTML file each, made from templates."""

from types import ModuleType
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from metagan.config import Config
from metagan.report import (
    appendix,
    commands,
    gate,
    overview,
    pictures,
    results,
    search_charts,
    search_view,
    search_words,
    training,
)
from metagan.report.headline import headline, tally
from metagan.report.importance import MIN_TRIALS, NUM_SHUFFLES, importances
from metagan.report.load import RunFiles, domains_of
from metagan.report.parallel import parallel_chart
from metagan.report.search_load import Search
from metagan.report.values import (
    clean,
    count,
    duration,
    estimate_text,
    fixed,
    parted,
    plural,
    shorten,
    whole,
)

# Templates ask these for words and numbers, and have only structure themselves.
_MODULES: Final[dict[str, ModuleType]] = {
    "appendix": appendix,
    "charts": search_charts,
    "commands": commands,
    "gates": gate,
    "overview": overview,
    "pictures": pictures,
    "results": results,
    "training": training,
    "view": search_view,
    "words": search_words,
}
_FILTERS: Final = {
    "domains": domains_of,
    "duration": duration,
    "estimate": estimate_text,
    "fixed": fixed,
    "parted": parted,
    "plural": plural,
    "shorten": shorten,
    "whole": count,
    "whole_or_none": whole,
}


def render_run(run: RunFiles, model: type[Config]) -> str:
    """The page about a run as text.

    Args:
        run: What the run folder holds.
        model: The settings' type, for defaults and meanings.
    """
    return _render("run.html", run=run, model=model, headline=headline, tally=tally)


def render_search(search: Search, model: type[Config]) -> str:
    """The page about a search as text.

    Args:
        search: What the folder of the search holds.
        model: The settings' type, for defaults and meanings.
    """
    return _render(
        "search.html",
        search=search,
        model=model,
        importances=importances,
        parallel_chart=parallel_chart,
        min_trials=MIN_TRIALS,
        num_shuffles=NUM_SHUFFLES,
    )


def _render(template: str, **context: Any) -> str:
    """A page; every text in it is escaped, and a name that does not exist is an error."""
    environment = Environment(
        loader=PackageLoader("metagan.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= _MODULES
    environment.filters |= _FILTERS
    return clean(environment.get_template(template).render(contents=[], **context))
