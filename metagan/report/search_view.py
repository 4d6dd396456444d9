"""Tables, short words and commands of the page about a search."""

from collections.abc import Mapping, Sequence
from typing import Any

from metagan.config.yaml import format_value
from metagan.report.importance import Importance
from metagan.report.search_load import MAX_ID, MAX_KEY, Search, measure_of
from metagan.report.search_words import outcome_of
from metagan.report.values import SPACE, brief, duration, finite, fixed, plural, shorten
from metagan.runs.search_document import SearchedKey, Trial
from metagan.words import command_line

Rows = list[list[Any]]
Columns = list[tuple[str, str]]

_MAX_VALUE = 120


def fresh_seeds(search: Search) -> tuple[Columns, Rows]:
    """Columns and rows of the fresh seeds: given and best settings, difference, any schedule."""
    number = search.measure.number
    has_schedule = any(pair.schedule is not None for pair in search.pairs)
    names = ["Given settings", "Best settings", "Difference", *["Schedule"] * has_schedule]
    rows: Rows = [
        [place if pair.seed is None else pair.seed, number(pair.given), number(pair.best),
         number(pair.change, signed=True), *[number(pair.schedule)] * has_schedule]
        for place, pair in enumerate(search.pairs, 1)
    ]  # fmt: skip
    return [("Seed", "text"), *((name, "num") for name in names)], rows


def differences(search: Search, meanings: Mapping[str, str]) -> Rows:
    """The best settings beside the given ones."""
    return [
        [shorten(key, MAX_KEY), _shown(value), _shown(given), _ratio(value, given),
         meanings.get(key, "")]
        for key, value in sorted(search.best.items())
        for given in [search.given_at(key)]
    ]  # fmt: skip


def space(search: Search) -> Rows:
    """Each searched setting: its values, when it applies, and its value before the search."""
    return [
        [shorten(key.key, MAX_KEY), _drawn_from(key), _condition(key),
         None if key.given is None else _shown(key.given)]
        for key in search.space
    ]  # fmt: skip


def associations(found: Sequence[Importance]) -> Rows:
    """How strongly each setting goes along with the ranking, and chance."""
    return [
        [shorten(one.key, MAX_KEY), fixed(one.strength, 2), _direction(one), fixed(one.p, 3),
         one.num_trials]
        for one in found
    ]  # fmt: skip


def lineage(search: Search) -> Rows:
    """Settings that the weights of the best trial were trained with, from the beginning."""
    parts = search.best_trial.lineage if search.best_trial else ()
    return [[f"{p.step:,}", shorten(p.trial, MAX_ID), *_sample(search, p.sample)] for p in parts]


def changes(search: Search) -> Rows:
    """Changes of trials to another trial's weights, in order of the trials' start."""
    return [
        [shorten(trial.id, MAX_ID), f"{change.step:,}", shorten(change.donor, MAX_ID),
         *_sample(search, change.sample)]
        for trial in sorted(search.trials, key=lambda trial: trial.order)
        for change in trial.changes
    ]  # fmt: skip


def trials(search: Search) -> tuple[Columns, Rows]:
    """Columns and rows of all trials: their end, their settings, all that was measured."""
    measure = search.measure
    others = sorted({name for t in search.trials for name in t.metrics} - {search.objective})
    has_words = any(trial.error or trial.retries for trial in search.trials)
    columns = [
        ("Rank", "text"), ("Trial", "id"), (measure.short, "num"), ("Steps", "num"),
        ("Ended", "prose" if has_words else "text"), ("Time", "num"), *key_columns(search),
        *((measure_of(name).short, "num") for name in others), ("Started as", "num"),
    ]  # fmt: skip
    rows: Rows = [
        [trial.rank, shorten(trial.id, MAX_ID), measure.number(trial.value), f"{trial.step:,}",
         _end(trial), duration(trial.seconds), *_sample(search, trial.sample),
         *(measure_of(name).number(trial.metrics.get(name)) for name in others), trial.order]
        for trial in search.trials
    ]  # fmt: skip
    return columns, rows


def key_columns(search: Search) -> Columns:
    """A column for each searched setting."""
    return [(shorten(key.key, MAX_KEY), "num") for key in search.space]


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


def stages(search: Search) -> str:
    """Time that each part of the search took."""
    names = {"trials": "trials", "confirm": "fresh seeds"}
    seconds = {words: search.seconds.get(name) for name, words in names.items()}
    return "; ".join(f"{words} {duration(s)}" for words, s in seconds.items() if s is not None)


def confirm_command(search: Search) -> str:
    """Makes the comparison by fresh seeds that is missing; nothing where none is."""
    unconfirmed = outcome_of(search).verdict == "unconfirmed"
    if not (unconfirmed and search.confirm_seeds and not search.pairs):
        return ""
    return command_line("tune", "-c", "FILE", "--out", search.path, "--resume")


def commands(search: Search) -> list[tuple[str, str]]:
    """Commands that use the result, test it further, and write this page."""
    again = ("Write this page again", command_line("report", "--search", search.path))
    if search.best_trial is None:
        return [again]
    best, run = search.path / "best.yaml", _beside(search, "best")
    trained = search.path / "trials" / search.best_trial.id
    evaluate = ("evaluate", "--run")
    return [
        ("Train with the best settings", command_line("train", "-c", best, "--run", run)),
        ("Measure that run on test classes", command_line(*evaluate, run)),
        (
            "Train the best settings with more fresh seeds, on the same validation targets",
            fresh_command(search, "best"),
        ),
        ("The same for the given settings", fresh_command(search, "given")),
        (
            "Measure the best trial's own weights on test classes",
            command_line(*evaluate, trained),
        ),
        again,
    ]


def fresh_command(search: Search, which: str) -> str:
    """A search over nothing but further seeds of the "best" or the "given" settings."""
    seeds = [pair.seed for pair in search.pairs if pair.seed is not None]
    given = finite(search.given_at("seed"))
    first = max(seeds, default=int(given or 0) + 999) + 1
    grid = list(range(first, first + max(3, len(seeds))))
    settings: dict[str, Any] = {
        "space": f"{{seed: {{grid: {grid}}}}}",
        "num_trials": 1,
        "scheduler": "none",
        "confirm_seeds": 0,
        "objective": search.objective,
    }
    for name in ("repetitions", "report_every", "workers_per_trial"):
        if search.settings.get(name) is not None:
            settings[name] = format_value(search.settings[name])
    # The seed of the settings names the targets, which are to be those of this search.
    keeps_targets = "seed" in search.best and given is not None and which == "best"
    return command_line(
        "tune",
        *("-c", search.path / f"{which}.yaml"),
        *("--out", _beside(search, f"{which}-seeds")),
        *(f"tune.{name}={value}" for name, value in settings.items()),
        *([f"seed={given:.0f}"] if keeps_targets else []),
    )


def _drawn_from(key: SearchedKey) -> str:
    """The values of a searched setting."""
    if key.ends is not None:
        low, high = map(brief, key.ends)
        whole = ", whole" * key.kind.endswith("randint")
        return f"{low} to {high}{whole}{', logarithmic' * key.is_log}"
    shown = shorten(", ".join(format_value(value) for value in key.values), _MAX_VALUE)
    return f"{'each of' if key.kind == 'grid' else 'one of'} {shown}"


def _condition(key: SearchedKey) -> str:
    """The cases in which a setting applies."""
    parts = [
        f"{other} is {' or '.join(format_value(value) for value in allowed)}"
        for other, allowed in key.when.items()
    ]
    return shorten(f"where {' and '.join(parts)}", _MAX_VALUE) if parts else "always"


def _ratio(value: Any, given: Any) -> str:
    """Ratio of a value to the given one; empty where they are the same."""
    if format_value(value) == format_value(given):
        return ""
    after, before = finite(value), finite(given)
    if after is None or before is None or after <= 0 or before <= 0:
        return "changed"
    return f"\u00d7{SPACE}{brief(after / before, 3)}"


def _sample(search: Search, values: Mapping[str, Any]) -> list[str | None]:
    """The value of each searched setting; None for one that did not apply."""
    return [_shown(values[key.key], 3, 60) if key.key in values else None for key in search.space]


def _shown(value: Any, digits: int = 4, length: int = _MAX_VALUE) -> str:
    """A setting's value."""
    number = finite(value)
    if number is not None and isinstance(value, float):
        return brief(number, digits)
    return shorten(format_value(value), length)


def _end(trial: Trial) -> str:
    """End of a trial and its reason, and how often and why it was started again."""
    text = shorten(trial.status, 20) + (f": {shorten(trial.error, 200)}" if trial.error else "")
    if trial.retries:
        times = plural(len(trial.retries), "time")
        text += f" (started again {times}: {shorten(trial.retries[-1].reason, 200)})"
    return text


def _direction(importance: Importance) -> str:
    """Direction in which values of a setting go along with better trials."""
    if importance.strength is None:
        return importance.why_not
    if not importance.is_ordered:
        return "between values without an order"
    words = {1: "larger values did better", -1: "smaller values did better"}
    return words.get(importance.direction, "neither")


def _beside(search: Search, ending: str) -> str:
    return str(search.path.parent / f"{search.name}-{ending}")
