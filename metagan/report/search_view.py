"""Words and commands of the page about a search."""

import shlex
from collections.abc import Mapping
from typing import Any

from metagan.config.yaml import format_value
from metagan.report.importance import Importance
from metagan.report.search_load import MAX_KEY, Search
from metagan.report.search_words import measure_of, outcome_of
from metagan.report.values import SPACE, brief, duration, finite, plural, shorten
from metagan.runs.search_document import SearchedKey, Trial

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
    seconds = search.seconds
    total = sum(value for value in seconds.values() if value is not None)
    if total:
        more = "fresh seeds included" if "confirm" in seconds else "without fresh seeds"
        more = "since it was last resumed" if search.resumed else more
        found.append(("The search took", duration(total), more, ""))
    return found


def confirm_command(search: Search) -> str:
    """Makes the comparison by fresh seeds that is missing; nothing where none is."""
    unconfirmed = outcome_of(search).verdict == "unconfirmed"
    if not (unconfirmed and search.confirm_seeds and not search.pairs):
        return ""
    return f"metagan tune -c FILE --out {_quoted(search)} --resume"


def scheduler(search: Search) -> str:
    """Description of how trials were stopped or changed on the way."""
    settings = search.settings
    name = shorten(str(settings.get("scheduler") or ""), 40)
    if name in ("", "none"):
        return name and "none: every trial is trained to the end"
    parts = [name]
    every, share = (finite(settings.get(f"exchange_{part}")) for part in ("every", "fraction"))
    if name == "pbt" and every is not None and share is not None:
        parts.append(
            f"every {plural(int(every), 'outer step')} a trial among the worst {share:.0%} "
            "continues from the weights of one of as many best, with changed settings"
        )
    if name in ("asha", "hyperband") and settings.get("reduction") is not None:
        parts.append(f"of {shorten(str(settings['reduction']), 40)} trials at a step one continues")
    if name in ("asha", "median") and settings.get("grace_steps") is not None:
        steps = shorten(str(settings["grace_steps"]), 40)
        parts.append(f"none is stopped before outer step {steps}")
    return "; ".join(parts)


def drawn_from(key: SearchedKey) -> str:
    """The values of a searched setting."""
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


def condition(key: SearchedKey) -> str:
    """The cases in which a setting applies."""
    parts = [
        f"{other} is {' or '.join(format_value(value) for value in allowed)}"
        for other, allowed in key.when.items()
    ]
    return shorten(f"where {' and '.join(parts)}", _MAX_VALUE) if parts else "always"


def ratio(value: Any, given: Any) -> str:
    """Ratio of a value to the given one; empty where they are the same."""
    if format_value(value) == format_value(given):
        return ""
    after, before = finite(value), finite(given)
    if after is None or before is None or after <= 0 or before <= 0:
        return "changed"
    return f"\u00d7{SPACE}{brief(after / before, 3)}"


def sample(search: Search, values: Mapping[str, Any]) -> list[str | None]:
    """The value of each searched setting; None for one that did not apply."""
    return [shown(values[key.key], 3, 60) if key.key in values else None for key in search.space]


def key_columns(search: Search) -> list[tuple[str, str]]:
    """A column for each searched setting."""
    return [(shorten(key.key, MAX_KEY), "num") for key in search.space]


def other_columns(search: Search) -> list[tuple[str, str]]:
    """A column for each measurement beside the objective."""
    return [(measure_of(name).short, "num") for name in _others(search)]


def others(search: Search, trial: Trial) -> list[str]:
    """Cells of a trial in `other_columns`."""
    return [measure_of(name).number(trial.metrics.get(name)) for name in _others(search)]


def _others(search: Search) -> list[str]:
    found = {name for trial in search.trials for name in trial.metrics}
    return sorted(found - {search.objective})


def changes(search: Search) -> list[dict[str, Any]]:
    """Changes of trials to another trial's weights, in order of the trials' start."""
    return [
        {"trial": trial.id, **dict(change)}
        for trial in sorted(search.trials, key=lambda trial: trial.order)
        for change in trial.changes
    ]


def stages(search: Search) -> str:
    """Time that each part of the search took."""
    names = {"trials": "trials", "confirm": "fresh seeds"}
    seconds = {words: search.seconds.get(name) for name, words in names.items()}
    return "; ".join(f"{words} {duration(s)}" for words, s in seconds.items() if s is not None)


def shown(value: Any, digits: int = 4, length: int = _MAX_VALUE) -> str:
    """A setting's value."""
    number = finite(value)
    if number is not None and isinstance(value, float):
        return brief(number, digits)
    return shorten(format_value(value), length)


def end(trial: Trial) -> str:
    """End of a trial and its reason, and how often and why it was started again."""
    text = shorten(trial.status, 20) + (f": {shorten(trial.error, 200)}" if trial.error else "")
    if trial.retries:
        times = plural(len(trial.retries), "time")
        text += f" (started again {times}: {shorten(trial.retries[-1].reason, 200)})"
    return text


def direction(importance: Importance) -> str:
    """Direction in which values of a setting go along with better trials."""
    if importance.strength is None:
        return importance.why_not
    if not importance.is_ordered:
        return "between values without an order"
    words = {1: "larger values did better", -1: "smaller values did better"}
    return words.get(importance.direction, "neither")


def commands(search: Search) -> list[tuple[str, str]]:
    """Commands that use the result, test it further, and write this page."""
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
    if "seed" in search.best and given is not None and which == "best":
        # The seed of the settings names the targets, which are to be those of this search.
        words.append(f"seed={given:.0f}")
    return " ".join(words)


def _quoted(search: Search, file: str = "") -> str:
    return shlex.quote(str(search.path / file))


def _beside(search: Search, ending: str) -> str:
    return str(search.path.parent / f"{search.name}-{ending}")
