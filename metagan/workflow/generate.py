"""Draw samples from an adapted GAN into files."""

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metagan.data.dataset import DataError
from metagan.data.form import Form
from metagan.evaluate.drawing import answers, generate_samples
from metagan.files import is_there
from metagan.kinds.registry import find_kind
from metagan.runs.places import check_exists
from metagan.runs.run_folder import RunError
from metagan.workflow.adapt import AdaptedGan, pairs_of


def draw_samples(adapted: AdaptedGan, *, num: int, seed: int, best_of: int = 1) -> NDArray[Any]:
    """`num` samples of every class, (W, num, *sample_shape), spread evenly over the support.

    They are like those that were adapted to, as their owner has them. Each is the best of `best_of`
    by the discriminator's score.
    """
    shots = adapted.target.support.shape[1]
    per_support = -(-num // shots)
    samples = generate_samples(
        adapted.gan, adapted.target, per_support=per_support, seed=seed, best_of=best_of
    )
    # Every support sample in turn, so that a small `num` does not continue only the first.
    by_support = samples.reshape(len(samples), shots, per_support, *samples.shape[2:])
    spread = by_support.transpose(1, 2).flatten(1, 2)
    return to_samples(spread[:, :num], adapted.form)


def draw_answers(
    adapted: AdaptedGan, path: Path, *, seed: int
) -> tuple[NDArray[Any], NDArray[Any], list[str]]:
    """Inputs from a user's file, and the sample that is drawn for each.

    Args:
        adapted: Of a run that is told inputs.
        path: File or folder of inputs; other columns in it are not read.
        seed: Names the latents, where they have a meaning.

    Returns:
        Inputs (N, ...) and samples (N, *sample_shape) as their owner has them, and notes on the
        file.

    Raises:
        DataError: If the file has no such inputs.
    """
    check_exists(path, "--inputs", DataError)
    kind, form = find_kind(adapted.form.kind), pairs_of(adapted.form).form_of_inputs(adapted.form)
    read, notes = kind.read(path, form, {})
    stored = np.concatenate(list(read.values()))
    drawn = answers(adapted.gan, adapted.target, kind.to_tensor(stored, read.form), seed=seed)
    return stored, kind.to_samples(drawn, adapted.form), notes


def draw_labels(adapted: AdaptedGan, *, num: int, seed: int) -> tuple[list[str], NDArray[Any]]:
    """`num` answers (labels, num, *sample_shape) to each input that there is, and their labels.

    They are more than one only where latents have a meaning.
    """
    target, kind = adapted.target, find_kind(adapted.form.kind)
    assert target.asked is not None, "inputs have labels"
    inputs = torch.stack(list(target.asked.values())).repeat_interleave(num, dim=0)
    drawn = answers(adapted.gan, target, inputs, seed=seed)
    samples = kind.to_samples(drawn.reshape(-1, num, *drawn.shape[1:]), adapted.form)
    return list(target.asked), samples


def to_samples(drawn: Tensor, form: Form) -> NDArray[Any]:
    """Turn what networks draw, (..., *sample_shape), into samples as their owners have them.

    Args:
        drawn: Floats, such as `generate_samples` gives.
        form: Of what was adapted to: `AdaptedTarget.form`, or of the run's own: `LoadedRun.form`.
    """
    return find_kind(form.kind).to_samples(drawn, form)


def write_samples(
    out: Path,
    adapted: AdaptedGan,
    samples: NDArray[Any],
    *,
    seed: int,
    inputs: NDArray[Any] | None = None,
    labels: Sequence[str] = (),
) -> str:
    """Write samples of every class as the files that owners of such samples have, all or nothing.

    Args:
        out: The folder.
        adapted: What drew them.
        samples: (W, n, *sample_shape), or (n, *sample_shape) of answers to inputs.
        seed: What they were drawn with.
        inputs: (n, ...) of the answers, which are written beside them.
        labels: Of the samples, where they are answers to inputs with labels, which they are then
            shown beside.

    Returns:
        What was written, for people.

    Raises:
        RunError: If `out` exists.
    """
    if is_there(out, f"--out {out}", RunError):
        raise RunError(f"--out {out} exists already; choose another folder or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = out.parent / f".{out.name}.{uuid.uuid4().hex[:8]}.tmp"
    kind = find_kind(adapted.form.kind)
    target, form = adapted.target, adapted.form
    support = to_samples(target.support, form)
    if inputs is not None and target.inputs is not None:
        pairs = pairs_of(form)
        given = kind.to_samples(target.inputs, pairs.form_of_inputs(form))
        support, _ = pairs.joined(given, support, form)
        samples, form = pairs.joined(inputs[None], samples[None], form)
    if labels and target.asked is not None:
        # Without what a library answers, which stands behind the input.
        told = torch.stack([target.asked[label][: form.shape[0]] for label in labels])
        support = kind.to_samples(told[:, None], form)
    try:
        staging.mkdir()
        written = kind.write(staging, labels or adapted.labels, samples, support, seed, form)
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return written
