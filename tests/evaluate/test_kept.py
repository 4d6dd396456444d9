"""Results that an evaluation has computed are not computed again, nor mistaken for others."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from metagan.core.params import GanParams, map_params
from metagan.evaluate.downstream import CLASSIFIERS
from metagan.evaluate.evaluation import (
    ComparisonItem,
    Subject,
    ValidationItem,
    make_choices,
    run_comparison_item,
    run_validation_item,
)
from metagan.evaluate.gate import BASELINE
from metagan.evaluate.kept import KeptResults, item_names
from metagan.evaluate.on_test import TestItem, run_test_item
from tests.helpers import bars

VALIDATION = [ValidationItem(repetition, 3, 0, baselines=True) for repetition in range(2)]
COMPARISON = [ComparisonItem("run", 0, 0, 3, 0.5)]


class Counting:
    """Computes in this process, counts, and may be broken off."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.computed = 0
        self.stop_after = stop_after

    def __call__(
        self, function: Callable[[Any, Any], Any], shared: Any, items: Sequence[Any]
    ) -> Iterator[Any]:
        for item in items:
            if self.computed == self.stop_after:
                raise KeyboardInterrupt
            self.computed += 1
            yield function(shared, item)


def items_on_test(subject: Subject) -> list[TestItem]:
    results = [(item, run_validation_item(subject, item)) for item in VALIDATION]
    choices, _ = make_choices(results)
    return [TestItem(0, 3, {(k, a): choices[3, k, a] for k in CLASSIFIERS for a in BASELINE})]


def run(
    subject: Subject, folder: Path, function: Any, items: Sequence[Any], **options: int
) -> tuple[list[Any], int]:
    """Results, and how many of them had to be computed."""
    counting = Counting(**options)
    kept = KeptResults(counting, item_names(subject), folder, tell=lambda _: None)
    return list(kept(function, subject, items)), counting.computed


def test_kept_results_are_those_that_were_computed(subject: Subject, tmp_path: Path) -> None:
    for function, items in (
        (run_validation_item, VALIDATION),
        (run_test_item, items_on_test(subject)),
        (run_comparison_item, COMPARISON),
    ):
        first, computed = run(subject, tmp_path, function, items)
        again, computed_again = run(subject, tmp_path, function, items)
        assert (computed, computed_again) == (len(items), 0)
        assert again == first == [function(subject, item) for item in items]


def test_an_evaluation_that_was_broken_off_goes_on(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(subject, tmp_path, run_validation_item, VALIDATION, stop_after=1)
    said: list[str] = []
    counting = Counting()
    kept = KeptResults(counting, item_names(subject), tmp_path, tell=said.append)
    results = list(kept(run_validation_item, subject, VALIDATION))
    assert counting.computed == 1
    assert said == [f"1 of 2 results are kept from before in {tmp_path}"]
    assert results == [run_validation_item(subject, item) for item in VALIDATION]


def test_a_damaged_file_is_computed_again(subject: Subject, tmp_path: Path) -> None:
    expected, _ = run(subject, tmp_path, run_comparison_item, COMPARISON)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    assert run(subject, tmp_path, run_comparison_item, COMPARISON) == (expected, 1)


def changed_init(subject: Subject) -> Subject:
    moved = [map_params(lambda w: w + 1e-6, player) for player in subject.inits["run"]]
    return dataclasses.replace(subject, inits={"run": GanParams(*moved)})


def changed_settings(subject: Subject) -> Subject:
    evaluate = subject.config.evaluate.model_copy(update={"classifier_steps": 26})
    config = subject.config.model_copy(update={"evaluate": evaluate})
    return dataclasses.replace(subject, config=config)


def changed_source(subject: Subject) -> Subject:
    weights = {name: torch.zeros_like(w) for name, w in subject.source.weights.items()}
    return dataclasses.replace(subject, source=dataclasses.replace(subject.source, weights=weights))


def changed_validation(subject: Subject) -> Subject:
    return dataclasses.replace(subject, validation=bars(drawings=11))


@pytest.mark.parametrize(
    "change", [changed_init, changed_settings, changed_source, changed_validation]
)
def test_results_about_something_else_are_not_taken(
    subject: Subject, tmp_path: Path, change: Callable[[Subject], Subject]
) -> None:
    run(subject, tmp_path, run_validation_item, VALIDATION[:1])
    other = change(subject)
    assert run(other, tmp_path, run_validation_item, VALIDATION[:1])[1] == 1


def test_another_target_shares_the_choices_and_nothing_else(
    subject: Subject, tmp_path: Path
) -> None:
    items = items_on_test(subject)
    run(subject, tmp_path, run_validation_item, VALIDATION)
    run(subject, tmp_path, run_test_item, items)
    other = dataclasses.replace(subject, test=bars(drawings=12))
    assert run(other, tmp_path, run_validation_item, VALIDATION)[1] == 0
    assert run(other, tmp_path, run_test_item, items)[1] == 1


def test_more_repetitions_keep_those_that_are_there(subject: Subject, tmp_path: Path) -> None:
    run(subject, tmp_path, run_validation_item, VALIDATION)
    evaluate = subject.config.evaluate.model_copy(update={"validation_seeds": 3, "shots": (3, 2)})
    more = dataclasses.replace(
        subject, config=subject.config.model_copy(update={"evaluate": evaluate})
    )
    items = [*VALIDATION, ValidationItem(2, 3, 0, baselines=True)]
    assert run(more, tmp_path, run_validation_item, items)[1] == 1
