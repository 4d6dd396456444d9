"""First and last sections of the page about a search: the result, what was searched, commands."""

import shlex
from collections.abc import Mapping
from typing import Any

from metagan.config.load import Config, list_settings
from metagan.config.yaml import format_value
from metagan.report.html import Child, Html, el, shorten
from metagan.report.search_load import MAX_KEY, SearchedKey, SearchFiles
from metagan.report.search_words import (
    Outcome,
    advice,
    headline,
    measure_of,
    outcome_of,
    status_line,
)
from metagan.report.tables import Column, Row, facts, note, table
from metagan.report.values import SPACE, brief, duration, finite, plural

_MAX_VALUE = 120


def result_header(search: SearchFiles) -> Html:
    """The search's name, its result in words, and the few numbers that matter most."""
    return el(
        "header",
        el("p", status_line(search), class_="kicker"),
        el("h1", search.name),
        el("p", headline(search), class_="lead"),
        el("p", advice(search)),
        _tiles(search),
        _cautions(search),
    )


def _tiles(search: SearchFiles) -> Html | None:
    outcome, measure = outcome_of(search), measure_of(search.objective)
    tiles: list[tuple[str, str, str, str | None]] = []
    if outcome.num_pairs:
        seeds = plural(outcome.num_pairs, "fresh seed")
        for name, value in (("Given settings", outcome.given), ("Best settings", outcome.best)):
            tiles.append((name, measure.number(value), f"{measure.short}; mean of {seeds}", None))
        tiles.append(_difference_tile(search, outcome))
    seconds = [finite(value) for value in search.seconds.values()]
    total = sum(value for value in seconds if value is not None)
    if total:
        more = "fresh seeds included" if "confirm" in search.seconds else "without fresh seeds"
        more = "since it was last resumed" if search.resumed else more
        tiles.append(("The search took", duration(total), more, None))
    return (
        el(
            "dl",
            [
                el(
                    "div",
                    el("dt", name),
                    el("dd", value, class_=tone),
                    el("dd", more, class_="more"),
                    class_="tile",
                )
                for name, value, more, tone in tiles
            ],
            class_="tiles",
        )
        if tiles
        else None
    )


def _difference_tile(search: SearchFiles, outcome: Outcome) -> tuple[str, str, str, str | None]:
    measure = measure_of(search.objective)
    tone = {"better": "good", "worse": "bad"}.get(outcome.verdict)
    more = "one seed: no interval"
    if outcome.difference is not None:
        low, high = outcome.difference.low, outcome.difference.high
        more = (
            f"95{SPACE}% interval {measure.change(low, unit=False)} to "
            f"{measure.change(high, unit=False)}"
        )
    better = "larger" if search.is_larger_better else "smaller"
    return (
        "Best less given, paired",
        measure.change(outcome.change, unit=False),
        f"{more}; {better} is better",
        tone,
    )


def _cautions(search: SearchFiles) -> list[Html]:
    found = []
    if search.schema_version < 1:
        found.append(
            note(
                el(
                    "p",
                    "search.json is of an earlier version: learning curves, times, the order of "
                    "trials and the space were not written down. What is shown of the space is "
                    "what trials had.",
                ),
                warning=True,
            )
        )
    asked = search.confirm_seeds
    if outcome_of(search).verdict == "unconfirmed" and asked and not search.pairs:
        found.append(
            note(
                el(
                    "p",
                    f"The comparison by {plural(asked, 'fresh seed')} is missing. Make it; FILE "
                    "stands for the settings of the search:",
                ),
                el("pre", el("code", f"metagan tune -c FILE --out {_quoted(search)} --resume")),
                warning=True,
            )
        )
    return found


def confirmation_section(search: SearchFiles) -> list[Child]:
    """The comparison by fresh seeds, beside what the search itself had measured."""
    measure, best = measure_of(search.objective), search.best_trial
    if not search.pairs:
        return [el("p", "The best and the given settings were not trained with fresh seeds.")]
    rows = [
        Row(
            [
                str(number) if pair.seed is None else str(pair.seed),
                measure.number(pair.given),
                measure.number(pair.best),
                None
                if pair.best is None or pair.given is None
                else measure.change(pair.best - pair.given, unit=False),
            ]
        )
        for number, pair in enumerate(search.pairs, 1)
    ]
    outcome = outcome_of(search)
    if outcome.num_pairs > 1:
        means = [
            measure.number(outcome.given),
            measure.number(outcome.best),
            measure.change(outcome.change, unit=False),
        ]
        rows.append(Row(["mean", *means], is_first=True))
    regression = (
        f" In the search the best trial had {measure.text(best.value)}: a noisy value, chosen from "
        f"{plural(len(search.measured), 'trial')} for being good, and so no estimate of what its "
        "settings give."
        if best is not None
        else ""
    )
    return [
        el(
            "p",
            "Both settings were trained from the start with seeds that no trial had, and measured "
            "as trials are, on the same validation targets. Pairs share a seed." + regression,
        ),
        table(
            "Fresh seeds",
            [
                Column("Seed", False),
                Column("Given settings"),
                Column("Best settings"),
                Column("Difference"),
            ],
            rows,
            about=f"{measure.short}; a dash stands for a training that failed.",
        ),
    ]


def search_facts(search: SearchFiles) -> list[Child]:
    """What was searched, and how."""
    settings = search.settings
    seconds = {name: finite(value) for name, value in search.seconds.items()}
    times = [
        f"{words} {duration(seconds[name])}"
        for name, words in (("trials", "trials"), ("confirm", "fresh seeds"))
        if seconds.get(name) is not None
    ]
    better = "larger" if search.is_larger_better else "smaller"
    repetitions = finite(settings.get("repetitions"))
    targets = f", mean of {plural(int(repetitions), 'validation target')}" if repetitions else ""
    parts: list[Child] = [
        facts(
            [
                (
                    "Objective",
                    f"{measure_of(search.objective).name} (tune.objective "
                    f"{search.objective}), {better} is better{targets}",
                ),
                ("Trials", status_line(search).partition(": ")[2]),
                ("Searcher", _setting(settings, "searcher")),
                ("Scheduler", _scheduler(settings)),
                ("Measured", _every(settings)),
                ("Time", "; ".join(times) + ("; since it was last resumed" * search.resumed)),
            ]
        )
    ]
    if search.keys:
        rows = [
            Row(
                [
                    el("code", shorten(key.key, MAX_KEY)),
                    _distribution(key),
                    _condition(key),
                    _value(key.given) if key.given is not None else None,
                ]
            )
            for key in search.keys
        ]
        columns = [
            Column("Setting", False),
            Column("Searched", False),
            Column("Applies", False),
            Column("Given", False),
        ]
        parts.append(table("The space", columns, rows))
    return parts


def difference_section(search: SearchFiles, model: type[Config]) -> list[Child]:
    """What the best settings change of the given ones."""
    if search.best_trial is None:
        return [el("p", "There are no best settings: no trial was measured.")]
    known = {setting.key: setting.description for setting in list_settings(model)}
    rows = [
        Row(
            [
                el("code", shorten(key, MAX_KEY)),
                _value(value),
                _value(search.given_at(key)),
                "" if _same(value, search.given_at(key)) else _ratio(value, search.given_at(key)),
                known.get(key, ""),
            ],
            class_="" if _same(value, search.given_at(key)) else "changed",
        )
        for key, value in sorted(search.best.items())
    ]
    if not rows:
        return [el("p", "The best settings are the given ones.")]
    columns = [
        Column("Setting", False),
        Column("Best", False),
        Column("Given", False),
        Column("Change", False),
        Column("Meaning", False, prose=True),
    ]
    return [
        el(
            "p",
            "best.yaml holds the best settings in full, given.yaml the given ones. They differ in "
            "nothing but this; whether the difference helps is what the fresh seeds say.",
        ),
        table("Best settings against the given ones", columns, rows),
    ]


def search_commands(search: SearchFiles) -> list[Child]:
    """To use what was found, to test it further, and to write this page."""
    folder, best = _quoted(search), _quoted(search, "best.yaml")
    run = shlex.quote(_beside(search, "best"))
    steps = [
        ("Write this page again", f"metagan report --search {folder}"),
    ]
    if search.best_trial is not None:
        trained = shlex.quote(str(search.path / "trials" / search.best_trial.id))
        steps = [
            ("Train with the best settings", f"metagan train -c {best} --run {run}"),
            ("Measure that run on test classes", f"metagan evaluate --run {run}"),
            (
                "Train the best settings with more fresh seeds, on the same validation targets",
                fresh_command(search, "best"),
            ),
            ("The same for the given settings", fresh_command(search, "given")),
            (
                "Measure the best trial's own weights on test classes",
                f"metagan evaluate --run {trained}",
            ),
            *steps,
        ]
    return [[el("h3", title), el("pre", el("code", command))] for title, command in steps]


def fresh_command(search: SearchFiles, which: str) -> str:
    """A search over nothing but further seeds of the "best" or the "given" settings."""
    seeds = [pair.seed for pair in search.pairs if pair.seed is not None]
    given = finite(search.given_at("seed"))
    first = max(seeds, default=int(given or 0) + 999) + 1
    wanted = max(3, len(seeds))
    space = f"{{seed: {{grid: {list(range(first, first + wanted))}}}}}"
    kept = {
        name: search.settings[name]
        for name in ("repetitions", "report_every", "workers_per_trial")
        if search.settings.get(name) is not None
    }
    words = [
        f"metagan tune -c {_quoted(search, which + '.yaml')}",
        f"--out {shlex.quote(_beside(search, f'{which}-seeds'))}",
        shlex.quote(f"tune.space={space}"),
        "tune.num_trials=1",
        "tune.scheduler=none",
        "tune.confirm_seeds=0",
        shlex.quote(f"tune.objective={search.objective}"),
        *(shlex.quote(f"tune.{name}={format_value(value)}") for name, value in kept.items()),
    ]
    if "seed" in search.best and given is not None and which == "best":
        # The seed of the settings names the targets, which are to be those of this search.
        words.append(f"seed={given:.0f}")
    return " ".join(words)


def _quoted(search: SearchFiles, file: str = "") -> str:
    return shlex.quote(str(search.path / file))


def _beside(search: SearchFiles, ending: str) -> str:
    return str(search.path.parent / f"{search.name}-{ending}")


def _setting(settings: Mapping[str, Any], name: str) -> str | None:
    return None if settings.get(name) is None else shorten(str(settings[name]), 40)


def _scheduler(settings: Mapping[str, Any]) -> str | None:
    name = _setting(settings, "scheduler")
    if name is None or name == "none":
        return None if name is None else "none: every trial is trained to the end"
    parts = [name]
    every = finite(settings.get("exchange_every"))
    share = finite(settings.get("exchange_fraction"))
    if name == "pbt" and every is not None and share is not None:
        parts.append(
            f"every {plural(int(every), 'outer step')} a trial among the worst {share:.0%} goes on "
            "from the weights of one of as many best, with changed settings"
        )
    if name in ("asha", "hyperband") and settings.get("reduction") is not None:
        parts.append(f"of {_setting(settings, 'reduction')} trials at a step one goes on")
    if name in ("asha", "median") and settings.get("grace_steps") is not None:
        parts.append(f"none is stopped before outer step {_setting(settings, 'grace_steps')}")
    return "; ".join(parts)


def _every(settings: Mapping[str, Any]) -> str | None:
    every = finite(settings.get("report_every"))
    return None if every is None else f"every {plural(int(every), 'outer step')}, and at the last"


def _distribution(key: SearchedKey) -> Child:
    if key.ends is not None:
        low, high = map(brief, key.ends)
        words = {
            "lograndint": "whole, logarithmic",
            "randint": "whole",
            "loguniform": "logarithmic",
        }
        return f"{low} to {high}" + (f", {words[key.kind]}" if key.kind in words else "")
    shown = shorten(", ".join(format_value(value) for value in key.values), _MAX_VALUE)
    return f"{'each of' if key.kind == 'grid' else 'one of'} {shown}"


def _condition(key: SearchedKey) -> Child:
    if not key.when:
        return "always"
    parts = [
        f"{other} is {' or '.join(format_value(value) for value in allowed)}"
        for other, allowed in key.when.items()
    ]
    return shorten(f"where {' and '.join(parts)}", _MAX_VALUE)


def _value(value: Any) -> Child:
    number = finite(value)
    if isinstance(value, float) and number is not None:
        return el("code", brief(number))
    return el("code", shorten(format_value(value), _MAX_VALUE))


def _same(one: Any, other: Any) -> bool:
    return format_value(one) == format_value(other)


def _ratio(value: Any, given: Any) -> str:
    after, before = finite(value), finite(given)
    if after is None or before is None or after <= 0 or before <= 0:
        return "changed"
    return f"\u00d7{SPACE}{brief(after / before, 3)}"
