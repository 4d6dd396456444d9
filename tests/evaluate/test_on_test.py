"""Measuring on a target, and the gate's second look at one from other data."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from metagan.evaluate import on_test
from metagan.evaluate.downstream import CLASSIFIERS, Arm, Classifier, Mix, TargetTask
from metagan.evaluate.evaluation import Subject
from metagan.evaluate.gate import BASELINE, Candidate, Choice
from metagan.evaluate.kept import KeptResults, item_names
from metagan.evaluate.on_test import TestItem, own_check_rows, run_test_item, split_shots
from tests.helpers import bars

OPEN = Choice(Candidate(0, Mix(0.5, 4)), 0.1, 0.0, False)
ALL_OPEN: Mapping[tuple[Classifier, Arm], Choice] = {
    (k, a): OPEN for k in CLASSIFIERS for a in BASELINE
}
ITEM = TestItem(0, 3, ALL_OPEN)


@pytest.fixture
def foreign(useless: Subject) -> Subject:
    """Measured on other data, with a generator that is of no use there."""
    other = bars(num_domains=2, classes=3)
    return dataclasses.replace(useless, test=other, test_classes=tuple(range(other.num_classes)))


def with_folds(subject: Subject, folds: int) -> Subject:
    evaluate = subject.config.evaluate.model_copy(update={"own_folds": folds})
    return dataclasses.replace(
        subject, config=subject.config.model_copy(update={"evaluate": evaluate})
    )


@pytest.mark.parametrize(("shots", "folds", "sizes"), [(5, 3, [2, 2, 1]), (2, 3, [1, 1])])
def test_every_shot_is_held_out_once_and_never_supports_itself(
    shots: int, folds: int, sizes: list[int]
) -> None:
    support = torch.arange(4 * shots).reshape(4, shots, 1, 1, 1).float()
    parts = split_shots(TargetTask(support, support[:, :0], (0, 1, 2, 3), 7), folds)
    assert [part.test.shape[1] for part in parts] == sizes
    held_out = torch.cat([part.test for part in parts], dim=1)
    assert torch.equal(held_out, support)
    for part in parts:
        together = torch.cat([part.support, part.test], dim=1).sort(dim=1).values
        assert torch.equal(together, support)
    assert len({part.seed for part in parts}) == len(parts)


def test_a_foreign_target_refuses_choices_that_do_not_gain_on_its_own_samples(
    foreign: Subject,
) -> None:
    result = run_test_item(foreign, ITEM)
    assert set(result.own) == set(ALL_OPEN)
    assert all(choice.rejected for choice in result.own.values())
    for (classifier, arm), value in result.scores.items():
        assert value == result.scores[classifier, BASELINE.get(arm, arm)]
    rows = own_check_rows([(ITEM, result)])
    assert {(row["classifier"], row["arm"]) for row in rows} == set(ALL_OPEN)
    assert {(row["asked"], row["kept"]) for row in rows} == {(1, 0)}


def test_a_foreign_target_keeps_choices_that_gain_on_every_fold(
    foreign: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[TargetTask] = []

    def accuracy(task: TargetTask, classifier: str, arm: str, *_: Any, **__: Any) -> float:
        seen.append(task)
        return 0.5 + 0.1 * (arm in BASELINE) * (classifier != "centroid")

    monkeypatch.setattr(on_test, "arm_accuracy", accuracy)
    result = run_test_item(foreign, ITEM)
    kept = {key for key, choice in result.own.items() if not choice.rejected}
    assert kept == {
        (classifier, arm) for classifier in ("scratch", "pretrained") for arm in BASELINE
    }
    # What decides has not seen a test sample: every fold is made of the support alone.
    task = foreign.draw("test", 0, 3)
    for part in {id(part): part for part in seen}.values():
        if part.support.shape[1] < 3:
            samples = torch.cat([part.support, part.test], dim=1)
            assert torch.allclose(samples.sum(1), task.support.sum(1))


@pytest.mark.parametrize("why", ["the run's own classes", "no folds", "one shot", "closed"])
def test_nobody_is_asked_without_need(subject: Subject, foreign: Subject, why: str) -> None:
    shots = 1 if why == "one shot" else 3
    closed = dataclasses.replace(OPEN, rejected=True)
    choices = dict.fromkeys(ALL_OPEN, closed if why == "closed" else OPEN)
    measured = subject if why == "the run's own classes" else foreign
    if why == "no folds":
        measured = with_folds(measured, 0)
    assert run_test_item(measured, TestItem(0, shots, choices)).own == {}


def test_what_a_target_said_is_kept(foreign: Subject, tmp_path: Path) -> None:
    def once(function: Any, shared: Any, items: Any) -> Any:
        return iter([function(shared, item) for item in items])

    def never(function: Any, shared: Any, items: Any) -> Any:  # noqa: ARG001
        assert not items
        return iter([])

    def read(work: Any, subject: Subject) -> Any:
        kept = KeptResults(work, item_names(subject), tmp_path, tell=lambda _: None)
        return next(iter(kept(run_test_item, subject, [ITEM])))

    first = read(once, foreign)
    assert read(never, foreign) == first
    assert read(once, with_folds(foreign, 0)).own == {}
