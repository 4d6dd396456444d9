"""What benchmarks print: means, intervals and regrets by hand-made numbers."""

import pytest

from benchmarks.algorithm_tables import against, cost_table, markdown
from benchmarks.search_regret import incumbents, regrets, table, value_at


def row(name: str, seed: int, accuracy: float, kid: float | None, steps: int | None = 5) -> dict:
    return {
        "row": name,
        "adapt_steps": steps,
        "seed": seed,
        "target": "digits",
        "accuracy": accuracy,
        "kid": kid,
        "coverage": None if kid is None else 0.5,
    }


def test_a_row_has_the_mean_over_repetitions_and_an_interval_over_seeds():
    measured = [
        row("real samples", 0, 0.7, None, None),
        row("real samples", 1, 0.7, None, None),
        row("maml", 0, 0.8, 0.01),
        row("maml", 0, 0.9, 0.03),
        row("maml", 1, 0.95, 0.04),
    ]
    lines = markdown(measured, "digits", [0, 1]).splitlines()
    assert lines[-2] == "| real samples |  |  |  | 70.0 [70.0, 70.0] |"
    # Seeds' means are 85 and 95: 90 +- 12.706 * sqrt(50) / sqrt(2) = 63.53.
    assert lines[-1] == "| maml | 5 | 0.0300 +- 0.0141 | 0.500 +- 0.000 | 90.0 [26.5, 153.5] |"


def test_rows_are_compared_in_pairs_of_the_same_seed_and_target():
    pairs = [("joint", 0, 0.9, 0.02), ("joint", 1, 0.8, 0.04), ("maml", 0, 0.95, 0.05)]
    pairs.append(("maml", 1, 0.85, 0.05))
    measured = [{**row(*one), "repetition": 0} for one in pairs]
    measured.append({**row("real samples", 0, 0.5, None, None), "repetition": 0})
    lines = against(measured, "digits", "joint").splitlines()
    # KID is 0.03 and 0.01 larger: 0.02 +- 12.706 * 0.01; accuracy 5 points in both.
    assert lines[-1] == "| maml | 5 | +0.0200 [-0.1071, +0.1471] | +5.0 [+5.0, +5.0] |"
    assert len(lines) == 5


def test_costs_are_shown_row_by_row():
    cost = {
        "outer_steps": 40,
        "inner_steps": 8,
        "step_s": 2.5,
        "total_s": 100.0,
        "memory_mb": 31.4,
    }
    assert cost_table({"fomaml": cost}).endswith("| fomaml | 40 | 8 | 2.50 | 100 | 31 |")


def trial(order: int, step: int, kid: float | None) -> dict:
    return {"order": order, "step": step, "metrics": {} if kid is None else {"kid": kid}}


def test_an_answer_is_the_best_trial_that_was_trained_to_the_end():
    trials = [
        trial(2, 30, 0.01),  # Stopped early: it costs, and is no answer.
        trial(1, 90, 0.30),
        trial(3, 90, 0.40),
        trial(4, 90, 0.20),
        trial(5, 90, None),
        trial(6, 90, 0.10),  # Beyond the budget.
    ]
    curve = incumbents({"trials": trials}, budget=400)
    assert curve == [(90, 0.30), (300, 0.20)]
    assert [value_at(curve, spent) for spent in (89, 90, 299, 300)] == [None, 0.3, 0.3, 0.2]


def test_regret_is_against_the_best_of_all_methods():
    found = regrets({"random": [(90, 0.3)], "TPE": [(90, 0.5), (180, 0.2)], "ASHA": []}, [90, 180])
    assert found["random"] == pytest.approx([0.1, 0.1])
    assert found["TPE"] == pytest.approx([0.3, 0.0])
    assert found["ASHA"] == [None, None]
    lines = table([found], [90, 180]).splitlines()
    assert lines[2:] == ["| 180 | 0.1000 (0.1000) | 0.0000 (0.0000) | no answer yet |"]
