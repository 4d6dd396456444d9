"""Tables of benchmarks: means and intervals of hand-made numbers."""

from benchmarks.algorithm_tables import against, cost_table, markdown
from benchmarks.answers import table


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


def test_answers_are_pooled_and_compared_with_an_arm_by_file_and_domain():
    first = {"run": {"x": 1.0, "y": 2.0}, "other": {"x": 1.5, "y": 2.5}}
    second = {"run": {"x": 3.0, "y": 4.0}, "other": {"x": 3.5, "y": 4.5}}
    head, rule, best, worst = table([first, second])
    assert head == "| arm | mean | run - it | each training |"
    assert rule.count("---") == 4
    assert best.startswith("| run | 2.5000 [")
    assert best.endswith("|  | 1.5000, 3.5000 |")
    assert "| -0.5000 [-0.5000, -0.5000] | 2.0000, 4.0000 |" in worst
    [_, _, *rows] = table([first, second], "other")
    assert "| +0.5000 [+0.5000, +0.5000] |" in rows[0]
