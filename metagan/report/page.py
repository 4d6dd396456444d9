"""Pages about runs and searches: one HTML file each, made from templates."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from metagan.config.load import Config
from metagan.report import (
    appendix,
    commands,
    gate_words,
    headline,
    importance,
    load,
    overview,
    pictures,
    results,
    search_charts,
    search_view,
    search_words,
    training,
    values,
)
from metagan.report.load import RunFiles
from metagan.report.search_load import Search

# Templates ask these for words and numbers, and have only structure themselves.
_MODULES = (appendix, commands, gate_words, headline, importance, overview, pictures, results,
            search_charts, search_view, search_words, training)  # fmt: skip


def render_run(run: RunFiles, model: type[Config]) -> str:
    """The page about a run as text.

    Args:
        run: What the run folder holds.
        model: The settings' type, for defaults and meanings.
    """
    return _render("run.html", run=run, model=model)


def render_search(search: Search, model: type[Config]) -> str:
    """The page about a search as text.

    Args:
        search: What the folder of the search holds.
        model: The settings' type, for defaults and meanings.
    """
    return _render("search.html", search=search, model=model)


def _render(template: str, **context: Any) -> str:
    """A page; every text in it is escaped, and a name that does not exist is an error."""
    environment = Environment(
        loader=PackageLoader("metagan.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {module.__name__.rpartition(".")[2]: module for module in _MODULES}
    environment.filters |= {
        "count": values.count,
        "domains": load.domains_of,
        "duration": values.duration,
        "estimate": values.estimate_text,
        "fixed": values.fixed,
        "parted": values.parted,
        "plural": values.plural,
        "shorten": values.shorten,
        "whole": values.whole,
    }
    return values.clean(environment.get_template(template).render(contents=[], **context))
