"""The optimizer of one player within an episode: SGD, or Adam with beta1 = 0."""

import torch
from torch import Tensor

from metagan.config.learning import InnerConfig
from metagan.core.params import GanParams, Params, map_params
from metagan.core.rates import multiplier

ADAM_BETA2 = 0.99
ADAM_EPSILON = 1e-4


class InnerOptimizer:
    """One player's optimizer; it starts anew in every episode."""

    def __init__(self, inner: InnerConfig, player: str, init: GanParams) -> None:
        """Adam has beta1 = 0.

        Args:
            inner: Learning rate, kind of optimizer and of learned rates, proximal term.
            player: Whose weights it moves.
            init: Where they start, with learned rates if there are any.
        """
        self._inner, self._player, self._rates = inner, player, init.rates
        self._init: Params = getattr(init, player)
        critic = player == "discriminator"
        self._lr = inner.lr * (inner.discriminator_lr_scale if critic else 1.0)
        self._updates = inner.discriminator_steps if critic else inner.generator_steps
        self._count = 0
        self._second: Params = {}

    def step(self, weights: Params, grads: Params) -> Params:
        """The weights after a step along the gradient; those without one stay as they are."""
        self._count += 1
        if self._inner.proximal:
            # The derivative of proximal / 2 * |weights - init|^2.
            grads = {
                name: torch.add(grad, weights[name] - self._init[name], alpha=self._inner.proximal)
                for name, grad in grads.items()
            }
        directions = grads if self._inner.optimizer == "sgd" else self._adam(grads)
        after = {
            name: self._moved(name, weights[name], direction)
            for name, direction in directions.items()
        }
        return {name: after.get(name, weight) for name, weight in weights.items()}

    def _moved(self, name: str, weight: Tensor, direction: Tensor) -> Tensor:
        key = f"{self._player}.{name}"
        times = multiplier(self._rates, key, self._inner, (self._count - 1) // self._updates)
        if times is not None:
            direction = times * direction
        return torch.sub(weight, direction, alpha=self._lr)

    def _adam(self, grads: Params) -> Params:
        previous = self._second or map_params(torch.zeros_like, grads)
        self._second = map_params(
            lambda v, g: ADAM_BETA2 * v + (1 - ADAM_BETA2) * g.square(), previous, grads
        )
        correction = 1 - ADAM_BETA2**self._count
        # Epsilon inside the root: the derivative at a zero gradient stays finite.
        return map_params(
            lambda g, v: g / (v / correction + ADAM_EPSILON**2).sqrt(), grads, self._second
        )
