"""Pages about runs and searches: one HTML file each, made from templates."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from metagan.config.load import Config
from metagan.report import (
    answers,
    commands,
    facts,
    headline,
    importance,
    load,
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
_MODULES = (answers, commands, facts, headline, importance, pictures, results, search_charts,
            search_view, search_words, training)  # fmt: skip
_FILTERS = (load.domains_of, values.count, values.duration, values.fixed, values.parted,
            values.plural, values.shorten, values.whole)  # fmt: skip


def render_run(run: RunFiles, model: type[Config]) -> str:
    """The page about a run as text; `model` has the defaults and meanings of settings."""
    return _render("run.html", run=run, model=model)


def render_search(search: Search, model: type[Config]) -> str:
    """The page about a search as text; `model` has the defaults and meanings of settings."""
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
    environment.filters |= {function.__name__: function for function in _FILTERS}
    return values.clean(environment.get_template(template).render(contents=[], **context))
