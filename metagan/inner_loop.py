"""The inner loop: adapting both players to one episode, as a pure function.

Shapes: S inner steps in front of every batch; see `metagan.batches`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from metagan.batches import GanBatch
from metagan.gan import GanPair
from metagan.params import GanParams, Params, map_params
from metagan.settings import InnerConfig

ADAM_BETA2 = 0.99
ADAM_EPSILON = 1e-4


Pullback = Callable[[Tensor], Params]
Metrics = dict[str, Tensor]


class PlayerLosses(NamedTuple):
    """A scalar for each player."""

    generator: Tensor
    discriminator: Tensor


Outcome = Callable[[GanParams, "PartialGradient"], tuple[PlayerLosses, Metrics]]
"""What both players' losses are in the end, as a function of the initialization.

It takes its inner derivatives with the `PartialGradient` it is given, which keeps the graph.
"""


class PartialGradient(Protocol):
    """How derivatives with respect to one player's weights are taken; all are partial."""

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
    """By `torch.func`: can be vectorised with vmap and differentiated again."""

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
        (by_discriminator,) = pull(PlayerLosses(zero, one))
        return GanParams(by_generator.generator, by_discriminator.discriminator), metrics


class AutogradGradient:
    """By autograd on fresh leaves: the faster one for a single episode."""

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
            *(map_params(lambda w: w.detach().requires_grad_(), player) for player in init)
        )
        with torch.enable_grad():
            losses, metrics = outcome(leaves, GraphGradient())
        # Only a player's own weights: the cross terms are not part of its meta-gradient.
        generator, discriminator = (
            dict(
                zip(
                    player,
                    torch.autograd.grad(
                        loss, list(player.values()), retain_graph=True, materialize_grads=True
                    ),
                    strict=True,
                )
            )
            for loss, player in zip(losses, leaves, strict=True)
        )
        return GanParams(generator, discriminator), map_params(Tensor.detach, metrics)


class GraphGradient:
    """By autograd with the graph kept, so that autograd can go through it once more.

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


class StepGradients:
    """Both players' partial gradients on one batch; the generator runs once for all of them.

    Its samples depend on its own weights alone, so the discriminator's step reads their values
    and the generator's step pulls its loss back through the same pass.
    """

    def __init__(
        self, gan: GanPair, generator: Params, batch: GanBatch, gradient: PartialGradient
    ) -> None:
        self._gan, self._batch, self._gradient = gan, batch, gradient
        self._samples, self._pull = gradient.pullback(
            lambda params: gan.generate_batch(params, batch), generator
        )

    def discriminator(self, at: Params, *, penalty_scale: float) -> tuple[Params, Tensor]:
        """(gradient, loss) of the discriminator at these weights of its own."""
        return self._gradient(
            lambda params: self._gan.discriminator_loss(
                params, self._batch, self._samples, penalty_scale=penalty_scale
            ),
            at,
        )

    def generator(self, critic: Params) -> tuple[Params, Tensor]:
        """(gradient, loss) of the generator, scored by this discriminator; once only."""
        slope, loss = self._gradient(
            lambda inputs: self._gan.generator_loss(critic, self._batch, inputs["samples"]),
            {"samples": self._samples},
        )
        return self._pull(slope["samples"]), loss


@dataclass(frozen=True)
class Adapted:
    """What the inner loop leaves.

    Attributes:
        params: Both players after the last step.
        critic: The twin discriminator adapted on other samples in lockstep, if asked for.
        losses: Inner losses at the first and the last step, scalars by name.
    """

    params: GanParams
    critic: Params | None
    losses: dict[str, Tensor]


def adapt(
    gan: GanPair,
    init: GanParams,
    batches: GanBatch,
    config: InnerConfig,
    *,
    critic_batches: GanBatch | None = None,
    gradient: PartialGradient = functional_gradient,
) -> Adapted:
    """Adapt both players: each inner step is a discriminator update, then a generator update.

    An update is a *partial* derivative: the generator's step does not differentiate through the
    discriminator's. The optimizer's state starts anew in every episode, so an episode's result
    cannot depend on what ran before it.

    Args:
        gan: The pair's losses.
        init: Where adaptation starts.
        batches: One batch per inner step, S in front; S may differ from `config.steps`.
        config: Learning rate and optimizer.
        critic_batches: Samples for a second discriminator (DAWSON's twin, Liang et al. 2020,
            arXiv:2001.00576): it starts from the same weights and sees the same generator, but
            other real samples.
        gradient: How derivatives are taken.

    Returns:
        The adapted weights; gradients flow through them only with a differentiable `gradient`.
    """
    at, critic = init, None if critic_batches is None else init.discriminator
    states: dict[str, Params] = {}
    losses: dict[str, Tensor] = {}
    steps = len(batches.real)
    for index in range(steps):
        batch = batches.step(index)
        # Penalties are lazy: the first of every `penalty_every` steps carries them for all (the
        # last such group may be shorter), so their weights add up to the number of steps.
        lazy = gan.config.penalty_every
        penalty_scale = float(min(lazy, steps - index)) if index % lazy == 0 else 0.0
        bias_correction = 1 - ADAM_BETA2 ** (index + 1)

        def descend(player: str, weights: Params, grads: Params, lr: float) -> Params:
            if config.optimizer == "sgd":
                return map_params(lambda w, g: torch.sub(w, g, alpha=lr), weights, grads)
            previous = states.get(player) or map_params(torch.zeros_like, weights)
            state = map_params(
                lambda v, g: ADAM_BETA2 * v + (1 - ADAM_BETA2) * g.square(), previous, grads
            )
            states[player] = state
            # Epsilon inside the root: the derivative at a zero gradient stays finite.
            return map_params(
                lambda w, g, v: w - lr * g / (v / bias_correction + ADAM_EPSILON**2).sqrt(),  # noqa: B023
                weights,
                grads,
                state,
            )

        d_lr = config.lr * config.discriminator_lr_scale
        step = StepGradients(gan, at.generator, batch, gradient)
        d_grad, d_loss = step.discriminator(at.discriminator, penalty_scale=penalty_scale)
        discriminator = descend("discriminator", at.discriminator, d_grad, d_lr)
        if critic is not None and critic_batches is not None:
            other = critic_batches.step(index)
            samples = gan.generate(at.generator, other.condition, other.z[:, 0])
            c_grad, _ = gradient(
                lambda p: gan.discriminator_loss(p, other, samples, penalty_scale=penalty_scale),  # noqa: B023
                critic,
            )
            critic = descend("critic", critic, c_grad, d_lr)
        g_grad, g_loss = step.generator(discriminator)
        at = GanParams(descend("generator", at.generator, g_grad, config.lr), discriminator)
        if index == 0:
            losses |= {"loss_d_first": d_loss, "loss_g_first": g_loss}
        losses |= {"loss_d_last": d_loss, "loss_g_last": g_loss}
    return Adapted(at, critic, losses)
