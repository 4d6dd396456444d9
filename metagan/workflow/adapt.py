"""Adapt a run's initialization to a user's own pictures, and keep the result as a folder."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metagan.config.learning import GanConfig
from metagan.config.trained import check_changes
from metagan.core.algorithms import check_moves, inner_settings
from metagan.core.gan import GanPair, build_gan
from metagan.core.params import GanParams
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.notes import POLARITY, by_weight, for_a_trained_run
from metagan.data.paths.tree import Parts, TreeFile, read_below, read_tree
from metagan.evaluate.target import AdaptedTarget, adapt_to_target, generate_samples
from metagan.files import is_there
from metagan.kinds.image.convert import to_float, to_uint8
from metagan.kinds.image.pictures import grid, png_bytes
from metagan.kinds.image.reading.collect import Decoded, scale_deep, try_decode
from metagan.kinds.image.reading.decode import is_picture
from metagan.kinds.image.reading.looks import check_looks, count_traits
from metagan.kinds.image.reading.record import Reading
from metagan.kinds.image.samples import picture_classes, warn
from metagan.kinds.registry import find_kind
from metagan.runs.checkpoint import (
    MANIFEST,
    CheckpointError,
    named_tensors,
    read_manifest,
    read_tensors,
    write_tensor_folder,
)
from metagan.runs.places import ADAPTED, check_exists, what_it_is
from metagan.runs.run_folder import RunError
from metagan.words import counted
from metagan.workflow.setup import LoadedRun

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

    @property
    def reading(self) -> Reading:
        """How the pictures were read that were adapted to."""
        channels, size, _ = self.target.support.shape[2:]
        return Reading(size, channels, self.target.inverted)


class Support(dict[str, np.ndarray]):
    """Classes that were read from files: {label: (n, C, H, W) uint8}.

    Attributes:
        inverted: Dark and bright were swapped.
    """

    def __init__(self, classes: Mapping[str, np.ndarray], *, inverted: bool) -> None:
        """The same classes, and how they were read."""
        super().__init__(classes)
        self.inverted = inverted


def read_support(path: str | os.PathLike[str], reading: Reading) -> tuple[Support, list[str]]:
    """A user's examples: one picture, a folder of one class, or a sub-folder for every class.

    Args:
        path: Picture, folder or archive.
        reading: How the run's own pictures were read: `LoadedRun.reading`.

    Returns:
        {class name: (n, C, H, W) uint8}, and notes on what could not be read and what came out
        other than it may look, one line each.

    Raises:
        DataError: If nothing could be read, a class is blank, pictures lie both at the top and in
            sub-folders, or two sub-folders have the same name.
    """
    path = Path(path)
    check_exists(path, "--support", DataError)
    if not isinstance(reading, Reading):
        raise ValueError(f"reading is {type(reading).__name__}; give the run's: run.reading")
    pictures: dict[tuple[Parts, Parts], Decoded] = {}
    found: dict[str, list[Decoded]] = {}
    notes: list[str] = []
    folders: dict[str, set[tuple[str, ...]]] = {}
    for file in _support_files(path):
        if file.content is None:
            if file.is_empty_folder:
                notes.append(f"left out: {file.name}: an empty folder")
            if file.problem:
                notes.append(f"left out: {file.name}: {file.problem}")
            continue
        picture = try_decode(file.content, "", file.name, reading, invert=reading.inverted)
        pictures[file.parts, file.stored] = picture
    # A tar comes in any order.
    for (parts, _), picture in sorted(pictures.items(), key=lambda item: item[0]):
        label = parts[-2] if len(parts) > 1 else path.resolve().stem
        folders.setdefault(label, set()).add(parts[:-1])
        if picture.pixels is None:
            notes.append(f"left out: {'/'.join(parts)}: {picture.problem}")
        else:
            found.setdefault(label, []).append(picture)
    if not found:
        detail = f" ({notes[0].removeprefix('left out: ')})" if notes else ""
        raise DataError(f"--support {path}: no readable pictures in it{detail}")
    _check_folders(path, folders)
    classes, look_notes = _as_samples(path, found, reading)
    return Support(classes, inverted=reading.inverted), [*look_notes, *notes]


def _support_files(path: Path) -> Iterator[TreeFile]:
    """The picture itself, or the files of a folder or archive."""
    if path.is_file() and is_picture(path.name):
        yield TreeFile((path.name,), read_below(path.parent, path))
    else:
        yield from read_tree(path, is_picture)


def _as_samples(
    path: Path, found: Mapping[str, Sequence[Decoded]], reading: Reading
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The pictures of every class as samples, and notes on how they look."""
    where = f"--support {path}"
    pictures = [picture for label in sorted(found) for picture in found[label]]
    scaled, _, notes = scale_deep(
        [p.pixels for p in pictures if p.pixels is not None], reading.whites, where
    )
    in_order = iter(scaled)
    dataset = Dataset.from_classes(
        {
            ClassRecord("support", label): [next(in_order) for _ in found[label]]
            for label in sorted(found)
        },
        origin={
            "path": where,
            "inverted": reading.inverted,
            "pictures": count_traits(("support", picture.traits) for picture in pictures),
        },
    )
    notes = for_a_trained_run([*notes, *check_looks(dataset)], white_given=True)
    if warning := reading.other_polarity([dataset.samples]):
        notes.append(f"{POLARITY} {warning}")
    classes = {
        record.label: np.array(dataset.class_samples(index))
        for index, record in enumerate(dataset.classes)
    }
    return classes, list(by_weight(notes))


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

    Of what `read_support` gives the result knows whether dark and bright were swapped. Other
    arrays are taken as they are, with a warning where drawings are not as bright as the run's.

    Args:
        run: The trained run.
        classes: {label: (n, C, H, W) uint8}, such as `read_support` gives; for other pictures see
            `metagan.kinds.image.samples.picture_classes`.
        steps: Inner steps; None: see `default_steps`.
        seed: Names every draw; None: the run's.

    Raises:
        DataError: If the pictures are not such as the run was trained on, or weights are no longer
            finite.
        ConfigError: If `run.config` has been given settings that a trained run cannot follow.
        ValueError: If `steps` is negative, or `run` is not what `load_run` returned.
    """
    _check_opened(run)
    data, config = run.trained.data, run.config
    pictures = picture_classes(classes, shape=(data.channels, data.image_size, data.image_size))
    fix = "give 255 - array"
    if not isinstance(classes, Support) and (
        warning := run.reading.other_polarity(pictures.values(), fix)
    ):
        warn(warning)
    inner = inner_settings(config)
    check_moves(inner, run.init)
    shots = max(len(array) for array in pictures.values())
    support = np.stack([array[np.arange(shots) % len(array)] for array in pictures.values()])
    steps = default_steps(run) if steps is None else steps
    target = adapt_to_target(
        replace(run.gan, config=config.gan),
        run.init,
        to_float(support),
        inner=inner,
        task=config.task,
        steps=steps,
        seed=config.seed if seed is None else seed,
    )
    if not all(torch.isfinite(w).all() for player in target.params for w in player.values()):
        raise DataError(f"adaptation diverged after {steps} steps; take fewer, or lower inner.lr")
    return replace(target, inverted=isinstance(classes, Support) and classes.inverted)


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
    if is_there(folder, f"--out {folder}", RunError):
        raise RunError(f"--out {folder} exists already; choose another folder or remove it")
    if isinstance(labels, str) or len(names) != len(target.support):
        given = f"one text, {labels!r}" if isinstance(labels, str) else len(names)
        raise ValueError(
            f"labels are {given}, but the target has "
            f"{counted(len(target.support), 'class', 'classes')}; give one name each, as in "
            "list(classes)"
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
        "inverted": target.inverted,
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
    info = read_manifest(folder) if os.path.isfile(folder / MANIFEST) else {}
    needed = {"gan", "sample_shape", "classes_each", "labels", "files"}
    if info.get("what") != ADAPTED or not needed <= set(info):
        raise CheckpointError(
            f"{folder}: not the result of metagan adapt, or not all of it; {what_it_is(folder)}"
        )
    gan, _ = build_gan(
        find_kind("image").players,
        GanConfig.model_validate(info["gan"], strict=False),
        tuple(info["sample_shape"]),
        seed=0,
    )
    players: dict[str, dict[str, Tensor]] = {player: {} for player in GanParams._fields}
    for name, tensor in read_tensors(folder, WEIGHTS).items():
        player, _, weight = name.partition(".")
        players[player][weight] = tensor
    support = read_tensors(folder, SUPPORT)["support"]
    inverted = bool(info.get("inverted"))
    target = AdaptedTarget(GanParams(**players), info["classes_each"], support, inverted)
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


def write_preview(path: Path, run: LoadedRun, target: AdaptedTarget, *, seed: int) -> None:
    """Write one PNG with a row per class: pictures it was adapted to, then generated ones.

    Args:
        path: The file.
        run: With the settings that `target` was adapted with.
        target: The adapted weights and the support.
        seed: Names the draws.
    """
    generated = generate_samples(
        run.gan,
        target,
        per_support=max(1, 8 // target.support.shape[1]),
        seed=seed,
        best_of=run.config.evaluate.best_of,
    )
    rows = [
        [
            run.reading.given_back(to_uint8(given[:8])),
            run.reading.given_back(to_uint8(drawn[:8])),
        ]
        for given, drawn in zip(target.support[:12], generated[:12], strict=True)
    ]
    path.write_bytes(png_bytes(grid(rows)))
