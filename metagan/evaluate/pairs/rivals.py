"""Answers to inputs that need no generator: every learned one has to be nearer to the truth.

Shapes: K pairs that are shown, Q that are asked, S source domains.
"""

import torch
from torch import Tensor

from metagan.evaluate.pairs.task import Library, PairTask

# How strongly weights are held at nothing, in units of what they are fitted on.
STRENGTHS = (0.01, 0.1, 1.0, 10.0)
WORDS = {
    "copy": "the input itself",
    "mean": "the mean of what is shown",
    "nearest pair": "the answer to the nearest input that is shown",
    "linear": "ridge regression on what is shown",
    "nearest domain": "the training domain whose answers to what is shown are nearest",
    "mean of domains": "the mean over training domains",
    "ridge over domains": "the training domains' answers, combined by ridge on what is shown",
}
"""The arms, and what they answer."""

Drawn = dict[str, Tensor]


def plain_arms(task: PairTask) -> dict[str, Drawn]:
    """Answers (Q, *sample_shape) by arm and candidate; those of one candidate call it ""."""
    if task.library is not None:
        arms = _of_library(task.shown, task.library)
        if task.asked.shape == task.truth.shape:
            return {"copy": {"": task.asked}, **arms}
        return arms
    return _of_support(task)


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


def _of_library(truth: Tensor, library: Library) -> dict[str, Drawn]:
    """Answers from the source domains; of a label that one lacks it has the others' mean."""
    distance = (library.shown - truth).square().flatten(1).nanmean(1).nan_to_num(torch.inf)
    shown, asked = (_filled(part.double()) for part in (library.shown, library.asked))
    mean_shown, mean_asked = shown.mean(0), asked.mean(0)
    left, wanted = (shown - mean_shown).flatten(1), (truth.double() - mean_shown).flatten()
    gram = left @ left.T
    unit = float(gram.diagonal().mean()) or 1.0
    ridge = {}
    for strength in STRENGTHS:
        held = gram + strength * unit * torch.eye(len(gram), dtype=gram.dtype)
        weights = torch.linalg.solve(held, left @ wanted)
        drawn = mean_asked + torch.tensordot(weights, asked - mean_asked, 1)
        ridge[f"{strength:g}"] = drawn.float()
    return {
        "nearest domain": {"": asked[int(distance.argmin())].float()},
        "mean of domains": {"": mean_asked.float()},
        "ridge over domains": ridge,
    }


def _filled(answers: Tensor) -> Tensor:
    """Answers (S, n, ...) with the mean over domains where one has none; 0 where none has one."""
    mean = answers.nanmean(0, keepdim=True).nan_to_num(0.0)
    return torch.where(answers.isnan(), mean, answers)
