"""Ways to take derivatives: inner ones, which are partial, and the outer one through them.

`torch.func` can be vectorised over episodes; autograd on fresh leaves is the faster way for one.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from metagan.core.params import GanParams, Params, map_params

Pullback = Callable[[Tensor], Params]
Metrics = dict[str, Tensor]


class PlayerLosses(NamedTuple):
    """A scalar for each player; 0 for a discriminator that there is not."""

    generator: Tensor
    discriminator: Tensor


Outcome = Callable[[GanParams, "PartialGradient"], tuple[PlayerLosses, Metrics]]
"""What both players' losses are in the end, as a function of the initialization.

It takes its inner derivatives with the `PartialGradient` it is given, which keeps the graph.
"""


class PartialGradient(Protocol):
    """A way to take derivatives with respect to one player's weights; all are partial."""

    def __call__(self, loss: Callable[[Params], Tensor], at: Params) -> tuple[Params, Tensor]:
        """Returns (gradient, loss value)."""

    def pullback(self, function: Callable[[Params], Tensor], at: Params) -> tuple[Tensor, Pullback]:
        """Returns (value, pull): pull takes d loss / d value to d loss / d weights, once."""


class EpisodeGradient(PartialGradient, Protocol):
    """A `PartialGradient` that can also differentiate a whole episode."""

    def through(self, outcome: Outcome, init: GanParams) -> tuple[GanParams, Metrics]:
        """Each player's derivative of its own final loss with respect to its own initialization.

        Args:
            outcome: From the initialization, and what to take inner derivatives with, to both
                final losses and metrics.
            init: Where to differentiate.

        Returns:
            The derivatives, and the metrics.
        """


class FunctionalGradient:
    """Derivatives by `torch.func`, which can be vectorised with vmap and differentiated again."""

    def __call__(self, loss: Callable[[Params], Tensor], at: Params) -> tuple[Params, Tensor]:
        """See `PartialGradient`."""
        gradient, value = torch.func.grad_and_value(loss)(at)
        return gradient, value

    def pullback(self, function: Callable[[Params], Tensor], at: Params) -> tuple[Tensor, Pullback]:
        """See `PartialGradient`."""
        value, pull = torch.func.vjp(function, at)[:2]
        return value, lambda cotangent: pull(cotangent)[0]

    def through(self, outcome: Outcome, init: GanParams) -> tuple[GanParams, Metrics]:
        """See `EpisodeGradient`."""
        losses, pull, metrics = torch.func.vjp(  # type: ignore[misc]  # its type forgets has_aux
            lambda at: outcome(at, self), init, has_aux=True
        )
        one, zero = torch.ones_like(losses.generator), torch.zeros_like(losses.generator)
        (by_generator,) = pull(PlayerLosses(one, zero))
        by_discriminator = GanParams({}, {})
        if init.discriminator:
            (by_discriminator,) = pull(PlayerLosses(zero, one))
        # A weight's rate descends the loss of its player.
        rates = {
            name: (by_generator if name.startswith("generator.") else by_discriminator).rates[name]
            for name in init.rates
        }
        return GanParams(by_generator.generator, by_discriminator.discriminator, rates), metrics


class AutogradGradient:
    """Derivatives by autograd on fresh leaves, the fastest way for a single episode."""

    def __call__(self, loss: Callable[[Params], Tensor], at: Params) -> tuple[Params, Tensor]:
        """See `PartialGradient`."""
        value, pull = self.pullback(loss, at)
        return pull(torch.ones_like(value)), value

    def pullback(self, function: Callable[[Params], Tensor], at: Params) -> tuple[Tensor, Pullback]:
        """See `PartialGradient`."""
        leaves = {name: weight.detach().requires_grad_() for name, weight in at.items()}
        with torch.enable_grad():
            value = function(leaves)

        def pull(cotangent: Tensor) -> Params:
            gradient = torch.autograd.grad(value, list(leaves.values()), cotangent)
            return dict(zip(leaves, gradient, strict=True))

        return value.detach(), pull

    def through(self, outcome: Outcome, init: GanParams) -> tuple[GanParams, Metrics]:
        """See `EpisodeGradient`."""
        leaves = GanParams(
            *(map_params(lambda w: w.detach().requires_grad_(), part) for part in init)
        )
        with torch.enable_grad():
            losses, metrics = outcome(leaves, GraphGradient())
        # Only what is a player's own: the cross terms are not part of its meta-gradient.
        found: dict[str, Params] = {}
        for player, loss in losses._asdict().items():
            own = {f"{player}.{name}": leaf for name, leaf in getattr(leaves, player).items()}
            own |= {
                f"rates.{name}": leaf
                for name, leaf in leaves.rates.items()
                if name.startswith(f"{player}.")
            }
            found[player] = {}
            if not own:
                continue
            slopes = torch.autograd.grad(
                loss, list(own.values()), retain_graph=True, materialize_grads=True
            )
            for name, slope in zip(own, slopes, strict=True):
                part, _, weight = name.partition(".")
                found.setdefault(part, {})[weight] = slope
        return GanParams(**found), map_params(Tensor.detach, metrics)


class GraphGradient:
    """Derivatives by autograd with the graph kept, so that autograd can differentiate them again.

    Each derivative is taken at fresh aliases of the weights. Without them autograd would give the
    total derivative, which also runs back through the other player's last update, and the inner
    loop would silently be that of an unrolled GAN.
    """

    def __call__(self, loss: Callable[[Params], Tensor], at: Params) -> tuple[Params, Tensor]:
        """See `PartialGradient`."""
        value, pull = self.pullback(loss, at)
        return pull(torch.ones_like(value)), value

    def pullback(self, function: Callable[[Params], Tensor], at: Params) -> tuple[Tensor, Pullback]:
        """See `PartialGradient`."""
        aliases = {
            name: weight.view_as(weight)
            if weight.requires_grad
            else weight.detach().requires_grad_()
            for name, weight in at.items()
        }
        value = function(aliases)

        def pull(cotangent: Tensor) -> Params:
            gradient = torch.autograd.grad(
                value, list(aliases.values()), cotangent, create_graph=True
            )
            return dict(zip(aliases, gradient, strict=True))

        return value, pull


functional_gradient = FunctionalGradient()
autograd_gradient = AutogradGradient()
