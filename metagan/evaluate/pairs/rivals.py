"""Answers to inputs that need no generator: every learned one has to be nearer to the truth.

Shapes: K pairs that are shown, Q that are asked.
"""

import torch
from torch import Tensor

from metagan.data.form import Form
from metagan.data.library import Library
from metagan.evaluate.pairs.task import PairTask
from metagan.kinds.registry import find_kind

# How strongly weights are held at nothing, in units of what they are fitted on.
STRENGTHS = (0.01, 0.1, 1.0, 10.0)
WORDS = {
    "copy": "the input itself",
    "mean": "the mean of what is shown",
    "nearest pair": "the answer to the nearest input that is shown",
    "linear": "ridge regression on what is shown",
    "nearest patch": "of what is shown, moved about, the part nearest to what is seen",
    "biharmonic": "a smooth surface over the hidden part",
    "Telea": "filled from the border inwards (Telea 2004)",
    "colour by brightness": "the mean colour at the same brightness in what is shown",
    "bicubic": "cubic interpolation",
    "nearest domain": "the training domain whose answers to what is shown are nearest",
    "mean of domains": "the mean over training domains",
    "ridge over domains": "the training domains' answers, combined by ridge on what is shown",
}
"""The arms, and what they answer."""

Drawn = dict[str, Tensor]


def plain_arms(task: PairTask, form: Form) -> dict[str, Drawn]:
    """Answers (Q, *sample_shape) by arm and candidate; those of one candidate call it ""."""
    kind = find_kind(form.kind)
    copy = kind.pairs.shown(task.asked, form)
    arms = {} if copy is None else {"copy": {"": copy}}
    if task.library is not None:
        return arms | _of_library(task, task.library)
    arms |= {
        arm: {name: kind.pairs.kept(drawn, task.asked, form) for name, drawn in several.items()}
        for arm, several in _of_support(task).items()
    }
    return arms | kind.fillers(task.shown, task.inputs, task.asked, form)


def _of_support(task: PairTask) -> dict[str, Drawn]:
    y, shape = task.shown.flatten(1).double(), task.truth.shape[1:]
    x, asked = (inputs.flatten(1).double() for inputs in (task.inputs, task.asked))
    nearest = torch.cdist(asked, x).argmin(1)
    # By its dual: there may be far more values than pairs.
    left, centre = x - x.mean(0), y.mean(0)
    gram = left @ left.T
    unit = float(gram.diagonal().mean()) or 1.0
    linear = {}
    for strength in STRENGTHS:
        held = gram + strength * unit * torch.eye(len(gram), dtype=gram.dtype)
        weights = torch.linalg.solve(held, y - centre)
        linear[f"{strength:g}"] = centre + (asked - x.mean(0)) @ left.T @ weights
    arms = {
        "mean": {"": centre.expand(len(asked), -1)},
        "nearest pair": {"": y[nearest]},
        "linear": linear,
    }
    return {
        arm: {name: drawn.float().reshape(-1, *shape) for name, drawn in several.items()}
        for arm, several in arms.items()
    }


def _of_library(task: PairTask, library: Library) -> dict[str, Drawn]:
    found = library.combined(task.shown, task.shown_labels, task.asked_labels, strengths=STRENGTHS)
    return {
        "nearest domain": {"": found.nearest},
        "mean of domains": {"": found.mean},
        "ridge over domains": {f"{strength:g}": each for strength, each in found.ridge.items()},
    }
