"""Adapt a run's initialization to a user's own pictures, and keep the result as a folder."""

import argparse
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metagan.algorithms import check_moves, inner_settings
from metagan.checkpoint import (
    MANIFEST,
    CheckpointError,
    named_tensors,
    read_manifest,
    read_tensors,
    write_tensor_folder,
)
from metagan.cli.console import command_line
from metagan.cli.context import Context
from metagan.cli.options import load_run as load_run_settings
from metagan.dataset import DataError
from metagan.evaluate.target import AdaptedTarget, adapt_to_target, generate_samples
from metagan.gan import GanPair, build_gan
from metagan.params import GanParams
from metagan.pictures import grid, png_bytes
from metagan.places import ADAPTED, what_it_is
from metagan.run_folder import RunError
from metagan.samples import picture_classes
from metagan.settings import DataConfig, GanConfig, RunConfig
from metagan.sources.decode import decode_image, is_picture
from metagan.sources.tree import read_tree
from metagan.tasks import to_float, to_uint8
from metagan.trained import check_changes
from metagan.words import counted
from metagan.workflow.setup import LoadedRun, load_run

# Sources whose pictures are known to be ink, 255, on 0.
BRIGHT_INK = ("glyphs", "omniglot")
WEIGHTS, SUPPORT = "adapted.safetensors", "support.safetensors"


@dataclass(frozen=True)
class AdaptedGan:
    """An adapted GAN read back from its folder.

    Attributes:
        gan: Networks.
        target: Weights and support samples.
        labels: Class names, one per class.
        info: The manifest: run, steps, seed, settings.
    """

    gan: GanPair
    target: AdaptedTarget
    labels: tuple[str, ...]
    info: Mapping[str, Any]


def read_support(path: Path, config: DataConfig) -> tuple[dict[str, np.ndarray], list[str]]:
    """A user's examples: a folder of pictures is one class, sub-folders are one class each.

    Args:
        path: Folder or archive.
        config: Decides size and channels.

    Returns:
        {class name: (n, C, H, W) uint8} and what could not be read, one line each.

    Raises:
        DataError: If nothing could be read, pictures lie both at the top and in sub-folders, or
            two sub-folders have the same name.
    """
    if not path.exists():
        raise DataError(f"--support {path}: no such folder")
    classes: dict[str, list[np.ndarray]] = {}
    unread: list[str] = []
    folders: dict[str, set[tuple[str, ...]]] = {}
    for file in read_tree(path, is_picture):
        if file.content is None:
            if file.is_empty_folder:
                unread.append(f"{file.name}: an empty folder")
            if file.problem:
                unread.append(f"{file.name}: {file.problem}")
            continue
        label = file.parts[-2] if len(file.parts) > 1 else path.resolve().stem
        folders.setdefault(label, set()).add(file.parts[:-1])
        try:
            picture, _ = decode_image(
                file.content,
                file.name,
                image_size=config.image_size,
                channels=config.channels,
                invert=config.invert,
            )
        except DataError as error:
            unread.append(str(error))
            continue
        classes.setdefault(label, []).append(picture)
    if not classes:
        detail = f" ({unread[0]})" if unread else ""
        raise DataError(f"--support {path}: no readable pictures in it{detail}")
    _check_folders(path, folders)
    return {label: np.stack(pictures) for label, pictures in sorted(classes.items())}, unread


def _check_folders(path: Path, folders: Mapping[str, set[tuple[str, ...]]]) -> None:
    """Refuse a tree from which it is not plain which pictures are one class."""
    if len(folders) > 1 and any(() in where for where in folders.values()):
        raise DataError(
            f"--support {path}: pictures lie both in the folder and in sub-folders; give one "
            "class's pictures alone, or a sub-folder for every class"
        )
    for label, where in folders.items():
        if len(where) > 1:
            named = " and ".join(sorted("/".join(parts) for parts in where)[:2])
            raise DataError(f"--support {path}: {named} are both called {label}; rename one")


def adapt_run(
    run: LoadedRun,
    classes: Mapping[str, np.ndarray],
    *,
    steps: int | None = None,
    seed: int | None = None,
) -> AdaptedTarget:
    """Adapt to a user's classes; those with fewer pictures than others repeat some of theirs.

    Args:
        run: The trained run.
        classes: {label: (n, C, H, W) uint8}, such as `read_support` gives; for other pictures see
            `metagan.samples.picture_classes`.
        steps: Inner steps; None: see `default_steps`.
        seed: Names every draw; None: the run's.

    Raises:
        DataError: If the pictures are not such as the run was trained on.
        ConfigError: If `run.config` has been given settings that a trained run cannot follow.
        ValueError: If `steps` is negative, or `run` is not what `load_run` returned.
    """
    _check_opened(run)
    data, config = run.trained.data, run.config
    pictures = picture_classes(classes, shape=(data.channels, data.image_size, data.image_size))
    inner = inner_settings(config)
    check_moves(inner, run.init)
    shots = max(len(array) for array in pictures.values())
    support = np.stack([array[np.arange(shots) % len(array)] for array in pictures.values()])
    return adapt_to_target(
        replace(run.gan, config=config.gan),
        run.init,
        to_float(support),
        inner=inner,
        task=config.task,
        steps=default_steps(run) if steps is None else steps,
        batch_size=config.evaluate.adapt_batch_size,
        seed=config.seed if seed is None else seed,
    )


def _check_opened(run: object) -> None:
    """Refuse what is no opened run, or has been given settings that it cannot follow."""
    if not isinstance(run, LoadedRun):
        raise ValueError(f"run is {type(run).__name__}; give what metagan.load_run(folder) returns")
    check_changes(run.trained, run.config, run=run.folder.path, where="run.config", use="adapt")


def save_adapted(
    out: str | os.PathLike[str],
    run: LoadedRun,
    target: AdaptedTarget,
    labels: Iterable[str],
    *,
    steps: int | None = None,
    seed: int | None = None,
) -> None:
    """Write the adapted GAN as a folder that appears whole.

    Args:
        out: The folder, which must be new.
        run: The trained run.
        target: What `adapt_run` made of it.
        labels: The classes' names, in the order of the target's.
        steps: What `adapt_run` was given, for the record; and the same for the seed.
        seed: See `steps`.

    Raises:
        RunError: If `out` exists.
        ValueError: If there are not as many labels as classes.
    """
    _check_opened(run)
    folder, names = Path(out), [str(label) for label in labels]
    if folder.exists():
        raise RunError(f"--out {folder} exists already; choose another folder or remove it")
    if isinstance(labels, str) or len(names) != len(target.support):
        raise ValueError(
            f"labels are {len(names)}, but the target has {len(target.support)} classes; give one "
            "name each, as in list(classes)"
        )
    info = {
        "what": ADAPTED,
        "run": str(run.folder.path),
        "run_step": run.step,
        "labels": names,
        "classes_each": target.classes_each,
        "steps": default_steps(run) if steps is None else steps,
        "seed": run.config.seed if seed is None else seed,
        "best_of": run.config.evaluate.best_of,
        "sample_shape": list(target.support.shape[2:]),
        "gan": run.config.gan.model_dump(mode="json"),
    }
    files = {WEIGHTS: named_tensors(target.params), SUPPORT: {"support": target.support}}
    write_tensor_folder(folder, files, info)


def load_adapted(path: str | os.PathLike[str]) -> AdaptedGan:
    """Read what `save_adapted` wrote.

    Raises:
        CheckpointError: If it is not that, or damaged.
    """
    folder = Path(path)
    info = read_manifest(folder) if (folder / MANIFEST).is_file() else {}
    needed = {"gan", "sample_shape", "classes_each", "labels", "files"}
    if info.get("what") != ADAPTED or not needed <= set(info):
        raise CheckpointError(
            f"{folder}: not the result of metagan adapt, or not all of it; {what_it_is(folder)}"
        )
    gan, _ = build_gan(
        GanConfig.model_validate(info["gan"], strict=False), tuple(info["sample_shape"]), seed=0
    )
    players: dict[str, dict[str, Tensor]] = {player: {} for player in GanParams._fields}
    for name, tensor in read_tensors(folder, WEIGHTS).items():
        player, _, weight = name.partition(".")
        players[player][weight] = tensor
    support = read_tensors(folder, SUPPORT)["support"]
    target = AdaptedTarget(GanParams(**players), info["classes_each"], support)
    return AdaptedGan(gan, target, tuple(info["labels"]), info)


def default_steps(run: LoadedRun) -> int:
    """The number of adaptation steps where none is given.

    That is `inner.steps` if it was set anew for this use, else what evaluation chose on
    validation, else the inner loop's.
    """
    file = run.folder.path / "evaluation.json"
    if run.config.inner.steps == run.trained.inner.steps and file.is_file():
        chosen = run.folder.read_json("evaluation.json").get("adapt_steps")
        if isinstance(chosen, int):
            return chosen
    return run.config.inner.steps


def _mostly_bright(classes: Mapping[str, np.ndarray]) -> bool:
    """Whether more than half of all pixels are in the upper half."""
    return bool(np.median(np.concatenate([array.ravel() for array in classes.values()])) > 127)


def adapt_command(args: argparse.Namespace, context: Context) -> int:
    """`metagan adapt`."""
    settings: RunConfig = load_run_settings(args, context).config
    classes, unread = read_support(args.support, settings.data)
    for line in unread:
        context.console.print(f"left out: {line}")
    run = load_run(args.run, context.config_model)
    run = replace(run, config=settings, gan=replace(run.gan, config=settings.gan))
    steps = default_steps(run) if args.steps is None else args.steps
    seed = run.config.seed if args.seed is None else args.seed
    sizes = sorted({len(pictures) for pictures in classes.values()})
    context.console.print(
        f"adapting {args.run} (outer step {run.step}) to "
        f"{counted(len(classes), 'class', 'classes')} with "
        f"{'-'.join(str(size) for size in {sizes[0]: 0, sizes[-1]: 0})} pictures each, "
        f"{steps} inner steps"
    )
    if run.config.data.source in BRIGHT_INK and _mostly_bright(classes):
        context.console.warn(
            "these pictures are mostly bright, but the run learnt bright ink on a dark ground; if "
            "yours is dark ink on paper, add data.invert=true"
        )
    target = adapt_run(run, classes, steps=steps, seed=seed)
    if not all(torch.isfinite(w).all() for player in target.params for w in player.values()):
        raise DataError(
            f"adaptation diverged after {steps} steps; lower --steps or inner.lr of the run"
        )
    save_adapted(args.out, run, target, list(classes), steps=steps, seed=seed)
    preview = generate_samples(
        run.gan,
        target,
        per_support=max(1, 8 // target.support.shape[1]),
        seed=seed,
        best_of=settings.evaluate.best_of,
    )
    rows = [
        [to_uint8(target.support[way][:8]), to_uint8(preview[way][:8])]
        for way in range(min(len(classes), 12))
    ]
    (args.out / "preview.png").write_bytes(png_bytes(grid(rows)))
    context.console.print(f"wrote {args.out} (preview.png: your pictures, then generated ones)")
    following = command_line(
        "generate", "--adapted", args.out, "--num", 64, "--out", f"{args.out}-samples"
    )
    context.console.print(f"next: {following}")
    return 0
