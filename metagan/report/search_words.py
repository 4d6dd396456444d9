"""The result of a search in plain words: the comparison by fresh seeds, never the search's maximum.

The best of many noisy values flatters itself, so what the search itself measured says nothing of
how much better the best settings are.
"""

from dataclasses import dataclass
from typing import Literal

from metagan.metrics.intervals import Interval, paired_interval
from metagan.report.search_load import ENDS, Search
from metagan.report.values import SPACE, plural

Verdict = Literal["better", "worse", "unclear", "one seed", "unconfirmed", "failed"]


@dataclass(frozen=True)
class Outcome:
    """The comparison by fresh seeds: means over the seeds with which both trainings were measured.

    With `num_lost` further seeds one of them failed. `difference` is `change`, best less given,
    with its interval; None with fewer than two pairs.
    """

    verdict: Verdict
    num_pairs: int = 0
    num_lost: int = 0
    best: float | None = None
    given: float | None = None
    change: float | None = None
    difference: Interval | None = None


def outcome_of(search: Search) -> Outcome:
    """Outcome of the comparison by fresh seeds."""
    if search.best_trial is None:
        return Outcome("failed")
    pairs = [
        (pair.best, pair.given)
        for pair in search.pairs
        if pair.best is not None and pair.given is not None
    ]
    lost = len(search.pairs) - len(pairs)
    if not pairs:
        return Outcome("unconfirmed", num_lost=lost)
    best, given = ([pair[i] for pair in pairs] for i in (0, 1))
    means = sum(best) / len(best), sum(given) / len(given)
    # Zero where every pair is equal, which the difference of the means may miss by rounding.
    change = sum(b - g for b, g in pairs) / len(pairs)
    if len(pairs) == 1:
        return Outcome("one seed", 1, lost, *means, change)
    difference = paired_interval(best, given)
    ends = sorted((search.sign * difference.low, search.sign * difference.high))
    verdict: Verdict = "better" if ends[0] > 0 else "worse" if ends[1] < 0 else "unclear"
    return Outcome(verdict, len(pairs), lost, *means, change, difference)


def headline(search: Search) -> str:
    """The result in a sentence or two."""
    outcome = outcome_of(search)
    if outcome.verdict == "failed":
        number = len(search.trials)
        failed = "The only trial failed" if number == 1 else f"All {number} trials failed"
        why = failed if number else "The search holds no trial"
        return f"{why}: no settings can be recommended."
    if outcome.verdict == "unconfirmed":
        return f"Whether the best settings found beat the given ones is not known: {_why(search)}."
    return f"{_claim(search, outcome)}: {_numbers(search, outcome)}."


def advice(search: Search, *, commands: str = "below") -> str:
    """Advice on a search's result; `commands` says where to find those for more fresh seeds."""
    outcome = outcome_of(search)
    lost = ""
    if outcome.num_lost and outcome.num_pairs:
        seeds = plural(outcome.num_lost, "further seed")
        lost = f" With {seeds} one of the two trainings failed; neither counts."
    return {
        "better": "The settings in best.yaml are worth using.",
        "worse": "Keep the settings that were given: the search found none that are better.",
        "unclear": "There is no evidence for leaving the settings that were given; more fresh "
        f"seeds ({commands}) narrow the interval.",
        "one seed": f"More fresh seeds ({commands}) are needed before either is preferred.",
        "unconfirmed": "The search's own measurements do not settle it: the best of many noisy "
        "values is too good by chance.",
        "failed": "The table of trials has the reasons.",
    }[outcome.verdict] + lost


def _why(search: Search) -> str:
    if search.pairs:
        return "with every fresh seed one of the two trainings failed"
    if search.confirm_seeds == 0:
        return "no fresh seeds were trained (tune.confirm_seeds is 0)"
    return "they have not been trained with fresh seeds yet"


def _claim(search: Search, outcome: Outcome) -> str:
    if outcome.verdict in ("better", "worse"):
        how: str = outcome.verdict
    elif search.sign * (outcome.change or 0.0) <= 0:
        how = "not better"
    elif outcome.verdict == "one seed":
        return "Whether the best settings found are better than those given is not known yet"
    else:
        how = "not measurably better"
    return f"The best settings found are {how} than those given"


def _numbers(search: Search, outcome: Outcome) -> str:
    measure = search.measure
    seeds = "one fresh seed" if outcome.num_pairs == 1 else f"{outcome.num_pairs} fresh seeds"
    smaller = "" if search.sign > 0 else "; smaller is better"
    text = (
        f"trained with {seeds} each, the {measure.name} is {measure.text(outcome.best)} with the "
        f"best and {measure.text(outcome.given)} with the given settings"
    )
    if outcome.difference is None:
        return (
            f"{text} (difference {measure.change(outcome.change)}{smaller}). One seed has "
            "no interval, so it is weak evidence"
        )
    low, high = (
        measure.number(end, signed=True)
        for end in (outcome.difference.low, outcome.difference.high)
    )
    around = ", which includes zero" if outcome.verdict == "unclear" else ""
    return (
        f"{text} (difference {measure.change(outcome.difference.mean)}, paired 95{SPACE}% interval "
        f"{low} to {high}{around}{smaller})"
    )


def status_line(search: Search) -> str:
    """Number of trials, and how they ended."""
    ends = [trial.status for trial in search.trials]
    parts = [f"{ends.count(end)} {text}" for end, text in ENDS.items() if end in ends]
    listed = f" ({', '.join(parts)})" if parts else ""
    return f"Report of a search: {plural(len(ends), 'trial')}{listed}"
