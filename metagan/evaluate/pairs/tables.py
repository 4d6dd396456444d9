"""Tables of what was measured of pairs: choices on validation, numbers on test.

Every arm's candidate is chosen on validation domains, apart for each number of shots and each
measure, and so is the best arm without a generator. Domains are what differs: intervals are over
them, or over repetitions where there is only one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from metagan.evaluate.pairs.items import NOT_ADAPTED, PLAIN, Errors, PairItem
from metagan.evaluate.pairs.measures import UNSEEN, best, gain
from metagan.metrics.intervals import interval

Results = Sequence[tuple[PairItem, Errors]]
Chosen = dict[tuple[int, str, str], str]
"""Candidate by shots, measure and arm."""
Unit = tuple[str, int]


def choose_candidates(results: Results) -> Chosen:
    """The candidate with the best mean over validation domains, of those that never diverged."""
    values: dict[tuple[int, str, str], dict[str, list[tuple[Unit, float]]]] = {}
    for item, arm, candidate, measure, value in _flat(results):
        key = item.shots, measure, arm
        found = values.setdefault(key, {}).setdefault(candidate, [])
        found.append(((item.domain, item.repetition), value))
    chosen: Chosen = {}
    for (shots, measure, arm), candidates in values.items():
        most = max(len(found) for found in candidates.values())
        whole = {
            name: fmean(_by_domain(found).values())
            for name, found in candidates.items()
            if len(found) == most
        }
        chosen[shots, measure, arm] = best(measure, whole)
    return chosen


def _flat(results: Results) -> Iterator[tuple[PairItem, str, str, str, float]]:
    """Item, arm, candidate, measure and value."""
    for item, found in results:
        for arm, candidates in found.items():
            for candidate, measured in candidates.items():
                for measure, value in measured.items():
                    yield item, arm, candidate, measure, value


def _by_domain(found: Sequence[tuple[Unit, float]]) -> dict[str, float]:
    """Means over the repetitions of each domain."""
    values: dict[str, list[float]] = {}
    for (domain, _), value in found:
        values.setdefault(domain, []).append(value)
    return {domain: fmean(several) for domain, several in values.items()}


def by_unit(found: Sequence[tuple[Unit, float]], *, several: bool) -> dict[str, float]:
    """The numbers that intervals are over: of several domains by domain, of one by repetition."""
    if several:
        return _by_domain(found)
    return {f"repetition {repetition}": value for (_, repetition), value in found}


def chosen_values(results: Results, chosen: Chosen) -> dict[tuple[int, str, str], dict[str, float]]:
    """The numbers of every arm with what was chosen for it, by domain.

    Of a single domain they are by repetition. Where adaptation diverged on a target, it is taken as
    it is when it is not adapted: that is all that a user then has.
    """
    found: dict[tuple[int, str, str], dict[Unit, dict[str, float]]] = {}
    for item, arm, candidate, measure, value in _flat(results):
        units = found.setdefault((item.shots, measure, arm), {})
        units.setdefault((item.domain, item.repetition), {})[candidate] = value
    several = len({item.domain for item, _ in results}) > 1
    table = {}
    for key in (key for key in found if key in chosen):
        picked = [
            (unit, number)
            for unit, tried in found[key].items()
            if (number := tried.get(chosen[key], tried.get("none"))) is not None
        ]
        table[key] = by_unit(picked, several=several)
    return table


@dataclass(frozen=True)
class PairGate:
    """The decision for one number of shots, made on validation domains alone.

    Attributes:
        opened: Whether the run's answers are used.
        best_plain_arm: The best arm that needs no generator.
        gain: How much better the run did than that one, mean over domains.
        stderr: Standard error of that.
    """

    opened: bool
    best_plain_arm: str
    gain: float
    stderr: float


def decide(
    values: Mapping[tuple[int, str, str], Mapping[str, float]],
    shots: int,
    measure: str,
    plain: Sequence[str],
) -> PairGate:
    """Use the run's answers if they gained more than their standard error on validation.

    Args:
        values: From `chosen_values`, of validation.
        shots: The number of shots.
        measure: What is gone by.
        plain: The arms that need no generator.
    """
    means = {arm: fmean(values[shots, measure, arm].values()) for arm in plain}
    strongest = best(measure, means)
    ours, theirs = values[shots, measure, "run"], values[shots, measure, strongest]
    gains = [gain(measure, ours[unit], theirs[unit]) for unit in theirs]
    mean = fmean(gains)
    error = stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
    return PairGate(mean > error, strongest, mean, error)


def arm_tables(
    values: Mapping[tuple[int, str, str], Mapping[str, float]],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Intervals of all arms, and of the run less each other arm: {shots: {measure: {name: ..}}}."""
    arms: dict[str, Any] = {}
    differences: dict[str, Any] = {}
    for (shots, measure, arm), found in values.items():
        entry = arms.setdefault(str(shots), {}).setdefault(measure, {})
        entry[arm] = estimate(list(found.values()))
        ours = values.get((shots, measure, "run"))
        if arm == "run" or ours is None:
            continue
        pairs = [ours[unit] - found[unit] for unit in found if unit in ours]
        entry = differences.setdefault(str(shots), {}).setdefault(measure, {})
        entry[f"run - {arm}"] = estimate(pairs)
    return arms, differences


def estimate(values: Sequence[float]) -> dict[str, Any]:
    """A mean with its 95 % interval; of one value without."""
    if len(values) > 1:
        return interval(values).to_json()
    return {"mean": values[0], "low": None, "high": None, "seeds": 1}


def measures_of(results: Results) -> list[str]:
    """Names of all measures, those of unseen labels last."""
    names = dict.fromkeys(measure for *_, measure, _ in _flat(results))
    return sorted(names, key=lambda name: name.endswith(UNSEEN))


def bounded(found: Mapping[str, Any], *, signed: bool = False) -> str:
    """An estimate in words: its mean, and its interval if it has one."""
    form = "+.4f" if signed else ".4f"
    if found["low"] is None:
        return f"{found['mean']:{form}}"
    return f"{found['mean']:{form}} [{found['low']:{form}}, {found['high']:{form}}]"


def plain_names(results: Results) -> list[str]:
    """The arms that need no generator."""
    return list(dict.fromkeys(arm for item, found in results if item.who == PLAIN for arm in found))


def wanted(chosen: Chosen, shots: int, who: str, plain: Sequence[str]) -> dict[str, Any]:
    """Candidates by arm that a test item measures."""
    mine = plain if who == PLAIN else (who, who + NOT_ADAPTED)
    found: dict[str, set[str]] = {}
    for (number, _, arm), candidate in chosen.items():
        if number == shots and arm in mine:
            # What stands in where adaptation diverges.
            found.setdefault(arm, set() if who == PLAIN else {"none"}).add(candidate)
    return {arm: tuple(sorted(names)) for arm, names in found.items()}
