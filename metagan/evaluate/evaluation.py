"""The whole evaluation of a run: choices on validation, numbers on test.

Work is cut into independent items, so that a cluster or a pool can compute them in any order; each
is a pure function of what is shared and of the item.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch

from metagan.config.learning import InnerConfig
from metagan.config.settings import EvaluateConfig, RunConfig
from metagan.core.algorithms import inner_settings
from metagan.core.gan import GanPair
from metagan.core.params import GanParams, params_on
from metagan.data.dataset import Dataset
from metagan.data.form import Form
from metagan.devices import choose_device
from metagan.evaluate.downstream import (
    CLASSIFIERS,
    Arm,
    Classifier,
    Mix,
    TargetTask,
    arm_accuracy,
    draw_target,
)
from metagan.evaluate.drawing import generate_samples
from metagan.evaluate.gate import BASELINE, Candidate, Choice, ChoiceKey, candidates, choose
from metagan.evaluate.source_classifier import SourceClassifier
from metagan.evaluate.target import adapt_to_target
from metagan.metrics.quality import quality
from metagan.seeding import derive_seed

Item = TypeVar("Item")
Result = TypeVar("Result")
Shared = TypeVar("Shared")
GENERATED_ARMS: tuple[Arm, ...] = ("generated", "both")


class WorkMap(Protocol):
    """Computes items anywhere; results come in the order of the items."""

    def __call__(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Sequence[Item],
    ) -> Iterator[Result]:
        """`function(shared, item)` of every item."""
        ...


def serial_map(
    function: Callable[[Shared, Item], Result], shared: Shared, items: Sequence[Item]
) -> Iterator[Result]:
    """In this process, one after the other."""
    return (function(shared, item) for item in items)


@dataclass(frozen=True)
class Subject:
    """The subject of an evaluation, shared by every item.

    Attributes:
        config: The run's settings; `evaluate` among them.
        gan: Networks and losses.
        inits: Initializations by name; "run" is the one evaluated, others are compared with it.
        validation: Data of the choices.
        validation_classes: Classes of `validation` that choices are made on.
        test: Data that are measured.
        test_classes: Classes of `test`.
        source: The source classifier.
        target_name: What `test` is, for people.
        inner: Inner loops of initializations that have their own; others have the run's.
    """

    config: RunConfig
    gan: GanPair
    inits: Mapping[str, GanParams]
    validation: Dataset
    validation_classes: tuple[int, ...]
    test: Dataset
    test_classes: tuple[int, ...]
    source: SourceClassifier
    target_name: str
    inner: Mapping[str, InnerConfig] = field(default_factory=dict)

    @property
    def is_foreign(self) -> bool:
        """True if the measured data are other data than those that choices are made on."""
        return self.test is not self.validation

    @property
    def form(self) -> Form:
        """How networks see all samples: as the run's own."""
        return self.source.form

    def inner_of(self, init: str) -> InnerConfig:
        """The inner loop that an initialization is adapted by."""
        return self.inner.get(init) or inner_settings(self.config)

    def draw(self, split: str, repetition: int, shots: int) -> TargetTask:
        """The target of a repetition: the same for every arm, candidate and initialization.

        Its samples lie on the device of this process, where all that is made of them is computed.
        """
        data = self.test if split == "test" else self.validation
        classes = self.test_classes if split == "test" else self.validation_classes
        seed = derive_seed(self.config.seed, "evaluate", split, repetition)
        evaluate = self.config.evaluate
        if split == "validation":
            evaluate = with_room(evaluate, data, classes)
        task = draw_target(data, classes, self.form, evaluate, shots=shots, seed=seed)
        return task.to(choose_device(self.config.device))

    def generate(
        self, task: TargetTask, *, init: str, adapt_steps: int, per_real: int
    ) -> torch.Tensor:
        """Generated samples (W, K * per_real, ...) for a target."""
        gan = self.gan.to(task.support.device)
        target = adapt_to_target(
            gan,
            params_on(self.inits[init], task.support.device),
            task.support,
            inner=self.inner_of(init),
            task=self.config.task,
            steps=adapt_steps,
            seed=task.seed,
        )
        return generate_samples(
            gan,
            target,
            per_support=per_real,
            seed=task.seed,
            best_of=self.config.evaluate.best_of,
        )


def with_room(evaluate: EvaluateConfig, data: Dataset, classes: Sequence[int]) -> EvaluateConfig:
    """Settings with as many test samples of a class as there are beside the support.

    Another target may have far more samples than the validation classes, on which choices for it
    are made.
    """
    room = max(data.count(index) for index in classes) - max(evaluate.shots)
    if not 1 <= room < evaluate.test_per_class:
        return evaluate
    return evaluate.model_copy(update={"test_per_class": room})


@dataclass(frozen=True)
class ValidationItem:
    """One repetition on validation: every mix at one number of adaptation steps."""

    repetition: int
    shots: int
    adapt_steps: int
    baselines: bool


Scores = dict[tuple[Classifier, Arm, Candidate | None], float]


def run_validation_item(subject: Subject, item: ValidationItem) -> Scores:
    """Accuracies by classifier, arm and candidate (None for arms without generated samples)."""
    evaluate = subject.config.evaluate
    task = subject.draw("validation", item.repetition, item.shots)
    scores: Scores = {}
    tried = [c for c in candidates(evaluate) if c.adapt_steps == item.adapt_steps]
    generated = subject.generate(
        task,
        init="run",
        adapt_steps=item.adapt_steps,
        per_real=max(evaluate.generated_per_real),
    )
    for classifier in CLASSIFIERS:
        if item.baselines:
            for arm in ("none", "classical"):
                scores[classifier, arm, None] = arm_accuracy(
                    task, classifier, arm, evaluate, subject.source
                )
        for candidate in tried:
            for arm in GENERATED_ARMS:
                scores[classifier, arm, candidate] = arm_accuracy(
                    task,
                    classifier,
                    arm,
                    evaluate,
                    subject.source,
                    generated=per_support(generated, task, evaluate, candidate.mix),
                    mix=candidate.mix,
                )
    return scores


def per_support(generated: torch.Tensor, task: TargetTask, evaluate: Any, mix: Mix) -> torch.Tensor:
    """The first `mix.per_real` samples of each support sample, still grouped by it.

    Args:
        generated: (W, K * R, ...), R the largest of `evaluate.generated_per_real`.
        task: The target, W classes of K shots.
        evaluate: The settings.
        mix: How many are wanted.
    """
    shots, largest = task.support.shape[1], max(evaluate.generated_per_real)
    grouped = generated.reshape(len(generated), shots, largest, *generated.shape[2:])
    return grouped[:, :, : mix.per_real].flatten(1, 2)


@dataclass(frozen=True)
class ComparisonItem:
    """One initialization at one number of adaptation steps, on one test repetition."""

    init: str
    adapt_steps: int
    repetition: int
    shots: int
    share: float


@dataclass(frozen=True)
class ComparisonResult:
    """Quality of the generated samples, and accuracy with them, of one comparison item."""

    item: ComparisonItem
    quality: dict[str, Any]
    accuracy: float


def run_comparison_item(subject: Subject, item: ComparisonItem) -> ComparisonResult:
    """Equal target, equal steps, equal use of the samples; only the initialization differs."""
    evaluate = subject.config.evaluate
    task = subject.draw("test", item.repetition, item.shots)
    per_real = max(evaluate.generated_per_real)
    generated = subject.generate(
        task, init=item.init, adapt_steps=item.adapt_steps, per_real=per_real
    )
    mix = Mix(item.share, per_real)
    return ComparisonResult(
        item,
        measure_quality(subject, task, generated),
        arm_accuracy(
            task,
            "scratch",
            "generated",
            evaluate,
            subject.source,
            generated=generated,
            mix=mix,
        ),
    )


def measure_quality(subject: Subject, task: TargetTask, generated: torch.Tensor) -> dict[str, Any]:
    """KID, FID and the rest of generated samples against the target's test samples."""
    extract = subject.source.features(task.support.device)
    ways = len(generated)
    per_class = max(1, min(subject.config.evaluate.quality_samples // ways, generated.shape[1]))
    # Evenly over the support samples that were continued.
    picks = torch.linspace(0, generated.shape[1] - 1, per_class).long()
    measured = generated[:, picks]

    def labels(samples: torch.Tensor) -> Any:
        return torch.arange(ways).repeat_interleave(samples.shape[1]).numpy()

    return dict(
        quality(
            extract(task.test.flatten(0, 1)),
            extract(measured.flatten(0, 1)),
            real_labels=labels(task.test),
            generated_labels=labels(measured),
            support=extract(task.support.flatten(0, 1)),
            extractor=extract,
        ).to_json()
    )


def make_choices(
    results: Sequence[tuple[ValidationItem, Scores]],
) -> tuple[dict[ChoiceKey, Choice], list[dict[str, Any]]]:
    """The gate's choices by (shots, classifier, arm), and the table they were made from."""
    accuracy: dict[tuple[int, int, Classifier, Arm, Candidate | None], float] = {}
    for item, scores in results:
        for (classifier, arm, candidate), value in scores.items():
            accuracy[item.shots, item.repetition, classifier, arm, candidate] = value
    repetitions = sorted({item.repetition for item, _ in results})
    all_shots = sorted({item.shots for item, _ in results})
    tried = sorted(
        {key[4] for key in accuracy if key[4] is not None},
        key=lambda c: (c.adapt_steps, c.mix.share, c.mix.per_real),
    )
    choices: dict[ChoiceKey, Choice] = {}
    table: list[dict[str, Any]] = []
    for shots in all_shots:
        for classifier in CLASSIFIERS:
            for arm in GENERATED_ARMS:
                gains = {
                    candidate: [
                        accuracy[shots, repetition, classifier, arm, candidate]
                        - accuracy[shots, repetition, classifier, BASELINE[arm], None]
                        for repetition in repetitions
                    ]
                    for candidate in tried
                }
                choices[shots, classifier, arm] = choose(gains)
                table += [
                    {
                        "shots": shots,
                        "classifier": classifier,
                        "arm": arm,
                        "adapt_steps": candidate.adapt_steps,
                        "share": candidate.mix.share,
                        "per_real": candidate.mix.per_real,
                        "gains": values,
                    }
                    for candidate, values in gains.items()
                ]
    return choices, table
