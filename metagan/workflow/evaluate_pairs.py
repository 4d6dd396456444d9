"""Evaluate a run whose samples answer inputs: against every rival that needs less."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metagan.config.settings import RunConfig
from metagan.core.algorithms import inner_settings
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.library import Library
from metagan.data.pairs import reference_domain
from metagan.evaluate.evaluation import WorkMap
from metagan.evaluate.kept import KeptResults
from metagan.evaluate.pairs.items import (
    NOT_ADAPTED,
    PLAIN,
    Contestant,
    Errors,
    PairItem,
    PairSubject,
    run_pair_item,
)
from metagan.evaluate.pairs.kept import pair_names
from metagan.evaluate.pairs.measures import UNSEEN, WORDS, is_larger_better
from metagan.evaluate.pairs.reader import read_items, reading_tables, run_read_item
from metagan.evaluate.pairs.rivals import WORDS as RIVALS
from metagan.evaluate.pairs.tables import (
    Chosen,
    arm_tables,
    choose_candidates,
    chosen_values,
    decide,
    measures_of,
    plain_names,
    wanted,
)
from metagan.evaluate.pairs.task import pick_pairs
from metagan.evaluate.pairs.verdict import gate_json, verdict
from metagan.evaluate.source_classifier import SourceClassifier
from metagan.evaluate.target import Adaptation
from metagan.kinds.registry import find_kind
from metagan.runs.run_folder import RunError
from metagan.workflow.evaluate import (
    ITEMS_FOLDER,
    SCHEMA_VERSION,
    Target,
    in_stage,
    leak_of,
    open_measured,
    run_classifier,
)
from metagan.workflow.reference import is_from_reference
from metagan.workflow.setup import LoadedRun, check_not_seen, load_run
from metagan.workflow.step_log import Reporter
from metagan.workflow.worker import build_run_gan, converter


def build_pair_subject(
    run: LoadedRun,
    config: RunConfig,
    *,
    reporter: Reporter,
    target: Target | None = None,
    baselines: Mapping[str, Path] | None = None,
) -> PairSubject:
    """Build the subject of an evaluation of pairs: targets, networks, training domains, judge.

    Args:
        run: The run.
        config: Its settings, with `evaluate` as wanted now.
        reporter: Gets progress.
        target: Other data to measure on; None: the run's test domains.
        baselines: Other runs by name, each with its own networks and inner loop.

    Raises:
        DataError: If no target has enough pairs, or its samples are not as the run's.
        RunError: If the run's data are not those that it was trained on, or a baseline was trained
            on classes that the run holds out, or on samples of another form.
        ConfigError: If a setting differs that a trained run cannot follow.
    """
    dataset, fingerprint, splits, target = open_measured(run, config, target, units="domains")
    has_labels = is_from_reference(run.form)
    if has_labels and reference_domain(target.dataset) is None:
        raise DataError(
            f"{target.name}: its pairs need a reference domain, as the run's have, and these data "
            "have none; measure on data that have one"
        )
    if config.evaluate.classify and not has_labels:
        raise DataError(
            "evaluate.classify is true, but inputs have no labels that domains share, so there is "
            "nothing to read; leave it out"
        )
    if remark := find_kind(run.form.kind).remark(run.form, "evaluate"):
        reporter.print(f"note: {remark}")
    library = Library(dataset, splits.train, converter(run.form)) if has_labels else None
    data = {"validation": dataset, "test": target.dataset}
    sides = {"validation": splits.validation, "test": target.classes}
    domains = {
        split: _usable(split, data[split], sides[split], library, config, reporter)
        for split in data
    }
    held_out = {dataset.classes[i].name for i in (*splits.validation, *splits.test)}
    gan, _, untrained = build_run_gan(config, run.form)
    inner = inner_settings(config)
    contestants = {
        "run": Contestant(gan, run.init, inner, config),
        "scratch": Contestant(gan, untrained, inner, config),
    }
    for name, path in (baselines or {}).items():
        contestants[name] = _baseline(name, path, run, held_out, fingerprint)
    return PairSubject(
        config,
        run.form,
        contestants,
        data,
        domains,
        library,
        _judge(run, dataset, splits.train, config, reporter) if has_labels else None,
        target.name,
        target.dataset is not dataset,
    )


def _usable(
    split: str,
    dataset: Dataset,
    classes: Sequence[int],
    library: Library | None,
    config: RunConfig,
    reporter: Reporter,
) -> dict[str, tuple[int, ...]]:
    """Target domains with enough pairs: {domain: classes}.

    Raises:
        DataError: If there is none.
    """
    found: dict[str, list[int]] = {}
    for index in classes:
        found.setdefault(dataset.classes[index].domain, []).append(index)
    most = max(config.evaluate.shots)
    usable, problems = {}, []
    for domain, members in found.items():
        try:
            pick_pairs(dataset, members, library, most_shots=most, seed=0)
        except DataError as error:
            problems.append(str(error))
        else:
            usable[domain] = tuple(members)
    if not usable:
        raise DataError(f"no {split} domain can be measured: {problems[0]}")
    if problems:
        more = f" (and {len(problems) - 1} more domains)" if len(problems) > 1 else ""
        reporter.print(f"note: left out of {split}: {problems[0]}{more}")
    return usable


def _baseline(
    name: str, path: Path, run: LoadedRun, held_out: set[str], dataset_sha256: str
) -> Contestant:
    """Another run that takes part, with its own networks.

    Raises:
        RunError: If it was trained on what this run holds out, or on other samples.
    """
    if name in ("run", "scratch", PLAIN):
        raise RunError(f"--baseline {name}={path}: the name {name} is taken; choose another")
    other = load_run(path)
    if "input" not in other.config.gan.conditioning or replace(other.form, given=()) != replace(
        run.form, given=()
    ):
        raise RunError(
            f"--baseline {name} {path}: it was trained on samples of another form, or is not told "
            "inputs; train it on the same data with gan.conditioning input"
        )
    check_not_seen(other, held_out, setting=f"--baseline {name}", dataset_sha256=dataset_sha256)
    return Contestant(other.gan, other.init, inner_settings(other.config), other.config)


def _judge(
    run: LoadedRun,
    dataset: Dataset,
    train: Sequence[int],
    config: RunConfig,
    reporter: Reporter,
) -> SourceClassifier | None:
    """A classifier of the labels of training domains, kept in the run folder."""
    by_label: dict[str, list[Any]] = {}
    for index in train:
        samples = dataset.class_samples(index)
        by_label.setdefault(dataset.classes[index].label, []).extend(samples)
    if len(by_label) < 2:
        return None
    merged = Dataset.from_classes(
        {ClassRecord("labels", label): samples for label, samples in by_label.items()},
        kind=dataset.kind,
    )
    classes = tuple(range(merged.num_classes))
    return run_classifier(run, merged, classes, config, reporter, stage="classifier of labels")


def evaluate_pairs(
    run: LoadedRun, subject: PairSubject, *, work: WorkMap, reporter: Reporter
) -> dict[str, Any]:
    """Measure all numbers about a run of pairs.

    Args:
        run: The run.
        subject: From `build_pair_subject`.
        work: Where items are computed; what is kept in the run folder is not computed again.
        reporter: Gets progress.

    Returns:
        A JSON-ready mapping; see docs/evaluation.md.
    """
    started = time.perf_counter()
    evaluate = subject.config.evaluate
    other = subject.data["test"] if subject.is_foreign else None
    leak = leak_of(run, subject.data["validation"], other)
    if leak is not None:
        reporter.print(f"LEAK: {leak}; the numbers below are too good")
    kept = KeptResults(
        work, pair_names(subject), run.folder.path / ITEMS_FOLDER, tell=reporter.print
    )

    def measured(stage: str, items: Sequence[PairItem]) -> list[tuple[PairItem, Errors]]:
        found = in_stage(stage, kept(run_pair_item, subject, items), len(items), reporter)
        return list(zip(items, found, strict=True))

    whose = (PLAIN, *subject.contestants)
    tried = [
        PairItem("validation", domain, repetition, shots, who)
        for shots in evaluate.shots
        for domain in subject.domains["validation"]
        for repetition in range(evaluate.validation_seeds)
        for who in whose
    ]
    results = measured("choosing on validation", tried)
    chosen, plain = choose_candidates(results), plain_names(results)
    items = [
        PairItem("test", domain, repetition, shots, who, wanted(chosen, shots, who, plain))
        for shots in evaluate.shots
        for domain in subject.domains["test"]
        for repetition in range(evaluate.seeds)
        for who in whose
    ]
    tests = measured("measuring on test", items)
    measures = measures_of(tests)
    reading = None
    if evaluate.classify:
        reads = read_items(subject, chosen, measures[0])
        answered = in_stage("readers", kept(run_read_item, subject, reads), len(reads), reporter)
        reading = reading_tables(list(zip(reads, answered, strict=True)))
    on_validation, on_test = chosen_values(results, chosen), chosen_values(tests, chosen)
    arms, differences = arm_tables(on_test)
    gates = {shots: decide(on_validation, shots, measures[0], plain) for shots in evaluate.shots}
    words = {
        str(shots): verdict(shots, measures[0], gate, on_test, others=len(subject.contestants) - 2)
        for shots, gate in gates.items()
    }
    middle = evaluate.shots[len(evaluate.shots) // 2]
    return {
        "schema_version": SCHEMA_VERSION,
        "run": str(run.folder.path),
        "run_step": run.step,
        "target": subject.target_name,
        "leak": None if leak is None else leak.as_json(),
        "yardstick": "predict",
        "measures": {
            name: {
                "better": "larger" if is_larger_better(name) else "smaller",
                "meaning": WORDS[name.removesuffix(UNSEEN)]
                + (", of labels that no training domain has" if name.endswith(UNSEEN) else ""),
            }
            for name in measures
        },
        "domains": list(subject.domains["test"]),
        "evaluate": evaluate.model_dump(mode="json"),
        "arms": arms,
        "differences": differences,
        "values": _values(on_test),
        "reading": reading,
        "plain_arms": {arm: RIVALS[arm] for arm in plain},
        "choices": _choices(subject, chosen),
        "gate": {"shots": middle, **gate_json(gates[middle], measures[0])},
        "gates": {str(shots): gate_json(gate, measures[0]) for shots, gate in gates.items()},
        "verdict": words[str(middle)],
        "verdicts": words,
        "adaptation": {
            str(shots): vars(
                subject.contestants["run"].adaptations(evaluate)[chosen[shots, measures[0], "run"]]
            )
            for shots in evaluate.shots
        },
        "wall_s": time.perf_counter() - started,
    }


def ways_chosen(result: Mapping[str, Any]) -> dict[str, Adaptation]:
    """How each contestant adapts by what validation chose, at the middle number of shots.

    Args:
        result: From `evaluate_pairs`.
    """
    gate = result["gate"]
    return {
        row["arm"]: Adaptation(row["steps"], row["lr"], row["solve"])
        for row in result["choices"]
        if "solve" in row and (row["shots"], row["measure"]) == (gate["shots"], gate["measure"])
    }


def _values(values: Mapping[tuple[int, str, str], Mapping[str, float]]) -> dict[str, Any]:
    """{shots: {measure: {arm: {domain: value}}}}, from which runs of several seeds are pooled."""
    found: dict[str, Any] = {}
    for (shots, measure, arm), units in values.items():
        found.setdefault(str(shots), {}).setdefault(measure, {})[arm] = dict(units)
    return found


def _choices(subject: PairSubject, chosen: Chosen) -> list[dict[str, Any]]:
    """Choices on validation, a row for each shots, measure and arm."""
    rows: list[dict[str, Any]] = []
    for (shots, measure, arm), candidate in chosen.items():
        row: dict[str, Any] = {"shots": shots, "measure": measure, "arm": arm, "chosen": candidate}
        who = arm.removesuffix(NOT_ADAPTED)
        if who in subject.contestants:
            contestant = subject.contestants[who]
            how = contestant.adaptations(subject.config.evaluate)[candidate]
            row |= {"how": contestant.words(how), **vars(how)}
        rows.append(row)
    return rows
