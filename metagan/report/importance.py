"""Strength of the relation between each searched setting and the ranking of trials.

With the few trials of a search a fitted model would explain noise, so this is the simplest honest
measure: an association of ranks, beside how often shuffled trials show one that is as strong.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from metagan.config.yaml import format_value
from metagan.report.search_load import Search
from metagan.report.values import finite
from metagan.runs.search_document import SearchedKey, Trial

MIN_TRIALS = 5
NUM_SHUFFLES = 2000
# Numbers, but not an order.
_NAMES = frozenset({"seed"})

Ranks = NDArray[np.float64]


@dataclass(frozen=True)
class Importance:
    """One searched setting, and the measured trials to which it applied.

    Attributes:
        strength: From 0 to 1: Spearman's |rho| where values are numbers in an order, else the
            square root of the share of the ranks' variance that lies between the values; None
            where it cannot be told, and `why_not` says why.
        direction: 1 if trials with larger values did better, -1 if worse; 0 where not ordered.
        p: Share of shuffles that are at least as strong.
    """

    key: str
    num_trials: int
    is_ordered: bool
    strength: float | None = None
    direction: int = 0
    p: float | None = None
    why_not: str = ""


def importances(search: Search) -> list[Importance]:
    """Every searched setting, the strongest first."""
    found = [_importance(key, search) for key in search.space]
    return sorted(found, key=lambda i: (i.strength is None, -(i.strength or 0.0), i.key))


def categories(key: SearchedKey, trials: Sequence[Trial]) -> list[str]:
    """Values that a setting could take, and any others that trials had."""
    values = [*key.values, *(t.sample[key.key] for t in trials if key.key in t.sample)]
    return list(dict.fromkeys(format_value(value) for value in values)) or ["?"]


def _importance(key: SearchedKey, search: Search) -> Importance:
    trials = [t for t in search.measured if t.status != "failed" and key.key in t.sample]
    values = [t.sample[key.key] for t in trials]
    is_ordered = key.key not in _NAMES and all(finite(value) is not None for value in values)
    found = Importance(key.key, len(trials), is_ordered)
    if len(trials) < MIN_TRIALS:
        return replace(found, why_not=f"fewer than {MIN_TRIALS} trials")
    if len({format_value(value) for value in values}) < 2:
        return replace(found, why_not="all trials have the same value")
    # The best has the largest rank: by steps first, then by the objective.
    reached = [(t.step, search.sign * (t.value or 0.0)) for t in trials]
    order = sorted(set(reached))
    response = rankdata([order.index(result) for result in reached])
    if response.min() == response.max():
        return replace(found, why_not="all trials did equally well")
    rng = np.random.default_rng(0)
    shuffled = response[np.argsort(rng.random((NUM_SHUFFLES, len(trials))), axis=1)]
    both = np.vstack([response, shuffled])
    signed = _spearman(values, both) if is_ordered else _between(key, trials, both)
    strengths = np.abs(signed)
    # A shuffle that is as strong must not miss it by a rounding error.
    as_strong = int((strengths[1:] >= strengths[0] - 1e-12).sum())
    return replace(
        found,
        strength=float(strengths[0]),
        direction=int(np.sign(signed[0])) if is_ordered else 0,
        p=(1 + as_strong) / (1 + NUM_SHUFFLES),
    )


def _spearman(values: Sequence[Any], responses: Ranks) -> Ranks:
    """Correlation of the values' ranks with each row of responses, (R,)."""
    x = rankdata([float(value) for value in values])
    x = x - x.mean()
    y = responses - responses.mean(axis=1, keepdims=True)
    rho: Ranks = (y @ x) / np.sqrt((x @ x) * (y * y).sum(axis=1))
    return rho


def _between(key: SearchedKey, trials: Sequence[Trial], responses: Ranks) -> Ranks:
    """Root of the share of each row's variance that lies between the values, (R,)."""
    names = categories(key, trials)
    members = np.array([names.index(format_value(t.sample[key.key])) for t in trials])
    one_hot = np.eye(len(names))[members]
    counts = one_hot.sum(axis=0)
    there = counts > 0
    y = responses - responses.mean(axis=1, keepdims=True)
    sums = (y @ one_hot)[:, there]
    share: Ranks = (sums**2 / counts[there]).sum(axis=1) / (y * y).sum(axis=1)
    return np.sqrt(share)
