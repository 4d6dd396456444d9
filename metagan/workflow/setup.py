"""What every command needs first: data, splits, networks; and how to open a finished run."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metagan.algorithms import inner_settings
from metagan.checkpoint import (
    CheckpointError,
    load_best,
    params_from_named,
    read_tensors,
)
from metagan.config import load_config
from metagan.dataset import DataError, Dataset
from metagan.gan import GanPair
from metagan.params import GanParams, Layout, map_params
from metagan.probe import check_derivatives
from metagan.run_folder import RunError, RunFolder
from metagan.settings import DataConfig, InnerConfig, RunConfig
from metagan.sources.cache import open_dataset
from metagan.sources.record import Reading
from metagan.sources.repeats import Leak, Repeats, find_leak, find_repeats
from metagan.strict_yaml import parse_document
from metagan.tasks import DatasetTasks, Splits, make_splits, splits_from_names
from metagan.train import WorkerSpec, build_run_gan


@dataclass(frozen=True)
class TrainSetup:
    """What driver and workers agree on before the first step.

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


def prepare(config: RunConfig, *, splits: Mapping[str, Sequence[str]] | None = None) -> TrainSetup:
    """Open the data and build the networks.

    Args:
        config: The run.
        splits: Class names by split that the run stored; None draws them from the seed.

    Raises:
        DataError: If the data cannot be opened.
        ValueError: If the networks have no weights that are to move, or lack a derivative that the
            algorithm takes.
    """
    dataset = open_dataset(config.data)
    chosen = (
        make_splits(dataset, config.data, seed=config.seed)
        if splits is None
        else splits_from_names(splits, dataset)
    )
    source = DatasetTasks(dataset, chosen, config.task)
    gan, layout, initial = build_run_gan(config, dataset.sample_shape)
    check_derivatives(gan, initial, config, dataset.sample_shape)
    spec = WorkerSpec(config, chosen.names(dataset), dataset.fingerprint(), layout.sha256)
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
        reading: How its pictures were read.
    """

    folder: RunFolder
    config: RunConfig
    gan: GanPair
    layout: Layout
    init: GanParams
    step: int
    splits: Mapping[str, Sequence[str]]
    reading: Reading


def load_run(path: Path, model: type[RunConfig] | None = None) -> LoadedRun:
    """Open a run at its best checkpoint, see `load_best`.

    Args:
        path: The run folder.
        model: The settings' type; None: `RunConfig`, without the sections that it does not know,
            such as those of the cluster.

    Raises:
        RunError: If it is no run or has no checkpoint.
        CheckpointError: If its checkpoint is damaged; the message names an intact one.
    """
    folder = RunFolder(path)
    if not folder.exists():
        raise RunError(f"{path} is not a run (no config.yaml in it); train one with --run {path}")
    config = (
        _own_settings(folder.config_file)
        if model is None
        else load_config(model, folder.config_file).config
    )
    shape = (config.data.channels, config.data.image_size, config.data.image_size)
    gan, layout, _ = build_run_gan(config, shape)
    checkpoint = load_best(folder.checkpoints, layout)
    if checkpoint is None:
        raise RunError(f"{path} has no checkpoint yet; train it with --resume")
    file = "ema.safetensors"
    init = params_from_named(
        read_tensors(checkpoint.path, file), layout, file=str(checkpoint.path / file)
    )
    splits = folder.read_json("splits.json")
    reading = Reading.of_run(config.data, folder.read_json("data.json"))
    return LoadedRun(folder, config, gan, layout, init, checkpoint.state.step, splits, reading)


def _own_settings(file: Path) -> RunConfig:
    sections = parse_document(file.read_text(encoding="utf-8")).data
    known = {name: sections[name] for name in RunConfig.model_fields if name in sections}
    return RunConfig.model_validate_json(json.dumps(known))


def check_same_data(folder: RunFolder, sha256: str) -> None:
    """Refuse to go on with data that a run was not started on.

    Args:
        folder: The run.
        sha256: `Dataset.fingerprint` of the data as they are now.

    Raises:
        RunError: If they differ.
    """
    stored = str(folder.read_json("data.json")["sha256"])
    if stored != sha256:
        raise RunError(
            f"{folder.path} was started on other data (sha256 {stored[:12]}, now {sha256[:12]}); "
            "point data.path at the same data"
        )


def load_start(
    path: Path,
    model: type[RunConfig],
    initial: GanParams,
    *,
    setting: str,
    held_out: Iterable[str],
    dataset_sha256: str,
) -> tuple[GanParams, InnerConfig]:
    """Another run's averaged initialization to start from or to compare with, and its inner loop.

    All that it learned about adapting its weights comes with it, which its own inner loop uses.

    Args:
        path: The other run.
        model: The settings' type.
        initial: What this run starts from by itself; the other's networks must be like these.
        setting: What asked for it, for messages.
        held_out: Names of the classes that this run chooses or measures on.
        dataset_sha256: Fingerprint of this run's data.

    Raises:
        CheckpointError: If that run's networks differ.
        RunError: If it was trained on a class that is held out here.
    """
    loaded = load_run(path, model)
    both = [Layout.of(params.players).sha256 for params in (loaded.init, initial)]
    if both[0] != both[1]:
        raise CheckpointError(
            f"{setting} {path}: its networks differ from this run's; use the same gan.* and "
            "data.image_size, data.channels"
        )
    if loaded.folder.read_json("data.json")["sha256"] == dataset_sha256:
        seen = sorted(set(loaded.splits["train"]) & set(held_out))
        if seen:
            raise RunError(
                f"{setting} {path} was trained on {seen[0]!r} (and {len(seen) - 1} more) that this "
                "run holds out; use the same seed and the same data.* split settings for both"
            )
    return loaded.init, inner_settings(loaded.config)


def as_start(
    other: GanParams, other_inner: InnerConfig, initial: GanParams, inner: InnerConfig
) -> GanParams:
    """Another run's weights to go on from.

    What it learned about adapting them is taken where this run learns the same; elsewhere that
    starts as in an untrained run.

    Args:
        other: The other run's initialization.
        other_inner: Its inner loop.
        initial: What this run starts from by itself.
        inner: Its inner loop.
    """
    start = initial._replace(generator=other.generator, discriminator=other.discriminator)
    for part, gain in (("rates", "rates_gain"), ("moments", "state_gain")):
        theirs, ours = getattr(other, part), getattr(initial, part)
        if [(n, w.shape) for n, w in theirs.items()] == [(n, w.shape) for n, w in ours.items()]:
            # Under another gain the same rates and moments are other numbers.
            scale = getattr(other_inner, gain) / getattr(inner, gain)
            start = start._replace(**{part: map_params(lambda w: w * scale, theirs)})  # noqa: B023
    return start
