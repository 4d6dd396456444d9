"""Evaluate a run: choose on validation, measure on test, compare, write the numbers."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from metagan.config.data import DataConfig
from metagan.config.learning import InnerConfig
from metagan.config.may_change import check_changes
from metagan.config.settings import EvaluateConfig, RunConfig
from metagan.core.params import GanParams
from metagan.data.cache import open_dataset
from metagan.data.dataset import DataError, Dataset
from metagan.data.form import Form
from metagan.data.notes import first_notes
from metagan.data.pairs import measured_classes
from metagan.data.reader import find_reader
from metagan.data.repeats import Leak, find_leak, find_leak_into, find_repeats
from metagan.data.splits import Splits, splits_from_names
from metagan.evaluate.comparison import comparison_table, mean_quality
from metagan.evaluate.downstream import CLASSIFIERS, draw_target
from metagan.evaluate.evaluation import (
    ComparisonItem,
    ComparisonResult,
    Subject,
    ValidationItem,
    WorkMap,
    make_choices,
    run_comparison_item,
    run_validation_item,
    with_room,
)
from metagan.evaluate.gate import BASELINE, Choice, ChoiceKey
from metagan.evaluate.kept import KeptResults, item_names
from metagan.evaluate.on_test import TestItem, downstream_tables, own_check_rows, run_test_item
from metagan.evaluate.source_classifier import SourceClassifier, kept_source_classifier
from metagan.kinds.registry import find_kind
from metagan.workflow.setup import LoadedRun, check_same_data, load_start
from metagan.workflow.step_log import Reporter
from metagan.workflow.worker import build_run_gan

T = TypeVar("T")

SCHEMA_VERSION = 1
EVALUATION_FILE = "evaluation.json"
ITEMS_FOLDER = "evaluation_items"


@dataclass(frozen=True)
class Target:
    """Data to measure on: the run's own test classes, or all classes of other data."""

    dataset: Dataset
    classes: tuple[int, ...]
    name: str
    source: str | None = None


class Measured(NamedTuple):
    """Data of an evaluation: those that it chooses on, and those that it measures.

    Attributes:
        dataset: The run's data.
        fingerprint: Theirs.
        splits: Theirs.
        target: What is measured.
    """

    dataset: Dataset
    fingerprint: str
    splits: Splits
    target: Target


def open_measured(
    run: LoadedRun, config: RunConfig, target: Target | None, *, units: str
) -> Measured:
    """Open a run's data, and see that a target can be measured beside them.

    Args:
        run: The run.
        config: Its settings, with `evaluate` as wanted now.
        target: Other data to measure on; None: the run's test part.
        units: What of the data is held out, in words: classes or domains.

    Raises:
        DataError: If the target is the run's own data, or its samples have another shape.
        RunError: If the run's data are not those that it was trained on.
        ConfigError: If a setting differs that a trained run cannot follow.
    """
    check_changes(run.trained, config, run=run.folder.path, where="settings", use="evaluate")
    dataset = open_dataset(config.data)
    fingerprint = dataset.fingerprint()  # Hashes every sample.
    check_same_data(run.folder, dataset, fingerprint)
    splits = splits_from_names(run.splits, dataset)
    if target is None:
        target = Target(dataset, splits.test, f"test {units} of the run")
    elif target.dataset.fingerprint() == fingerprint:
        raise DataError(
            f"--data {target.name} is what the run was trained on; leave --data out to measure on "
            f"the {units} that it held out"
        )
    if target.dataset.sample_shape != dataset.sample_shape:
        raise DataError(
            f"the target's samples are {target.dataset.sample_shape}, the run's "
            f"{dataset.sample_shape}"
        )
    return Measured(dataset, fingerprint, splits, target)


def run_classifier(
    run: LoadedRun,
    dataset: Dataset,
    classes: tuple[int, ...],
    config: RunConfig,
    reporter: Reporter,
    *,
    stage: str,
) -> SourceClassifier:
    """A classifier of these classes, trained at first need and kept in the run folder."""
    return kept_source_classifier(
        run.folder.path / "source_classifier",
        dataset,
        classes,
        run.form,
        config,
        tell=reporter.print,
        on_step=lambda step: reporter.progress(
            {"stage": stage, "step": step, "steps": config.evaluate.source_steps}
        ),
    )


def build_subject(
    run: LoadedRun,
    config: RunConfig,
    *,
    reporter: Reporter,
    target: Target | None = None,
    baselines: Mapping[str, Path] | None = None,
) -> Subject:
    """Build the subject of an evaluation: data, networks, initializations, source classifier.

    Args:
        run: The run.
        config: Its settings, with `evaluate` as wanted now.
        reporter: Gets progress.
        target: Other data to measure on; None: the run's test classes.
        baselines: Other runs by name, compared at equal adaptation steps, each by its own
            inner loop.

    Raises:
        DataError: If the target's samples have another shape than the run's, or too few classes
            have samples for `evaluate.shots`.
        RunError: If the run's data are not those that it was trained on, or a baseline was trained
            on classes that the run holds out.
        ConfigError: If a setting differs that a trained run cannot follow.
    """
    dataset, fingerprint, splits, target = open_measured(run, config, target, units="classes")
    chosen_on = with_room(config.evaluate, dataset, splits.validation)
    _check_shots("validation classes", dataset, splits.validation, run.form, chosen_on)
    _check_shots(target.name, target.dataset, target.classes, run.form, config.evaluate)
    gan, _, untrained = build_run_gan(config, run.form)
    inits: dict[str, GanParams] = {"run": run.init, "scratch": untrained}
    inner: dict[str, InnerConfig] = {}
    for name, path in (baselines or {}).items():
        inits[name], inner[name] = load_start(
            path,
            config,
            untrained,
            setting=f"--baseline {name}",
            held_out=[dataset.classes[i].name for i in (*splits.validation, *splits.test)],
            dataset_sha256=fingerprint,
        )
    return Subject(
        config,
        gan,
        inits,
        dataset,
        splits.validation,
        target.dataset,
        target.classes,
        run_classifier(run, dataset, splits.train, config, reporter, stage="source classifier"),
        target.name,
        inner,
    )


def _check_shots(
    name: str, dataset: Dataset, classes: tuple[int, ...], form: Form, evaluate: EvaluateConfig
) -> None:
    """Refuse too few samples before hours of work, not after."""
    try:
        draw_target(dataset, classes, form, evaluate, shots=max(evaluate.shots), seed=0)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


def evaluate(
    run: LoadedRun, subject: Subject, *, work: WorkMap, reporter: Reporter
) -> dict[str, Any]:
    """Measure all numbers about a run.

    Args:
        run: The run.
        subject: From `build_subject`.
        work: Where items are computed; what is kept in the run folder is not computed again.
        reporter: Gets progress.

    Returns:
        A JSON-ready mapping: downstream, downstream_pretrained, downstream_centroid (accuracies
        with intervals by shots and arm), choices, validation, comparison, quality.
    """
    started = time.perf_counter()
    config = subject.config
    leak = leak_of(run, subject.validation, subject.test if subject.is_foreign else None)
    if leak is not None:
        reporter.print(f"LEAK: {leak}; the numbers below are too good")
    work = KeptResults(
        work, item_names(subject), run.folder.path / ITEMS_FOLDER, tell=reporter.print
    )
    choices, table = _choose(subject, work, reporter)
    tests = _test(subject, choices, work, reporter)
    comparison = _compare(subject, work, reporter)
    tables = downstream_tables(tests)
    return {
        "schema_version": SCHEMA_VERSION,
        "run": str(run.folder.path),
        "run_step": run.step,
        "target": subject.target_name,
        "leak": None if leak is None else leak.as_json(),
        "num_test_classes": min(len(subject.test_classes), config.evaluate.max_classes),
        "evaluate": config.evaluate.model_dump(mode="json"),
        "downstream": tables["scratch"],
        "downstream_pretrained": tables["pretrained"],
        "downstream_centroid": tables["centroid"],
        "own_checks": own_check_rows(tests),
        "choices": [_choice_json(key, choice) for key, choice in sorted(choices.items())],
        "validation": table,
        "comparison": comparison_table(comparison),
        "quality": mean_quality(comparison, "run", max(config.evaluate.adapt_steps)),
        "adapt_steps": _usual_steps(choices, config),
        "source_classifier": {
            "sha256": subject.source.features().sha256,
            "held_out_accuracy": subject.source.accuracy,
        },
        "wall_s": time.perf_counter() - started,
    }


def leak_of(run: LoadedRun, dataset: Dataset, other: Dataset | None) -> Leak | None:
    """Samples of the target that training, or the choices on validation, have seen.

    Training has looked for a leak in the run's own data; earlier versions did not.

    Args:
        run: The run.
        dataset: Its data.
        other: Those that are measured, where they are not the run's own.
    """
    sides = splits_from_names(run.splits, dataset).sides()
    if other is None:
        record = run.folder.read_json("data.json")
        if "leak" not in record:
            return find_leak(dataset, find_repeats(dataset), sides)
        return None if record["leak"] is None else Leak.of_json(record["leak"])
    sides.pop("test")
    return find_leak_into(dataset, sides, other)


def _choose(
    subject: Subject, work: WorkMap, reporter: Reporter
) -> tuple[dict[ChoiceKey, Choice], list[dict[str, Any]]]:
    config = subject.config.evaluate
    items = [
        ValidationItem(repetition, shots, steps, baselines=position == 0)
        for shots in config.shots
        for repetition in range(config.validation_seeds)
        for position, steps in enumerate(config.adapt_steps)
    ]
    stage = "choosing on validation"
    results = in_stage(stage, work(run_validation_item, subject, items), len(items), reporter)
    return make_choices(list(zip(items, results, strict=True)))


def _test(
    subject: Subject, choices: Mapping[ChoiceKey, Choice], work: WorkMap, reporter: Reporter
) -> list[tuple[TestItem, Any]]:
    config = subject.config.evaluate
    items = [
        TestItem(
            repetition,
            shots,
            {(name, arm): choices[shots, name, arm] for name in CLASSIFIERS for arm in BASELINE},
        )
        for shots in config.shots
        for repetition in range(config.seeds)
    ]
    stage = "measuring on test"
    results = in_stage(stage, work(run_test_item, subject, items), len(items), reporter)
    return list(zip(items, results, strict=True))


def _compare(subject: Subject, work: WorkMap, reporter: Reporter) -> list[ComparisonResult]:
    config = subject.config.evaluate
    shots = config.shots[len(config.shots) // 2]
    share = max(config.mix)
    items = [
        ComparisonItem(name, steps, repetition, shots, share)
        for name in subject.inits
        for steps in config.adapt_steps
        for repetition in range(min(config.seeds, config.comparison_seeds))
    ]
    stage = "comparing initializations"
    return list(in_stage(stage, work(run_comparison_item, subject, items), len(items), reporter))


def _choice_json(key: ChoiceKey, choice: Choice) -> dict[str, Any]:
    shots, classifier, arm = key
    return {
        "shots": shots,
        "classifier": classifier,
        "arm": arm,
        "adapt_steps": choice.candidate.adapt_steps,
        "share": choice.candidate.mix.share,
        "per_real": choice.candidate.mix.per_real,
        "validation_gain": choice.gain,
        "validation_stderr": choice.stderr,
        "closed": choice.rejected,
    }


def _usual_steps(choices: Mapping[ChoiceKey, Choice], config: RunConfig) -> int:
    """The number of steps chosen most often where samples are used; else the inner loop's."""
    used = [c.candidate.adapt_steps for c in choices.values() if not c.rejected]
    return max(set(used), key=used.count) if used else config.inner.steps


def in_stage(stage: str, results: Iterable[T], total: int, reporter: Reporter) -> Iterator[T]:
    """Results of items as they come, with progress told.

    It is told also when a stage begins, since one item can take minutes.
    """

    def tell(done: int) -> None:
        reporter.progress({"stage": stage, "step": done, "steps": total}, force=done in (0, total))

    tell(0)
    for done, result in enumerate(results, 1):
        tell(done)
        yield result


def open_target(
    path: Path,
    source: str,
    data: DataConfig,
    form: Form,
    *,
    said: Collection[str] = (),
    reporter: Reporter,
) -> tuple[Target, str | None]:
    """Other data to measure on, read as the run's own samples were unless settings say otherwise.

    Args:
        path: File or folder.
        source: Its layout, or auto.
        data: The run's settings of data.
        form: How the run's own samples were read.
        said: Names of fields of `data` that are said of these data.
        reporter: Gets what is noted about them.

    Returns:
        The target, and a warning if it looks as if it was read in another way than the run's own.
    """
    kind = find_kind(form.kind)
    reader = find_reader(form.kind)
    resolved = reader.detect(path) if source == "auto" and path.exists() else source
    changes = {"path": str(path), "source": source}
    changes |= kind.other_settings(data, form, resolved, said)
    data = type(data).model_validate(data.model_copy(update=changes).model_dump())
    other = open_dataset(data)
    for note in first_notes(kind.other_notes(other.notes, said), reader.note_words):
        reporter.print(f"note: {note}")
    target = Target(other, measured_classes(other), str(path), source)
    return target, kind.other_looks(other, form, data)
