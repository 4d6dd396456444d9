"""Adapt a run's initialization to a user's own samples, and keep the result as a folder."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metagan.config.kinds import DEFAULT_KIND
from metagan.config.learning import GanConfig
from metagan.config.may_change import check_changes
from metagan.config.removed import as_written_now
from metagan.core.algorithms import check_moves, inner_settings, usual_steps
from metagan.core.gan import GanPair, build_gan
from metagan.core.params import GanParams
from metagan.data.dataset import DataError
from metagan.data.form import Form
from metagan.evaluate.drawing import answers, generate_samples
from metagan.evaluate.target import Adaptation, AdaptedTarget, adapt_to_target
from metagan.files import is_there, write_bytes
from metagan.kinds.kind import Support
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
from metagan.workflow.reference import is_from_reference, told_by_label
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
        form: How the samples were read that were adapted to.
    """

    gan: GanPair
    target: AdaptedTarget
    labels: tuple[str, ...]
    info: Mapping[str, Any]
    form: Form


def read_support(
    path: str | os.PathLike[str], form: Form, **said: Any
) -> tuple[Support, list[str]]:
    """A user's examples: of one class, or of several; the kind of sample says how they may lie.

    Args:
        path: File, folder or archive.
        form: How the run's own samples were read: `LoadedRun.form`.
        **said: Data settings that are said of these files, such as `invert` of pictures.

    Returns:
        {class name: (n, *sample_shape)}, and notes on what could not be read and what came out
        other than it may look, one line each.

    Raises:
        DataError: If nothing could be read, or it is not plain what is one class.
    """
    path = Path(path)
    check_exists(path, "--support", DataError)
    if not isinstance(form, Form):
        raise ValueError(f"form is {type(form).__name__}; give the run's: run.form")
    return find_kind(form.kind).read(path, form, said)


def adapt_run(
    run: LoadedRun,
    classes: Mapping[str, np.ndarray],
    *,
    steps: int | None = None,
    seed: int | None = None,
) -> AdaptedTarget:
    """Adapt to a user's classes; those with fewer samples than others repeat some of theirs.

    Of what `read_support` gives the result knows how it was read. Other arrays are taken as they
    are, with a warning where they look as if they were not read as the run's own samples.

    Args:
        run: The trained run.
        classes: {label: (n, *sample_shape)}, such as `read_support` gives; for other pictures see
            `metagan.kinds.image.samples.picture_classes`.
        steps: Inner steps; None: see `how_to_adapt`.
        seed: Names every draw; None: the run's.

    Raises:
        DataError: If the samples are not such as the run was trained on, or weights are no longer
            finite.
        ConfigError: If `run.config` has been given settings that a trained run cannot follow.
        ValueError: If `steps` is negative, or `run` is not what `load_run` returned.
    """
    _check_opened(run)
    config, kind = run.config, find_kind(run.form.kind)
    samples = kind.check_classes(classes, run.form)
    inner = inner_settings(config)
    check_moves(inner, run.init)
    inputs, asked = None, None
    if "input" in config.gan.conditioning:
        # Pairs of a domain are one class, whatever they are called.
        support = np.concatenate(list(samples.values()))[None]
        if is_from_reference(run.form):
            inputs, asked = told_by_label(run, samples)
        else:
            named = config.seed if seed is None else seed
            inputs = kind.pairs.inputs_of(support, samples.form, named)
    else:
        shots = max(len(array) for array in samples.values())
        support = np.stack([array[np.arange(shots) % len(array)] for array in samples.values()])
    how = how_to_adapt(run, shots=support.shape[1], steps=steps)
    target = adapt_to_target(
        replace(run.gan, config=config.gan),
        run.init,
        kind.to_tensor(support, samples.form),
        inner=inner.model_copy(update={"lr": how.lr}),
        task=config.task,
        steps=how.steps,
        seed=config.seed if seed is None else seed,
        inputs=inputs,
        solve=how.solve,
    )
    if not all(torch.isfinite(w).all() for player in target.params for w in player.values()):
        raise DataError(f"adaptation diverged ({how.name}); take fewer steps, or lower inner.lr")
    # How samples were read does not say what they are told beside.
    return replace(target, form=replace(samples.form, given=run.form.given), asked=asked)


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
    if target.inputs is not None:
        names = [" + ".join(names)]
    if isinstance(labels, str) or len(names) != len(target.support):
        given = f"one text, {labels!r}" if isinstance(labels, str) else len(names)
        raise ValueError(
            f"labels are {given}, but the target has "
            f"{counted(len(target.support), 'class', 'classes')}; give one name each, as in "
            "list(classes)"
        )
    how = how_to_adapt(run, shots=target.support.shape[1], steps=steps)
    info = {
        "what": ADAPTED,
        "run": str(run.folder.path),
        "run_step": run.step,
        "labels": names,
        "classes_each": target.classes_each,
        "steps": how.steps,
        "adaptation": how.name,
        "seed": run.config.seed if seed is None else seed,
        "best_of": run.config.evaluate.best_of,
        "sample_shape": list(target.support.shape[2:]),
        "form": (target.form or run.form).as_json(),
        "gan": run.config.gan.model_dump(mode="json"),
    }
    kept = {"support": target.support}
    if target.inputs is not None:
        kept["inputs"] = target.inputs
    if target.asked is not None:
        info["asked"] = list(target.asked)
        kept["asked"] = torch.stack(list(target.asked.values()))
    files = {WEIGHTS: named_tensors(target.params), SUPPORT: kept}
    write_tensor_folder(folder, files, info)


def load_adapted(path: str | os.PathLike[str]) -> AdaptedGan:
    """Read what `save_adapted` wrote.

    Raises:
        CheckpointError: If it is not that, or damaged.
    """
    folder = Path(path)
    info = read_manifest(folder) if os.path.isfile(folder / MANIFEST) else {}
    needed = {"gan", "classes_each", "labels", "files"}
    if (
        info.get("what") != ADAPTED
        or not needed <= set(info)
        or not {"form", "sample_shape"} & set(info)
    ):
        raise CheckpointError(
            f"{folder}: not the result of metagan adapt, or not all of it; {what_it_is(folder)}"
        )
    form = _form_of(info)
    settings = dict(info["gan"])
    as_written_now(settings)
    gan, _ = build_gan(
        find_kind(form.kind).players,
        GanConfig.model_validate(settings, strict=False),
        form,
        seed=0,
    )
    players: dict[str, dict[str, Tensor]] = {player: {} for player in GanParams._fields}
    for name, tensor in read_tensors(folder, WEIGHTS).items():
        player, _, weight = name.partition(".")
        players[player][weight] = tensor
    kept = read_tensors(folder, SUPPORT)
    asked = dict(zip(info["asked"], kept["asked"], strict=True)) if "asked" in info else None
    target = AdaptedTarget(
        GanParams(**players), info["classes_each"], kept["support"], form, kept.get("inputs"), asked
    )
    return AdaptedGan(gan, target, tuple(info["labels"]), info, form)


def _form_of(info: Mapping[str, Any]) -> Form:
    """The form of what was adapted to; earlier versions knew pictures alone."""
    if "form" in info:
        return Form.of_json(info["form"])
    facts = {"inverted": bool(info.get("inverted"))}
    return Form(DEFAULT_KIND, tuple(info["sample_shape"]), facts)


def how_to_adapt(run: LoadedRun, *, shots: int, steps: int | None = None) -> Adaptation:
    """The adaptation that is done where nothing else is asked for.

    That is as `inner.steps` and `inner.lr` say if one was set anew for this use, else what
    evaluation chose on validation at the nearest number of shots, else the inner loop as trained.

    Args:
        run: The run.
        shots: Samples of each class, or pairs, that are adapted to.
        steps: A number of inner steps that is asked for.
    """
    inner, before = inner_settings(run.config), inner_settings(run.trained)
    if steps is not None:
        return Adaptation(steps, inner.lr, inner.solve)
    file = run.folder.path / "evaluation.json"
    if (inner.steps, inner.lr) == (before.steps, before.lr) and file.is_file():
        document = run.folder.read_json("evaluation.json")
        if found := document.get("adaptation"):
            nearest = min(found, key=lambda number: abs(int(number) - shots))
            return Adaptation(**found[nearest])
        if isinstance(chosen := document.get("adapt_steps"), int):
            return Adaptation(chosen, inner.lr, inner.solve)
    return Adaptation(usual_steps(run.config), inner.lr, inner.solve)


def write_preview(path: Path, run: LoadedRun, target: AdaptedTarget, *, seed: int) -> None:
    """Write one PNG with a row per class: samples it was adapted to, then generated ones.

    Args:
        path: The file.
        run: With the settings that `target` was adapted with.
        target: The adapted weights and the support.
        seed: Names the draws.
    """
    form = target.form or run.form
    kind = find_kind(form.kind)
    if target.inputs is not None:
        inputs = target.inputs[0]
        drawn = answers(run.gan, target, inputs, seed=seed)
        shown = kind.pairs.shown(inputs, form)
        groups = [target.support[0], *([] if shown is None else [shown]), drawn]
        write_bytes(path, kind.look([[kind.to_samples(group, form) for group in groups]], form))
        return
    generated = generate_samples(
        run.gan,
        target,
        per_support=max(1, 8 // target.support.shape[1]),
        seed=seed,
        best_of=run.config.evaluate.best_of,
    )
    rows = [
        [kind.to_samples(given[:8], form), kind.to_samples(drawn[:8], form)]
        for given, drawn in zip(target.support[:12], generated[:12], strict=True)
    ]
    write_bytes(path, kind.look(rows, form))
