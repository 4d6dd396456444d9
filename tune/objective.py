"""Objective of a trial: how good its initialization is on validation classes.

All trials see the same targets, classifier and baseline, so that they differ in nothing but what
they learned. Test classes are not touched.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.config import JobConfig
from metagan.config.algorithms import ALGORITHMS
from metagan.core.params import GanParams
from metagan.evaluate.downstream import Mix, arm_accuracy
from metagan.evaluate.evaluation import Subject, measure_quality
from metagan.evaluate.source_classifier import SourceClassifier, kept_source_classifier
from metagan.files import write_json
from metagan.workflow.setup import TrainSetup
from tune.config import SearchJobConfig


@dataclass(frozen=True)
class Judge:
    """The measure of all trials, and what they share.

    Attributes:
        config: The settings that are given; their seed names the targets.
        splits: Class names by split, the same for every seed that is trained with.
        source: The source classifier.
        baseline: Accuracy with classical augmentation alone, by repetition; empty where the
            objective needs no accuracy.
    """

    config: SearchJobConfig
    splits: Mapping[str, Sequence[str]]
    source: SourceClassifier
    baseline: tuple[float, ...]

    def measure(self, trained: JobConfig, setup: TrainSetup, init: GanParams) -> dict[str, float]:
        """The objective's metrics of an initialization.

        Args:
            trained: The settings it was trained with; its inner loop adapts it, by as many steps.
            setup: Of the run.
            init: The initialization.

        Returns:
            {"kid", "coverage"}, and {"gain", "accuracy"} where the objective is one of these.
        """
        subject = _subject(self.config, setup, self.source, trained, init)
        evaluate = self.config.evaluate
        steps = trained.inner.steps if ALGORITHMS[trained.algorithm.name].adapts else 0
        mix = Mix(max(evaluate.mix), max(evaluate.generated_per_real))
        sums: dict[str, float] = {}

        def add(name: str, value: float) -> None:
            sums[name] = sums.get(name, 0.0) + value / self.config.tune.repetitions

        for repetition in range(self.config.tune.repetitions):
            task = subject.draw("validation", repetition, evaluate.shots[0])
            generated = subject.generate(task, init="run", adapt_steps=steps, per_real=mix.per_real)
            quality = measure_quality(subject, task, generated)
            add("kid", quality["kid"])
            add("coverage", quality["coverage"])
            if self.baseline:
                accuracy = arm_accuracy(
                    task, "scratch", "both", evaluate, self.source, generated=generated, mix=mix
                )
                add("accuracy", accuracy)
                add("gain", accuracy - self.baseline[repetition])
        return sums


def make_judge(
    config: SearchJobConfig, setup: TrainSetup, out: Path, *, tell: Callable[[str], None]
) -> Judge:
    """The judge of a search; what it needs is computed once and kept in the search's folder.

    Args:
        config: The settings that are given.
        setup: Of a run with them.
        out: The search's folder.
        tell: Told of long work.
    """
    evaluate = config.evaluate
    key = f"{setup.spec.dataset_sha256} {config.seed} {evaluate.model_dump_json()}"
    source = kept_source_classifier(
        out / "source_classifier",
        setup.dataset,
        setup.splits.train,
        setup.spec.form,
        config,
        tell=tell,
    )
    baseline: tuple[float, ...] = ()
    if config.tune.objective in ("gain", "accuracy"):
        subject = _subject(config, setup, source, config, setup.initial)
        file = out / "baseline.json"
        asked = {"key": key, "repetitions": config.tune.repetitions}
        kept = json.loads(file.read_text()) if file.is_file() else {}
        if kept.get("asked") != asked:
            values = [
                arm_accuracy(
                    subject.draw("validation", repetition, evaluate.shots[0]),
                    "scratch",
                    "classical",
                    evaluate,
                    source,
                )
                for repetition in range(config.tune.repetitions)
            ]
            kept = {"asked": asked, "classical": values}
            write_json(file, kept)
        baseline = tuple(kept["classical"])
    return Judge(config, setup.spec.splits, source, baseline)


def _subject(
    config: SearchJobConfig,
    setup: TrainSetup,
    source: SourceClassifier,
    trained: JobConfig,
    init: GanParams,
) -> Subject:
    # Targets and classifiers by the settings that are given, the inner loop by the trial's.
    judged: Any = trained.model_copy(update={"seed": config.seed, "evaluate": config.evaluate})
    return Subject(
        judged,
        setup.gan,
        {"run": init},
        setup.dataset,
        setup.splits.validation,
        setup.dataset,
        setup.splits.validation,
        source,
        "validation classes",
    )
