"""Choices on validation and numbers on test, from made-up errors."""

import pytest

from metagan.evaluate.pairs.items import PairItem
from metagan.evaluate.pairs.measures import UNSEEN, gain
from metagan.evaluate.pairs.tables import (
    PairGate,
    arm_tables,
    choose_candidates,
    chosen_values,
    decide,
    measures_of,
    wanted,
)
from metagan.evaluate.pairs.verdict import verdict


def item(split: str, domain: str, who: str, repetition: int = 0) -> PairItem:
    return PairItem(split, domain, repetition, 5, who)


def results(split: str, run: dict[str, list[float]], ridge: list[float]):
    """Errors of a run's candidates and of a plain arm, a number for each domain."""
    found = []
    for number, value in enumerate(ridge):
        domain = f"d{number}"
        errors = {name: {"rmse": values[number]} for name, values in run.items()}
        found.append((item(split, domain, "run"), {"run": errors}))
        found.append((item(split, domain, "plain"), {"ridge": {"": {"rmse": value}}}))
    return found


def test_the_candidate_with_the_best_mean_is_chosen_and_a_diverged_one_never() -> None:
    validation = results("validation", {"none": [3, 3], "a": [1, 2], "b": [2, 2]}, [2, 2])
    # This one is best where it has numbers, and has none in one domain.
    validation[0][1]["run"]["wild"] = {"rmse": 0.0}
    chosen = choose_candidates(validation)
    assert chosen == {(5, "rmse", "run"): "a", (5, "rmse", "ridge"): ""}


def test_a_larger_similarity_is_better() -> None:
    found = [(item("validation", "d", "run"), {"run": {"a": {"ssim": 0.2}, "b": {"ssim": 0.9}}})]
    assert choose_candidates(found)[5, "ssim", "run"] == "b"
    assert gain("ssim" + UNSEEN, 0.9, 0.2) == pytest.approx(0.7)
    assert gain("rmse", 0.9, 0.2) == pytest.approx(-0.7)


def test_where_adaptation_diverges_on_test_the_start_counts() -> None:
    chosen = {(5, "rmse", "run"): "a", (5, "rmse", "ridge"): ""}
    tests = results("test", {"none": [4, 4], "a": [1, 1]}, [2, 2])
    del tests[2][1]["run"]["a"]
    values = chosen_values(tests, chosen)
    assert values[5, "rmse", "run"] == {"d0": 1, "d1": 4}


def test_intervals_are_over_domains_and_differences_are_paired() -> None:
    tests = results("test", {"a": [1, 5]}, [2, 6])
    again = [
        (PairItem(i.split, i.domain, 1, 5, i.who), found)
        for i, found in results("test", {"a": [3, 7]}, [4, 8])
    ]
    chosen = {(5, "rmse", "run"): "a", (5, "rmse", "ridge"): ""}
    values = chosen_values([*tests, *again], chosen)
    assert values[5, "rmse", "run"] == {"d0": 2, "d1": 6}
    arms, differences = arm_tables(values)
    assert arms["5"]["rmse"]["run"]["mean"] == 4
    assert arms["5"]["rmse"]["run"]["seeds"] == 2
    less = differences["5"]["rmse"]["run - ridge"]
    assert less == {"mean": -1, "low": -1, "high": -1, "seeds": 2}


def test_of_a_single_domain_intervals_are_over_repetitions() -> None:
    found = [
        (item("test", "d", "run", repetition), {"run": {"a": {"rmse": float(repetition)}}})
        for repetition in range(3)
    ]
    values = chosen_values(found, {(5, "rmse", "run"): "a"})
    assert len(values[5, "rmse", "run"]) == 3


@pytest.mark.parametrize(("ours", "opened"), [([1, 1, 1], True), ([1, 4, 1], False)])
def test_the_gate_asks_for_more_than_the_standard_error_over_the_best_plain_arm(
    ours: list[float], opened: bool
) -> None:
    values = {
        (5, "rmse", "run"): dict(zip("abc", ours, strict=True)),
        (5, "rmse", "ridge"): dict.fromkeys("abc", 2.0),
        (5, "rmse", "copy"): dict.fromkeys("abc", 9.0),
    }
    gate = decide(values, 5, "rmse", ["copy", "ridge"])
    assert (gate.opened, gate.best_plain_arm) == (opened, "ridge")


def test_test_items_measure_what_was_chosen_and_nothing_else() -> None:
    chosen = {
        (5, "rmse", "run"): "a",
        (5, "ssim", "run"): "b",
        (5, "rmse", "run not adapted"): "none",
        (5, "rmse", "ridge"): "0.1",
        (9, "rmse", "run"): "c",
    }
    assert wanted(chosen, 5, "run", ["ridge"]) == {
        "run": ("a", "b", "none"),
        "run not adapted": ("none",),
    }
    assert wanted(chosen, 5, "plain", ["ridge"]) == {"ridge": ("0.1",)}


def test_measures_of_unseen_labels_come_last() -> None:
    found = [(item("test", "d", "run"), {"run": {"a": {"rmse_unseen": 1.0, "rmse": 2.0}}})]
    assert measures_of(found) == ["rmse", "rmse_unseen"]


@pytest.mark.parametrize(
    ("ours", "opened", "said"),
    [
        ([1.0, 1.1, 0.9], True, "5 shots: use it: rmse 1.0000 against 2.0000 of ridge, -1.0000 ["),
        ([1.0, 3.0, 1.9], True, "use it, as validation says, but a gain is not shown on test"),
        ([3.0, 3.1, 2.9], True, "do not use it: validation was for it, but on test it is worse"),
        ([1.0, 1.1, 0.9], False, "do not use it: on validation it was not better than ridge"),
    ],
)
def test_a_verdict_is_of_validation_and_of_test(ours, opened: bool, said: str) -> None:
    values = {
        (5, "rmse", "run"): dict(zip("abc", ours, strict=True)),
        (5, "rmse", "ridge"): dict.fromkeys("abc", 2.0),
    }
    found = verdict(5, "rmse", PairGate(opened, "ridge", 0.0, 0.0), values, others=1)
    assert said in found
    assert "--baseline" not in found
    alone = verdict(5, "rmse", PairGate(True, "ridge", 0.0, 0.0), values, others=0)
    assert ("--baseline joint=DIR" in alone) == ("on test it is worse" not in alone)
