"""Measuring on a target with the choices made, and the gate's second look at a foreign one.

Choices are made on validation classes, so they hold for targets that are drawn as those are. A
target from other data may be unlike all of them. There a choice is used only if it also gains on
the target's own samples: some shots are held out, classifiers are trained on the others with and
without generated samples, which are made from the others alone, and the gain must exceed its own
standard error over such folds. A single shot leaves nothing to hold out: there the choices are
kept.

Shapes: W classes, K shots.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from metagan.evaluate.downstream import (
    ARMS,
    CLASSIFIERS,
    Arm,
    Classifier,
    TargetTask,
    arm_accuracy,
)
from metagan.evaluate.evaluation import Subject, per_support
from metagan.evaluate.gate import BASELINE, Choice, choose
from metagan.metrics.intervals import interval, paired_interval
from metagan.seeding import derive_seed


@dataclass(frozen=True)
class TestItem:
    """One repetition on test with the choices made."""

    __test__ = False

    repetition: int
    shots: int
    choices: Mapping[tuple[Classifier, Arm], Choice]


@dataclass(frozen=True)
class TestResult:
    """The result of a repetition on test.

    Attributes:
        scores: Accuracies by classifier and arm; an arm that the gate closed repeats its baseline.
        own: What the target's own samples said of the choices, by the same; empty where they
            were not asked.
    """

    __test__ = False

    scores: dict[tuple[Classifier, Arm], float]
    own: dict[tuple[Classifier, Arm], Choice] = field(default_factory=dict)


def run_test_item(subject: Subject, item: TestItem) -> TestResult:
    """Accuracies with the choices, as far as a foreign target confirms them."""
    task = subject.draw("test", item.repetition, item.shots)
    choices = dict(item.choices)
    own: dict[tuple[Classifier, Arm], Choice] = {}
    folds = subject.config.evaluate.own_folds
    if subject.is_foreign and folds and item.shots > 1:
        own = own_choices(subject, task, choices, folds)
        choices |= own
    return TestResult(_scores(subject, task, choices, CLASSIFIERS), own)


def own_choices(
    subject: Subject,
    task: TargetTask,
    choices: Mapping[tuple[Classifier, Arm], Choice],
    folds: int,
) -> dict[tuple[Classifier, Arm], Choice]:
    """The choices that were open, each kept or refused by the target's own samples."""
    asked = [key for key, choice in choices.items() if not choice.rejected]
    if not asked:
        return {}
    classifiers = [c for c in CLASSIFIERS if any(c == key[0] for key in asked)]
    tables = [_scores(subject, fold, choices, classifiers) for fold in split_shots(task, folds)]
    return {
        (classifier, arm): choose(
            {
                choices[classifier, arm].candidate: [
                    scores[classifier, arm] - scores[classifier, BASELINE[arm]] for scores in tables
                ]
            }
        )
        for classifier, arm in asked
    }


def split_shots(task: TargetTask, folds: int) -> list[TargetTask]:
    """Targets that hold some of the support out for testing and have the rest as support.

    Args:
        task: The target; its test samples are in none of them.
        folds: How many, at most K; each sample is held out once.
    """
    shots = task.support.shape[1]
    parts = np.array_split(np.arange(shots), min(folds, shots))
    return [
        TargetTask(
            support=task.support[:, [i for i in range(shots) if i not in part]],
            test=task.support[:, part.tolist()],
            classes=task.classes,
            seed=derive_seed(task.seed, "own fold", index),
        )
        for index, part in enumerate(parts)
    ]


def _scores(
    subject: Subject,
    task: TargetTask,
    choices: Mapping[tuple[Classifier, Arm], Choice],
    classifiers: Sequence[Classifier],
) -> dict[tuple[Classifier, Arm], float]:
    evaluate = subject.config.evaluate
    pools: dict[int, torch.Tensor] = {}
    scores: dict[tuple[Classifier, Arm], float] = {}
    for classifier in classifiers:
        for arm in ARMS:
            if arm not in BASELINE:
                scores[classifier, arm] = arm_accuracy(
                    task, classifier, arm, evaluate, subject.source
                )
                continue
            choice = choices[classifier, arm]
            if choice.rejected:
                scores[classifier, arm] = scores[classifier, BASELINE[arm]]
                continue
            steps = choice.candidate.adapt_steps
            if steps not in pools:
                pools[steps] = subject.generate(
                    task, init="run", adapt_steps=steps, per_real=max(evaluate.generated_per_real)
                )
            scores[classifier, arm] = arm_accuracy(
                task,
                classifier,
                arm,
                evaluate,
                subject.source,
                generated=per_support(pools[steps], task, evaluate, choice.candidate.mix),
                mix=choice.candidate.mix,
            )
    return scores


def downstream_tables(
    results: Sequence[tuple[TestItem, TestResult]],
) -> dict[Classifier, dict[str, dict[str, Any]]]:
    """{classifier: {shots: {arm or difference: interval}}} over paired repetitions."""
    tables: dict[Classifier, dict[str, dict[str, Any]]] = {name: {} for name in CLASSIFIERS}
    for shots in sorted({item.shots for item, _ in results}):
        rows = [result.scores for item, result in results if item.shots == shots]
        for classifier in CLASSIFIERS:
            by_arm = {arm: [scores[classifier, arm] for scores in rows] for arm in ARMS}
            entry = {str(arm): interval(values).to_json() for arm, values in by_arm.items()}
            for name, after, before in (
                ("both_minus_classical", "both", "classical"),
                ("generated_minus_none", "generated", "none"),
                ("classical_minus_none", "classical", "none"),
            ):
                entry[name] = paired_interval(by_arm[after], by_arm[before]).to_json()  # type: ignore[index]
            tables[classifier][str(shots)] = entry
    return tables


def own_check_rows(results: Sequence[tuple[TestItem, TestResult]]) -> list[dict[str, Any]]:
    """Rows on the choices by foreign targets: how often they kept each, and the mean gain."""
    rows = []
    for shots in sorted({item.shots for item, _ in results}):
        asked = [result.own for item, result in results if item.shots == shots]
        for key in dict.fromkeys(key for own in asked for key in own):
            answers = [own[key] for own in asked if key in own]
            rows.append(
                {
                    "shots": shots,
                    "classifier": key[0],
                    "arm": key[1],
                    "asked": len(answers),
                    "kept": sum(not answer.rejected for answer in answers),
                }
            )
    return rows
