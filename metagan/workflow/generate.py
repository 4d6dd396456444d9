"""Draw samples from an adapted GAN into files."""

import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from metagan.data.dataset import DataError
from metagan.data.form import Form
from metagan.evaluate.target import answers, generate_samples
from metagan.files import is_there
from metagan.kinds.registry import find_kind
from metagan.runs.places import check_exists
from metagan.runs.run_folder import RunError
from metagan.workflow.adapt import AdaptedGan


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
) -> tuple[NDArray[Any], Form, list[str]]:
    """Whole pairs (1, N, *stored_shape) of the inputs in a user's file and what is drawn for them.

    Args:
        adapted: Of a run that is told inputs.
        path: File or folder of inputs; other columns in it are not read.
        seed: Names the latents, where they have a meaning.

    Returns:
        The pairs as their owner has them, their form, and notes on the file.

    Raises:
        DataError: If the file has no such inputs.
    """
    kind = find_kind(adapted.form.kind)
    assert kind.pairs is not None, "it was adapted to pairs"
    form = kind.pairs.form_of_inputs(adapted.form)
    check_exists(path, "--inputs", DataError)
    read, notes = kind.read(path, form, {})
    stored = np.concatenate(list(read.values()))
    drawn = answers(adapted.gan, adapted.target, kind.to_tensor(stored, read.form), seed=seed)
    pairs, whole = kind.pairs.joined(stored, kind.to_samples(drawn, adapted.form), adapted.form)
    return pairs[None], whole, notes


def to_samples(drawn: Tensor, form: Form) -> NDArray[Any]:
    """Turn what networks draw, (..., *sample_shape), into samples as their owners have them.

    Args:
        drawn: Floats, such as `generate_samples` gives.
        form: Of what was adapted to: `AdaptedTarget.form`, or of the run's own: `LoadedRun.form`.
    """
    return find_kind(form.kind).to_samples(drawn, form)


def write_samples(out: Path, adapted: AdaptedGan, samples: NDArray[Any], *, seed: int) -> str:
    """Write samples of every class as the files that owners of such samples have, all or nothing.

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
    support = to_samples(adapted.target.support, adapted.form)
    try:
        staging.mkdir()
        written = kind.write(staging, adapted.labels, samples, support, seed, adapted.form)
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return written
