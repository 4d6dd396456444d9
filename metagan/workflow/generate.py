"""Draw samples from an adapted GAN into files."""

import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Answers:
    """Answers to inputs in a user's file.

    Attributes:
        inputs: (N, ...), stored, as the file has them.
        told: (N, *given_shape), the same as networks are told.
        samples: (N, *sample_shape) as their owner has them.
        names: Of the inputs: N, or one of all.
        notes: On the file.
    """

    inputs: NDArray[Any]
    told: Tensor
    samples: NDArray[Any]
    names: list[str]
    notes: list[str]


def draw_answers(adapted: AdaptedGan, path: Path, *, seed: int) -> Answers:
    """Inputs from a user's file, and the sample that is drawn for each.

    Args:
        adapted: Of a run that is told inputs.
        path: File or folder of inputs; other columns in it are not read.
        seed: Names the latents, where they have a meaning.

    Raises:
        DataError: If the file has no such inputs.
    """
    check_exists(path, "--inputs", DataError)
    kind = find_kind(adapted.form.kind)
    read, notes = kind.pairs.read_inputs(path, adapted.form)
    stored = np.concatenate(list(read.values()))
    told = kind.to_tensor(stored, read.form)
    drawn = answers(adapted.gan, adapted.target, told, seed=seed)
    return Answers(stored, told, kind.to_samples(drawn, adapted.form), list(read), notes)


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


def write_samples(out: Path, adapted: AdaptedGan, samples: NDArray[Any], *, seed: int) -> str:
    """Write samples of every class as the files that owners of such samples have, all or nothing.

    Args:
        out: The folder.
        adapted: What drew them.
        samples: (W, n, *sample_shape).
        seed: What they were drawn with.

    Returns:
        What was written, for people.

    Raises:
        RunError: If `out` exists.
    """
    form = adapted.form
    support = to_samples(adapted.target.support, form)
    return _write(out, adapted.labels, samples, support, seed, form)


def write_answers(out: Path, adapted: AdaptedGan, found: Answers, *, seed: int) -> str:
    """Write answers to a user's inputs, with these or shown beside them; see `write_samples`."""
    kind, form = find_kind(adapted.form.kind), adapted.form
    shown = kind.pairs.shown(found.told, form)
    if shown is not None:
        beside = kind.to_samples(shown[:, None], form)
        return _write(out, found.names, found.samples[:, None], beside, seed, form)
    assert adapted.target.inputs is not None, "of pairs"
    given = kind.to_samples(adapted.target.inputs, kind.pairs.form_of_inputs(form))
    support, _ = kind.pairs.joined(given, to_samples(adapted.target.support, form), form)
    samples, whole = kind.pairs.joined(found.inputs[None], found.samples[None], form)
    return _write(out, adapted.labels, samples, support, seed, whole)


def write_labels(
    out: Path, adapted: AdaptedGan, labels: Sequence[str], samples: NDArray[Any], *, seed: int
) -> str:
    """Write answers (labels, n, *sample_shape) to inputs with labels; see `write_samples`."""
    kind, form, asked = find_kind(adapted.form.kind), adapted.form, adapted.target.asked
    assert asked is not None, "inputs have labels"
    shown = kind.pairs.shown(torch.stack([asked[label] for label in labels]), form)
    assert shown is not None, "they are samples of a reference domain"
    return _write(out, labels, samples, kind.to_samples(shown[:, None], form), seed, form)


def _write(
    out: Path,
    labels: Sequence[str],
    samples: NDArray[Any],
    beside: NDArray[Any],
    seed: int,
    form: Form,
) -> str:
    """Write (labels, n, ...) samples, with others beside them to look at, all or nothing."""
    if is_there(out, f"--out {out}", RunError):
        raise RunError(f"--out {out} exists already; choose another folder or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = out.parent / f".{out.name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        staging.mkdir()
        written = find_kind(form.kind).write(staging, labels, samples, beside, seed, form)
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return written
