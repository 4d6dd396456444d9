"""Adapting a generator in closed form: its head becomes the ridge solution on the support's pairs.

A generator's head is linear in the features that its body draws, the same at every position. So
the head that fits known answers best, held near a prior head, is one small linear system. Its
solution is differentiable by the body, by the prior head and by how strongly it is held, and all
three are meta-learned.

Source: ridge regression as a differentiable base learner is R2-D2 (Bertinetto et al. 2019,
arXiv:1805.08136, section 3); the prior head is ours.

Shapes: N pairs, M features, C channels of a sample, P positions (1 of vectors, pixels of pictures).
"""

import torch
from torch import Tensor

from metagan.core.batches import GanBatch
from metagan.core.gan import GanPair
from metagan.core.params import Params

WEIGHT, BIAS = "head.weight", "head.bias"
STRENGTH = "generator.head.strength"
"""The name of the learned strength among `GanParams.rates`."""
# How strongly the prior head holds before anything is learned, in units of one pair's mean square
# feature.
FIRST_STRENGTH = 0.1
# As `metagan.core.rates.RATES_GAIN`: at its default rate Adam moves the strength by 1 % in a step.
_GAIN = 100.0


def strength_of(rates: Params) -> Tensor | float:
    """How strongly the prior head holds: as learned, or as it is before anything is."""
    if STRENGTH not in rates:
        return FIRST_STRENGTH
    return FIRST_STRENGTH * torch.exp(_GAIN * rates[STRENGTH])


def solve_support(gan: GanPair, generator: Params, pairs: GanBatch, rates: Params) -> Params:
    """A generator whose head is solved for on the pairs of a support.

    Args:
        gan: The pair; its generator's last layer is linear.
        generator: Weights; the head is the prior.
        pairs: See `metagan.core.batches.all_pairs`.
        rates: All that is learned beside weights; the strength among it, if it is.
    """
    features = gan.features(generator, pairs.condition, torch.zeros_like(pairs.z[:, 0]))
    head = {name: generator[name] for name in (WEIGHT, BIAS)}
    counts = None if gan.unknown is None else gan.unknown(pairs.condition)
    return {**generator, **solve_head(features, pairs.real, head, strength_of(rates), counts)}


def solve_head(
    features: Tensor,
    answers: Tensor,
    head: Params,
    strength: Tensor | float,
    counts: Tensor | None = None,
) -> Params:
    """The head that minimises the squared error on pairs, held near a prior head.

    It minimises sum over pairs of the mean over positions of |W f + b - y|^2, plus `strength` times
    |(W, b) - (W0, b0)|^2.

    Args:
        features: (N, M, *positions), what the body draws for the support's inputs.
        answers: (N, C, *positions), what the head is to make of them.
        head: {"head.weight": (C, M, ...ones), "head.bias": (C,)}, the prior (W0, b0).
        strength: Above 0.
        counts: (N, 1, *positions), 1 where an answer counts, 0 where it is known without the head;
            None: everywhere.

    Returns:
        The solution, with the names, shapes and dtype of `head`; computed in float64.
    """
    weight, bias = head[WEIGHT], head[BIAS]
    f, y = (
        part.flatten(2) if part.ndim > 2 else part.unsqueeze(-1) for part in (features, answers)
    )
    f, y = torch.cat([f, torch.ones_like(f[:, :1])], dim=1).double(), y.double()
    prior = torch.cat([weight.flatten(1), bias[:, None]], dim=1).double()
    left = y - torch.matmul(prior, f)
    if counts is not None:
        counts = counts.reshape(len(f), 1, -1).double()
        f, left = f * counts, left * counts
    positions = f.shape[-1]
    # Summed over pairs and positions at once: (M + 1, N P) times its transpose.
    flat, rest = f.transpose(0, 1).flatten(1), left.transpose(0, 1).flatten(1)
    gram = torch.matmul(flat, flat.T) / positions
    held = gram + strength * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    # Without a check of what it finds, which would have a GPU wait for the CPU; the matrix has
    # `strength` below all of its eigenvalues.
    change, _ = torch.linalg.solve_ex(held, torch.matmul(flat, rest.T) / positions)
    solved = (prior + change.T).to(weight.dtype)
    return {WEIGHT: solved[:, :-1].reshape(weight.shape), BIAS: solved[:, -1]}
