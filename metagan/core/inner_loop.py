"""The inner loop: adapting both players to one episode, as a pure function.

Shapes: the batches of S inner steps stand in front of one another; see `metagan.core.batches`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

from metagan.config.learning import InnerConfig
from metagan.core.batches import GanBatch
from metagan.core.derivatives import PartialGradient, Pullback, functional_gradient
from metagan.core.gan import GanPair
from metagan.core.inner_optimizer import InnerOptimizer
from metagan.core.params import GanParams, Params
from metagan.core.rates import moves


def split(weights: Params, pattern: str) -> tuple[Params, Params]:
    """(those that move, those that stay)."""
    moving = {name: weight for name, weight in weights.items() if moves(pattern, name)}
    return moving, {name: weight for name, weight in weights.items() if name not in moving}


def partial_gradient(
    gradient: PartialGradient, loss: Callable[[Params], Tensor], at: Params, pattern: str
) -> tuple[Params, Tensor]:
    """(gradient by the weights that move, loss value); the others count as constants."""
    moving, still = split(at, pattern)
    if not moving:
        return {}, loss(at)
    return gradient(lambda params: loss({**still, **params}), moving)


class StepGradients:
    """Both players' partial gradients on one batch; the generator runs once for all of them.

    Its samples depend on its own weights alone, so the discriminator's step reads their values
    and the generator's step pulls its loss back through the same pass.
    """

    def __init__(
        self,
        gan: GanPair,
        generator: Params,
        batch: GanBatch,
        gradient: PartialGradient,
        *,
        moving: str = "all",
    ) -> None:
        """`moving` is the pattern of the generator's weights to differentiate by."""
        self._gan, self._batch, self._gradient = gan, batch, gradient
        to_move, still = split(generator, moving)
        self._pull: Pullback | None = None
        if to_move:
            self._samples, self._pull = gradient.pullback(
                lambda params: gan.generate_batch({**still, **params}, batch), to_move
            )
        else:
            self._samples = gan.generate_batch(generator, batch)

    def discriminator(
        self, at: Params, *, penalty_scale: float, moving: str = "all"
    ) -> tuple[Params, Tensor]:
        """(gradient, loss) of the discriminator at these weights of its own."""
        return discriminator_gradient(
            self._gan,
            at,
            self._samples,
            self._batch,
            self._gradient,
            penalty_scale=penalty_scale,
            moving=moving,
        )

    def generator(self, critic: Params) -> tuple[Params, Tensor]:
        """(gradient, loss) of the generator, scored by this discriminator; once only."""
        if self._pull is None:
            return {}, self._gan.generator_loss(critic, self._batch, self._samples)
        slope, loss = self._gradient(
            lambda inputs: self._gan.generator_loss(critic, self._batch, inputs["samples"]),
            {"samples": self._samples},
        )
        return self._pull(slope["samples"]), loss


def discriminator_gradient(
    gan: GanPair,
    at: Params,
    samples: Tensor,
    batch: GanBatch,
    gradient: PartialGradient,
    *,
    penalty_scale: float,
    moving: str,
) -> tuple[Params, Tensor]:
    """(gradient, loss) of a discriminator on a batch and the samples generated for it."""
    return partial_gradient(
        gradient,
        lambda params: gan.discriminator_loss(params, batch, samples, penalty_scale=penalty_scale),
        at,
        moving,
    )


@dataclass(frozen=True)
class Adapted:
    """The result of the inner loop.

    Attributes:
        params: Both players after the last step, with the learned rates that they started with.
        critic: The twin discriminator adapted on other samples in lockstep, if asked for.
        losses: Inner losses at the first and the last step, scalars by name.
        path: (players, critic) after each step that was to be kept, by its number from 0.
    """

    params: GanParams
    critic: Params | None
    losses: dict[str, Tensor]
    path: Mapping[int, tuple[GanParams, Params | None]]


def adapt(
    gan: GanPair,
    init: GanParams,
    batches: GanBatch,
    config: InnerConfig,
    *,
    critic_batches: GanBatch | None = None,
    gradient: PartialGradient = functional_gradient,
    keep_steps: Collection[int] = (),
) -> Adapted:
    """Adapt both players: each inner step is k discriminator updates, then m generator updates.

    Without a discriminator it is the generator's m updates alone.

    An update is a *partial* derivative: the generator's step does not differentiate through the
    discriminator's. The optimizer's state starts anew in every episode, so an episode's result
    cannot depend on what ran before it.

    Args:
        gan: The pair's losses.
        init: Where adaptation starts, with learned rates if there are any.
        batches: k + m - 1 batches for each of S inner steps, S * (k + m - 1) in front: one for
            each discriminator update, the last of which also serves the first generator update,
            then one for each further generator update. S may differ from `config.steps`.
        config: Learning rates, optimizer, k and m, and which weights move.
        critic_batches: Samples for a second discriminator (DAWSON's twin, Liang et al. 2020,
            arXiv:2001.00576): it starts from the same weights and sees the same generator, but
            other real samples.
        gradient: How derivatives are taken.
        keep_steps: Numbers of steps after which the players are kept, in addition to the last.
            Where no derivative needs them, the others are let go, so memory does not grow with S.

    Returns:
        The adapted weights; gradients flow through them only with a differentiable `gradient`.
    """
    at, critic = init, None if critic_batches is None else init.discriminator
    for_generator = InnerOptimizer(config, "generator", init)
    for_discriminator, for_critic = (
        InnerOptimizer(config, "discriminator", init) for _ in range(2)
    )
    d_moving = config.discriminator_moves
    d_updates = config.discriminator_steps if gan.config.has_adversary else 0
    losses: dict[str, Tensor] = {}
    path: dict[int, tuple[GanParams, Params | None]] = {}
    steps = len(batches.real) // config.batches_per_step
    for index in range(steps):
        first = index * config.batches_per_step
        discriminator = at.discriminator
        for update in range(d_updates):
            batch = batches.step(first + update)
            scale = _penalty_scale(gan, index * d_updates + update, steps * d_updates)
            if update < d_updates - 1:
                d_grad, d_loss = discriminator_gradient(
                    gan,
                    discriminator,
                    gan.generate(at.generator, batch.condition, batch.z[:, 0]),
                    batch,
                    gradient,
                    penalty_scale=scale,
                    moving=d_moving,
                )
            else:
                step = StepGradients(
                    gan, at.generator, batch, gradient, moving=config.generator_moves
                )
                d_grad, d_loss = step.discriminator(
                    discriminator, penalty_scale=scale, moving=d_moving
                )
            discriminator = for_discriminator.step(discriminator, d_grad)
            if critic is not None and critic_batches is not None:
                other = critic_batches.step(first + update)
                c_grad, _ = discriminator_gradient(
                    gan,
                    critic,
                    gan.generate(at.generator, other.condition, other.z[:, 0]),
                    other,
                    gradient,
                    penalty_scale=scale,
                    moving=d_moving,
                )
                critic = for_critic.step(critic, c_grad)
        generator = at.generator
        for update in range(config.generator_steps):
            if update > 0 or not d_updates:
                # Without a discriminator's updates the generator's first one has the first batch.
                batch = batches.step(first + max(d_updates - 1, 0) + update)
                step = StepGradients(gan, generator, batch, gradient, moving=config.generator_moves)
            g_grad, g_loss = step.generator(discriminator)
            generator = for_generator.step(generator, g_grad)
        at = at._replace(generator=generator, discriminator=discriminator)
        if index in keep_steps:
            path[index] = (at, critic)
        for when in ("first", "last") if index == 0 else ("last",):
            if d_updates:
                losses[f"loss_d_{when}"] = d_loss
            losses[f"loss_g_{when}"] = g_loss
    return Adapted(at, critic, losses, path)


def _penalty_scale(gan: GanPair, update: int, updates: int) -> float:
    """Factor of a penalty's weight in one of all discriminator updates.

    Penalties are lazy: the first of every `penalty_every` updates carries them for all (the last
    such group may be shorter), so their weights add up to the number of updates.
    """
    lazy = gan.config.penalty_every
    return float(min(lazy, updates - update)) if update % lazy == 0 else 0.0
