"""Adam's second moments at the start of an inner loop, learned with the initialization.

Adam divides a gradient g by the root of m, the mean of g^2 + epsilon^2 over the updates so far, in
which older ones count less. With `inner.state` learned, an inner loop starts from a mean that is
learned for every weight it moves, as if `inner.state_count` updates had been before it. With none
before it, this is the Adam that starts anew in every episode.

A start is epsilon^2 * exp(`inner.state_gain` * s), where s is learned and zero at first: always
positive, and at first that of an update without a gradient. The gain sets how fast it moves under
an outer optimizer whose steps are made for weights.

Source: the update is Kingma and Ba 2015, arXiv:1412.6980, Algorithm 1 with beta1 = 0 and epsilon
inside the root. That an initialization has a state of its optimizer is from the published code of
Reptile (Nichol et al. 2018, arXiv:1803.02999), where each task goes on with the state that the last
one left; what is learned about it here is ours.
"""

import math

import torch
from torch import Tensor

from metagan.params import PLAYERS, GanParams, Params, map_params
from metagan.rates import moves
from metagan.settings import InnerConfig

ADAM_BETA2 = 0.99
ADAM_EPSILON = 1e-4


def with_moments(params: GanParams, inner: InnerConfig) -> GanParams:
    """The weights together with what is learned about Adam's state, at its start.

    Args:
        params: Weights.
        inner: With `state` learned, every weight that the inner loop moves has moments of its own
            shape; otherwise nothing is added.
    """
    if inner.state == "reset":
        return params
    moments: Params = {}
    for player in PLAYERS:
        pattern: str = getattr(inner, f"{player}_moves")
        for name, weight in getattr(params, player).items():
            if moves(pattern, name):
                moments[f"{player}.{name}"] = torch.zeros_like(weight)
    return params._replace(moments=moments)


def starting_mean(learned: Tensor, inner: InnerConfig) -> Tensor:
    """The mean m before the first update, of the shape of what is learned about it."""
    return ADAM_EPSILON**2 * (inner.state_gain * learned).exp()


def learned_form(mean: Tensor, inner: InnerConfig) -> Tensor:
    """The inverse of `starting_mean`: what would have to be learned for an inner loop to start so.

    It is finite for every m that updates leave, since each of them adds epsilon^2.
    """
    return (mean.log() - 2 * math.log(ADAM_EPSILON)) / inner.state_gain


def updated_means(means: Params, grads: Params, inner: InnerConfig, count: int) -> Params:
    """The mean m after an update.

    Args:
        means: m before it.
        grads: g, by the same names.
        inner: `state_count`.
        count: Which update of the episode it is, from 1.

    Returns:
        ((1 - w) m + w (g^2 + epsilon^2)), w = (1 - beta2) / (1 - beta2^(state_count + count)):
        Adam's bias correction, which counts the updates before the episode too.
    """
    share = (1 - ADAM_BETA2) / (1 - ADAM_BETA2 ** (inner.state_count + count))
    return map_params(
        lambda mean, grad: torch.lerp(mean, grad.square() + ADAM_EPSILON**2, share), means, grads
    )
