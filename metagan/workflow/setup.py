"""Setup of every command: data, splits, networks; and the opening of a finished run."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metagan.config.data import DataConfig
from metagan.config.learning import InnerConfig
from metagan.config.load import load_config
from metagan.config.may_change import other_networks
from metagan.config.settings import RunConfig
from metagan.core.algorithms import inner_settings
from metagan.core.derivative_check import check_derivatives
from metagan.core.gan import GanPair
from metagan.core.outer_loop import WorkerSpec
from metagan.core.params import GanParams, Layout
from metagan.data.cache import open_dataset
from metagan.data.dataset import DataError, Dataset
from metagan.data.form import Form
from metagan.data.library import told_form
from metagan.data.pairs import reference_domain
from metagan.data.repeats import Leak, Repeats, find_leak, find_repeats
from metagan.data.splits import Splits, make_splits, splits_from_names
from metagan.data.tasks import DatasetTasks
from metagan.kinds.registry import find_kind
from metagan.runs.checkpoint import (
    CheckpointError,
    load_best,
    params_from_named,
    read_tensors,
)
from metagan.runs.places import check_run
from metagan.runs.run_folder import RunError, RunFolder
from metagan.workflow.worker import build_run_gan, open_tasks


@dataclass(frozen=True)
class TrainSetup:
    """The data, networks and weights that driver and workers share before the first step.

    Attributes:
        dataset: All samples.
        splits: Train, validation and test classes.
        source: Episodes.
        gan: Networks and losses.
        layout: Of the flat vector.
        initial: Untrained weights.
        spec: What workers are sent.
    """

    dataset: Dataset
    splits: Splits
    source: DatasetTasks
    gan: GanPair
    layout: Layout
    initial: GanParams
    spec: WorkerSpec


def prepare(
    config: RunConfig,
    *,
    splits: Mapping[str, Sequence[str]] | None = None,
    resumed: RunFolder | None = None,
) -> TrainSetup:
    """Open the data and build the networks.

    Args:
        config: The run.
        splits: Class names by split that the run stored; None draws them from the seed.
        resumed: A run to continue, on the data that it was started on.

    Raises:
        DataError: If the data cannot be opened.
        RunError: If they are other data than those of the resumed run.
        ValueError: If the networks have no weights that are to move, or lack a derivative that the
            algorithm takes.
    """
    dataset = open_dataset(config.data)
    fingerprint = dataset.fingerprint()
    if resumed is not None:
        check_same_data(resumed, dataset, fingerprint)
    chosen = (
        make_splits(dataset, config.data, seed=config.seed)
        if splits is None
        else splits_from_names(splits, dataset)
    )
    # Of the training classes alone: nothing of what is held out reaches the weights.
    form = find_kind(dataset.kind).fit(dataset, chosen.train, config.data)
    if "library" in config.gan.conditioning:
        if reference_domain(dataset) is None:
            raise DataError(
                "gan.conditioning has library, but inputs have no labels that domains share; set "
                "data.reference_domain, or leave library out"
            )
        form = told_form(form)
    source = open_tasks(dataset, chosen, config, form)
    gan, layout, initial = build_run_gan(config, form)
    check_derivatives(gan, initial, config, form)
    spec = WorkerSpec(config, form, chosen.names(dataset), fingerprint, layout.sha256)
    return TrainSetup(dataset, chosen, source, gan, layout, initial, spec)


def check_leak(
    setup: TrainSetup, config: DataConfig, repeats: Repeats | None = None
) -> Leak | None:
    """Pictures on several sides of the split, where `data.allow_leaks` lets them be.

    Args:
        setup: Data and splits.
        config: The data settings.
        repeats: Samples of equal content, where they have been found already.

    Raises:
        DataError: If there is a leak and it is not allowed.
    """
    repeats = find_repeats(setup.dataset) if repeats is None else repeats
    leak = find_leak(setup.dataset, repeats, setup.splits.sides())
    if leak is None or config.allow_leaks:
        return leak
    others = "".join(f"\n  {first} = {second}" for first, second in leak.examples)
    raise DataError(
        f"leak: {leak}; what is measured would be too good. Remove the copies, put both classes on "
        "one side (data.test_domains, data.split_by), or set data.allow_leaks=true to train all "
        f"the same; classes with copies are:{others}"
    )


@dataclass(frozen=True)
class LoadedRun:
    """A trained run, opened for use.

    Attributes:
        folder: Where it is.
        config: Its settings.
        gan: Its networks and losses.
        layout: Of its weights.
        init: The averaged initialization of its best checkpoint.
        step: Outer steps that it was trained for.
        splits: Class names by split.
        form: Of its samples.
        trained: The settings that it was trained with, whatever `config` has been replaced by.
    """

    folder: RunFolder
    config: RunConfig
    gan: GanPair
    layout: Layout
    init: GanParams
    step: int
    splits: Mapping[str, Sequence[str]]
    trained: RunConfig
    form: Form


def load_run(path: str | os.PathLike[str], model: type[RunConfig] | None = None) -> LoadedRun:
    """Open a run at its best checkpoint, see `load_best`.

    Args:
        path: The run folder.
        model: The settings' type; None: `RunConfig`, without the sections that it does not know,
            such as those of the cluster.

    Raises:
        RunError: If it is no run or has no checkpoint.
        CheckpointError: If its checkpoint is damaged; the message names an intact one.
    """
    check_run(path)
    folder = RunFolder(Path(path))
    config = load_config(
        RunConfig if model is None else model,
        folder.config_file,
        only_known=model is None,
    ).config
    form = form_of_run(config.data, folder)
    gan, layout, _ = build_run_gan(config, form)
    checkpoint = load_best(folder.checkpoints, layout)
    if checkpoint is None:
        raise RunError(f"{path} has no checkpoint yet; train it with --resume")
    file = "ema.safetensors"
    init = params_from_named(
        read_tensors(checkpoint.path, file), layout, file=str(checkpoint.path / file)
    )
    splits = folder.read_json("splits.json")
    return LoadedRun(folder, config, gan, layout, init, checkpoint.state.step, splits, config, form)


def form_of_run(config: DataConfig, folder: RunFolder) -> Form:
    """The form that a run's samples were read by.

    Raises:
        RunError: If the run folder does not say.
    """
    record = folder.read_json("data.json")
    if "form" in record:
        return Form.of_json(record["form"])
    before = find_kind(config.kind).form_of_before
    if before is None:
        raise RunError(f"{folder.path}: data.json does not say how its samples are read")
    return before(config, record)


def data_record(setup: TrainSetup, leak: Leak | None) -> dict[str, object]:
    """Record of a run's data: their hash, to know them again, and how samples were read.

    Args:
        setup: Data and splits.
        leak: What `check_leak` found.
    """
    dataset = setup.dataset
    return {
        "sha256": setup.spec.dataset_sha256,
        "sample_shape": list(dataset.sample_shape),
        "samples": {record.name: dataset.count(i) for i, record in enumerate(dataset.classes)},
        "notes": list(dataset.notes),
        "left_out": list(setup.source.left_out),
        "origin": dict(dataset.origin),
        "leak": None if leak is None else leak.as_json(),
        "form": setup.spec.form.as_json(),
    }


def check_same_data(folder: RunFolder, dataset: Dataset, sha256: str) -> None:
    """Refuse data that a run was not started on; their path does not matter.

    Args:
        folder: The run.
        dataset: The data as they are now.
        sha256: Its `Dataset.fingerprint`.

    Raises:
        RunError: If they differ, with what differs.
    """
    record = folder.read_json("data.json")
    stored = str(record["sha256"])
    if stored != sha256:
        raise RunError(
            f"{folder.path} was started on other data (sha256 {stored[:12]}, now {sha256[:12]}: "
            f"{_what_changed(folder, record, dataset)}); point data.path at the same data"
        )


def _what_changed(folder: RunFolder, record: Mapping[str, Any], dataset: Dataset) -> str:
    """Classes, numbers or sizes in which the data differ from those of a run."""
    now = {entry.name: dataset.count(i) for i, entry in enumerate(dataset.classes)}
    counts = record.get("samples")
    if isinstance(counts, Mapping):
        before = dict(counts)
    else:  # A run of an earlier version: the classes are known from its split alone.
        splits = folder.read_json("splits.json")
        before = {name: now.get(name, 0) for names in splits.values() for name in names}
    shape = record.get("sample_shape")
    parts = []
    if shape is not None and list(shape) != list(dataset.sample_shape):
        parts.append(f"samples of {tuple(shape)} before, {dataset.sample_shape} now")
    for names, words in (
        (sorted(before.keys() - now.keys()), "not there any more"),
        (sorted(now.keys() - before.keys()), "new"),
    ):
        if names:
            parts.append(f"{_some(names)} {'is' if len(names) == 1 else 'are'} {words}")
    other = sorted(name for name in before.keys() & now.keys() if before[name] != now[name])
    if other:
        parts.append(
            f"{other[0]} has {now[other[0]]} samples, {before[other[0]]} before"
            + (f", and {len(other) - 1} more classes differ" if len(other) > 1 else "")
        )
    return "; ".join(parts) or "the same classes, but other pictures or names of splits"


def _some(names: Sequence[str]) -> str:
    """`class a`, or `3 classes, such as a`."""
    return f"class {names[0]}" if len(names) == 1 else f"{len(names)} classes, such as {names[0]},"


def load_start(
    path: Path,
    config: RunConfig,
    initial: GanParams,
    *,
    setting: str,
    held_out: Iterable[str],
    dataset_sha256: str,
) -> tuple[GanParams, InnerConfig]:
    """Another run's averaged initialization to start from or to compare with, and its inner loop.

    The inner rates that it learned come with it, which its own inner loop uses.

    Args:
        path: The other run.
        config: This run's settings.
        initial: What this run starts from by itself; the other's networks must be like these.
        setting: What asked for it, for messages.
        held_out: Names of the classes that this run chooses or measures on.
        dataset_sha256: Fingerprint of this run's data.

    Raises:
        CheckpointError: If that run's networks differ.
        RunError: If it was trained on a class that is held out here.
    """
    loaded = load_run(path)
    differing = other_networks(config, loaded.config)
    both = [Layout.of(params.players).sha256 for params in (loaded.init, initial)]
    if differing or both[0] != both[1]:
        named = f" ({'; '.join(differing)})" if differing else ""
        raise CheckpointError(
            f"{setting} {path}: its networks differ from this run's{named}; use the same gan.*, "
            "and data whose samples have the same shape"
        )
    check_not_seen(loaded, held_out, setting=setting, dataset_sha256=dataset_sha256)
    return loaded.init, inner_settings(loaded.config)


def check_not_seen(
    other: LoadedRun, held_out: Iterable[str], *, setting: str, dataset_sha256: str
) -> None:
    """Refuse another run that was trained on what this one holds out.

    Args:
        other: The other run.
        held_out: Names of the classes that this run chooses or measures on.
        setting: What asked for the other, for messages.
        dataset_sha256: Fingerprint of this run's data.

    Raises:
        RunError: If it was.
    """
    if other.folder.read_json("data.json")["sha256"] != dataset_sha256:
        return
    if seen := sorted(set(other.splits["train"]) & set(held_out)):
        raise RunError(
            f"{setting} {other.folder.path} was trained on {seen[0]!r} (and {len(seen) - 1} more) "
            "that this run holds out; use the same seed and the same data.* split settings for both"
        )


def as_start(other: GanParams, initial: GanParams) -> GanParams:
    """Another run's weights as a start.

    Its inner rates are taken where this run learns the same; elsewhere rates start as in an
    untrained run.

    Args:
        other: The other run's initialization.
        initial: What this run starts from by itself.
    """
    start = initial._replace(generator=other.generator, discriminator=other.discriminator)
    theirs, ours = ({name: rate.shape for name, rate in p.rates.items()} for p in (other, initial))
    return start._replace(rates=other.rates) if theirs == ours else start
