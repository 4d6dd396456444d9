import math

import numpy as np
import pytest
from scipy import stats

from metagan.report.importance import importances
from tests.report.search_files import one_key, search_data, trial


def strengths(read, samples, values, space, **changes):
    trials = [
        trial(i, value, sample=sample, **changes)
        for i, (sample, value) in enumerate(zip(samples, values, strict=True), 1)
    ]
    return {i.key: i for i in importances(read(search_data(trials, space=space)))}


def test_the_strength_of_a_number_is_spearmans(read):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(size=12), rng.uniform(size=12).round(1)
    [found] = strengths(read, [{"a": v} for v in x.tolist()], y.tolist(),
                        [one_key("a", "uniform", [0, 1])]).values()  # fmt: skip
    rho = stats.spearmanr(x, y).statistic
    assert found.strength == pytest.approx(abs(rho))
    assert found.direction == np.sign(rho)
    assert found.num_trials == 12


def test_values_that_decide_are_as_strong_as_can_be_and_seldom_so_by_chance(read):
    samples = [{"a": 2.0**i, "b": "xy"[i // 5], "c": 7} for i in range(10)]
    space = [
        one_key("a", "loguniform", [1, 1024]),
        one_key("b", "choice", ["x", "y", "z"]),
        one_key("c", "choice", [7]),
    ]
    found = strengths(read, samples, [0.01 * i for i in range(10)], space)
    assert found["a"].strength == pytest.approx(1.0)
    assert (found["a"].direction, found["b"].direction) == (1, 0)
    assert found["a"].p < 0.002
    # Between two halves of the ranks 1 to 10 lies 62.5 of their sum of squares 82.5.
    assert found["b"].strength == pytest.approx(math.sqrt(62.5 / 82.5))
    assert found["b"].p == pytest.approx(2 / 252, abs=0.006)
    assert found["c"].strength is None
    assert found["c"].why_not == "all trials have the same value"


def test_without_an_association_chance_is_as_strong(read):
    rng = np.random.default_rng(5)
    samples = [{"a": v} for v in rng.uniform(size=30).tolist()]
    values = rng.uniform(size=30).tolist()
    [found] = strengths(read, samples, values, [one_key("a", "uniform", [0, 1])]).values()
    p = stats.spearmanr([s["a"] for s in samples], values).pvalue
    assert found.p == pytest.approx(p, abs=0.04)


def test_a_seed_has_no_order_and_a_condition_leaves_trials_out(read):
    samples = [{"seed": i % 3, **({"a": i} if i > 3 else {})} for i in range(10)]
    space = [one_key("seed", "grid", [0, 1, 2]), one_key("a", "randint", [0, 9])]
    found = strengths(read, samples, [0.1 * i for i in range(10)], space)
    assert not found["seed"].is_ordered
    assert found["a"].num_trials == 6


def test_few_trials_or_equal_ones_tell_nothing(read):
    space = [one_key("a", "randint", [0, 9])]
    few = strengths(read, [{"a": i} for i in range(4)], [0.1, 0.2, 0.3, 0.4], space)
    assert few["a"].why_not == "fewer than 5 trials"
    equal = strengths(read, [{"a": i} for i in range(6)], [0.1] * 6, space)
    assert equal["a"].why_not == "all trials did equally well"
