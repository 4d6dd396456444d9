"""Texts and rows of the page about a search: the result, the space, trials, importance."""

import shlex
from collections.abc import Sequence
from typing import Any

from metagan.config import Config, list_settings
from metagan.report.importance import Importance
from metagan.report.search_load import MAX_KEY, RankedTrial, Search
from metagan.report.search_words import measure_of, outcome_of, status_line
from metagan.report.values import (
    SPACE,
    Row,
    brief,
    duration,
    finite,
    fixed,
    plural,
    shorten,
)
from metagan.search_document import Change, SearchedKey, Segment
from metagan.strict_yaml import format_value

_MAX_VALUE = 120


def tiles(search: Search) -> list[tuple[str, str, str, str]]:
    """Name, value, a few words more and "good" or "bad" of the main numbers."""
    outcome, measure, found = outcome_of(search), measure_of(search.objective), []
    if outcome.num_pairs:
        about = f"{measure.short}; mean of {plural(outcome.num_pairs, 'fresh seed')}"
        for name, value in (("Given settings", outcome.given), ("Best settings", outcome.best)):
            found.append((name, measure.number(value), about, ""))
        ends = "one seed: no interval"
        if outcome.difference is not None:
            low, high = (
                measure.change(end, unit=False)
                for end in (outcome.difference.low, outcome.difference.high)
            )
            ends = f"95{SPACE}% interval {low} to {high}"
        tone = {"better": "good", "worse": "bad"}.get(outcome.verdict, "")
        change = measure.change(outcome.change, unit=False)
        about = f"{ends}; {search.better} is better"
        found.append(("Best less given, paired", change, about, tone))
    seconds = search.document.seconds
    total = sum(value for value in seconds.values() if value is not None)
    if total:
        more = "fresh seeds included" if "confirm" in seconds else "without fresh seeds"
        more = "since it was last resumed" if search.document.resumed else more
        found.append(("The search took", duration(total), more, ""))
    return found


def confirm_command(search: Search) -> str:
    """Makes the comparison by fresh seeds that is missing; nothing where none is."""
    unconfirmed = outcome_of(search).verdict == "unconfirmed"
    if not (unconfirmed and search.confirm_seeds and not search.pairs):
        return ""
    return f"metagan tune -c FILE --out {_quoted(search)} --resume"


def confirmation(search: Search) -> list[Row]:
    """The comparison by fresh seeds, a row for each and their mean."""
    measure, outcome = measure_of(search.objective), outcome_of(search)
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
    if outcome.num_pairs > 1:
        means = [measure.number(outcome.given), measure.number(outcome.best)]
        change = measure.change(outcome.change, unit=False)
        rows.append(Row(["mean", *means, change], mark="first"))
    return rows


def facts(search: Search) -> list[tuple[str, str]]:
    """What was searched, and how."""
    settings = search.settings
    times = [
        f"{words} {duration(seconds)}"
        for name, words in (("trials", "trials"), ("confirm", "fresh seeds"))
        if (seconds := search.document.seconds.get(name)) is not None
    ]
    repetitions, every = finite(settings.get("repetitions")), finite(settings.get("report_every"))
    targets = f", mean of {plural(int(repetitions), 'validation target')}" if repetitions else ""
    return [
        (
            "Objective",
            f"{measure_of(search.objective).name} (tune.objective {search.objective}), "
            f"{search.better} is better{targets}",
        ),
        ("Trials", status_line(search).partition(": ")[2]),
        ("Searcher", _setting(search, "searcher")),
        ("Scheduler", _scheduler(search)),
        (
            "Measured",
            "" if every is None else f"every {plural(int(every), 'outer step')}, and at the last",
        ),
        ("Time", "; ".join(times) + "; since it was last resumed" * search.document.resumed),
    ]


def _setting(search: Search, name: str) -> str:
    value = search.settings.get(name)
    return "" if value is None else shorten(str(value), 40)


def _scheduler(search: Search) -> str:
    name, settings = _setting(search, "scheduler"), search.settings
    if name in ("", "none"):
        return name and "none: every trial is trained to the end"
    parts = [name]
    every, share = (finite(settings.get(f"exchange_{part}")) for part in ("every", "fraction"))
    if name == "pbt" and every is not None and share is not None:
        parts.append(
            f"every {plural(int(every), 'outer step')} a trial among the worst {share:.0%} goes on "
            "from the weights of one of as many best, with changed settings"
        )
    if name in ("asha", "hyperband") and settings.get("reduction") is not None:
        parts.append(f"of {_setting(search, 'reduction')} trials at a step one goes on")
    if name in ("asha", "median") and settings.get("grace_steps") is not None:
        parts.append(f"none is stopped before outer step {_setting(search, 'grace_steps')}")
    return "; ".join(parts)


def space(search: Search) -> list[Row]:
    """Every searched setting with what it was drawn from."""
    return [
        Row(
            [
                shorten(key.key, MAX_KEY),
                _distribution(key),
                _condition(key),
                _value(key.given) if key.given is not None else None,
            ]
        )
        for key in search.keys
    ]


def _distribution(key: SearchedKey) -> str:
    if key.ends is not None:
        low, high = map(brief, key.ends)
        words = {
            "lograndint": ", whole, logarithmic",
            "randint": ", whole",
            "loguniform": ", logarithmic",
        }
        return f"{low} to {high}{words.get(key.kind, '')}"
    shown = shorten(", ".join(format_value(value) for value in key.values), _MAX_VALUE)
    return f"{'each of' if key.kind == 'grid' else 'one of'} {shown}"


def _condition(key: SearchedKey) -> str:
    parts = [
        f"{other} is {' or '.join(format_value(value) for value in allowed)}"
        for other, allowed in key.when.items()
    ]
    return shorten(f"where {' and '.join(parts)}", _MAX_VALUE) if parts else "always"


def differences(search: Search, model: type[Config]) -> list[Row]:
    """What the best settings change of the given ones."""
    known = {setting.key: setting.description for setting in list_settings(model)}
    rows = []
    for key, value in sorted(search.document.best.items()):
        given = search.given_at(key)
        is_same = format_value(value) == format_value(given)
        ratio = "" if is_same else _ratio(value, given)
        cells = [shorten(key, MAX_KEY), _value(value), _value(given), ratio, known.get(key, "")]
        rows.append(Row(cells, mark="" if is_same else "changed"))
    return rows


def _ratio(value: Any, given: Any) -> str:
    after, before = finite(value), finite(given)
    if after is None or before is None or after <= 0 or before <= 0:
        return "changed"
    return f"\u00d7{SPACE}{brief(after / before, 3)}"


def key_columns(search: Search) -> list[tuple[str, str]]:
    """A column for each searched setting."""
    return [(shorten(key.key, MAX_KEY), "num") for key in search.keys]


def other_metrics(search: Search) -> list[str]:
    """What was measured beside the objective."""
    found = {name for trial in search.trials for name in trial.metrics}
    return sorted(found - {search.objective})


def trials(search: Search) -> list[Row]:
    """Every trial in the order of the ranking."""
    others = other_metrics(search)
    return [
        Row(
            [
                str(trial.rank),
                _id(trial.id),
                measure_of(search.objective).number(trial.value),
                f"{trial.step:,}",
                _end(trial),
                None if trial.seconds is None else duration(trial.seconds),
                *_sample(search, trial),
                *(measure_of(name).number(trial.metrics.get(name)) for name in others),
                str(trial.order),
            ],
            mark="best" if trial is search.best_trial else "",
        )
        for trial in search.trials
    ]


def _end(trial: RankedTrial) -> str:
    """How it ended and why, and how often and why it was started again."""
    text = shorten(trial.status, 20) + (f": {shorten(trial.error, 200)}" if trial.error else "")
    if trial.retries:
        times = plural(len(trial.retries), "time")
        text += f" (started again {times}: {shorten(trial.retries[-1].reason, 200)})"
    return text


def front(search: Search) -> list[Row]:
    """The trials on the front, cheapest first."""
    return [
        Row(
            [
                _id(trial.id),
                duration(trial.seconds),
                measure_of(search.objective).number(trial.value),
                f"{trial.step:,}",
                shorten(trial.status, 20),
                str(trial.rank),
            ]
        )
        for trial in search.front
    ]


def importance_rows(found: Sequence[Importance]) -> list[Row]:
    """Each setting's association with the ranking."""
    return [
        Row(
            [
                shorten(i.key, MAX_KEY),
                fixed(i.strength, 2),
                _direction(i),
                None if i.p is None else fixed(i.p, 3),
                str(i.num_trials),
            ]
        )
        for i in found
    ]


def _direction(importance: Importance) -> str:
    if importance.strength is None:
        return importance.why_not
    if not importance.is_ordered:
        return "between values without an order"
    words = {1: "larger values did better", -1: "smaller values did better"}
    return words.get(importance.direction, "neither")


def changes(search: Search) -> list[Row]:
    """Where a trial went on from another one's weights, in order of the trials' start."""
    return [
        Row([_id(trial.id), f"{change.step:,}", _id(change.donor), *_sample(search, change)])
        for trial in sorted(search.trials, key=lambda trial: trial.order)
        for change in trial.changes
    ]


def schedule(search: Search) -> list[Row]:
    """What the best trial's weights were trained with, from the beginning, where that changed."""
    best = search.best_trial
    return [
        Row([f"{part.step:,}", _id(part.trial), *_sample(search, part)])
        for part in (best.lineage if best is not None and len(best.lineage) > 1 else ())
    ]


def schedule_seeds(search: Search) -> list[Row]:
    """What the schedule gave with fresh seeds, beside its last settings alone."""
    measure = measure_of(search.objective)
    return [
        Row(
            [
                str(number) if pair.seed is None else str(pair.seed),
                *(measure.number(value) for value in (pair.given, pair.best, pair.schedule)),
            ]
        )
        for number, pair in enumerate(search.pairs, 1)
        if any(pair.schedule is not None for pair in search.pairs)
    ]


def _sample(search: Search, part: RankedTrial | Change | Segment) -> list[str | None]:
    """A cell for each searched setting; None for one that did not apply."""
    return [
        _value(part.sample[key.key], 3, 60) if key.key in part.sample else None
        for key in search.keys
    ]


def _value(value: Any, digits: int = 4, length: int = _MAX_VALUE) -> str:
    number = finite(value)
    if number is not None and isinstance(value, float):
        return brief(number, digits)
    return shorten(format_value(value), length)


def _id(trial: str) -> str:
    return shorten(trial, 24)


def commands(search: Search) -> list[tuple[str, str]]:
    """To use what was found, to test it further, and to write this page."""
    steps = [("Write this page again", f"metagan report --search {_quoted(search)}")]
    if search.best_trial is None:
        return steps
    run = shlex.quote(_beside(search, "best"))
    trained = shlex.quote(str(search.path / "trials" / search.best_trial.id))
    best = _quoted(search, "best.yaml")
    return [
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


def fresh_command(search: Search, which: str) -> str:
    """A search over nothing but further seeds of the "best" or the "given" settings."""
    seeds = [pair.seed for pair in search.pairs if pair.seed is not None]
    given = finite(search.given_at("seed"))
    first = max(seeds, default=int(given or 0) + 999) + 1
    space = f"{{seed: {{grid: {list(range(first, first + max(3, len(seeds))))}}}}}"
    words = [
        f"metagan tune -c {_quoted(search, which + '.yaml')}",
        f"--out {shlex.quote(_beside(search, f'{which}-seeds'))}",
        shlex.quote(f"tune.space={space}"),
        "tune.num_trials=1",
        "tune.scheduler=none",
        "tune.confirm_seeds=0",
        shlex.quote(f"tune.objective={search.objective}"),
        *(
            shlex.quote(f"tune.{name}={format_value(search.settings[name])}")
            for name in ("repetitions", "report_every", "workers_per_trial")
            if search.settings.get(name) is not None
        ),
    ]
    if "seed" in search.document.best and given is not None and which == "best":
        # The seed of the settings names the targets, which are to be those of this search.
        words.append(f"seed={given:.0f}")
    return " ".join(words)


def _quoted(search: Search, file: str = "") -> str:
    return shlex.quote(str(search.path / file))


def _beside(search: Search, ending: str) -> str:
    return str(search.path.parent / f"{search.name}-{ending}")
