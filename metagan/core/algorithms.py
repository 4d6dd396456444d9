"""The table of meta-learning algorithms: from an episode to its meta-gradient.

The outer optimizer treats all rules alike; `metagan.core.chunk_gradient` applies one to a chunk.

Shapes: E episodes in a chunk, P weights of both players.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import partial

import torch
from torch import Tensor

from metagan.config.algorithms import ALGORITHMS
from metagan.config.learning import InnerConfig, OuterConfig
from metagan.config.settings import RunConfig
from metagan.core.adapters import solve_support
from metagan.core.batches import EpisodeInputs, GanBatch
from metagan.core.derivatives import (
    EpisodeGradient,
    Metrics,
    PartialGradient,
    PlayerLosses,
)
from metagan.core.flat_game import flatten_game, inner_field, players_of
from metagan.core.gan import GanPair
from metagan.core.implicit import implicit_gradient
from metagan.core.inner_loop import Adapted, StepGradients, adapt
from metagan.core.params import PLAYERS, GanParams, Params, map_params
from metagan.core.rates import moves, parts_of

Estimate = tuple[GanParams, dict[str, Tensor]]
Estimator = Callable[[GanPair, GanParams, EpisodeInputs, RunConfig, EpisodeGradient], Estimate]


def reptile(
    gan: GanPair,
    init: GanParams,
    inputs: EpisodeInputs,
    config: RunConfig,
    gradient: EpisodeGradient,
) -> Estimate:
    """The displacement `init - adapted`, which points as a gradient does.

    Source: Nichol et al. 2018, arXiv:1803.02999, Algorithm 1; for GANs FIGR (Clouatre and
    Demers 2019, arXiv:1901.02199). The query half is not used.
    """
    adapted = adapt(gan, init, inputs.support, inner_settings(config), gradient=gradient)
    moved = GanParams(
        *(
            map_params(torch.sub, before, after)
            for before, after in zip(init, adapted.params, strict=True)
        )
    )
    return moved, adapted.losses


def fomaml(
    gan: GanPair,
    init: GanParams,
    inputs: EpisodeInputs,
    config: RunConfig,
    gradient: EpisodeGradient,
) -> Estimate:
    """Each player's query gradient at its adapted weights.

    Source: first-order MAML (Finn et al. 2017, arXiv:1703.03400, section 5.2). The generator's
    query loss is scored by a discriminator adapted on the query half, as in DAWSON (Liang et al.
    2020, arXiv:2001.00576), or by the support-adapted one (`algorithm.generator_critic`).
    """
    adapted = _adapt(gan, init, inputs, config, gradient)
    query = inputs.query.step(-1)
    total, losses = _zeros(init), dict(adapted.losses)
    for weight, (at, critic) in _weighted_path(adapted, inputs, config):
        step = StepGradients(gan, at.generator, query, gradient)
        d_grad: Params = {}
        if gan.config.has_adversary:
            d_grad, losses["loss_d_query"] = step.discriminator(at.discriminator, penalty_scale=1.0)
        g_grad, losses["loss_g_query"] = step.generator(critic)
        add = partial(torch.add, alpha=weight)
        total = total._replace(
            generator=map_params(add, total.generator, g_grad),
            discriminator=map_params(add, total.discriminator, d_grad),
        )
    return total, losses


def maml(
    gan: GanPair,
    init: GanParams,
    inputs: EpisodeInputs,
    config: RunConfig,
    gradient: EpisodeGradient,
) -> Estimate:
    """The derivative of each player's query loss through the inner loop, to its own initialization.

    Source: Finn et al. 2017, arXiv:1703.03400, equation 1 and section 3. The losses are those of
    `fomaml`. An inner step is a partial derivative there and here; the outer one is total, so a
    player's derivative also runs through what its weights did to the other player's steps.
    """

    def outcome(at_init: GanParams, inner: PartialGradient) -> tuple[PlayerLosses, Metrics]:
        adapted = _adapt(gan, at_init, inputs, config, inner)
        query = inputs.query.step(-1)
        g_terms, d_terms, metrics = [], [], dict(adapted.losses)
        for weight, (at, critic) in _weighted_path(adapted, inputs, config):
            losses, seen = _query_losses(gan, _solved(gan, at, at_init, inputs), critic, query)
            g_terms.append(weight * losses.generator)
            d_terms.append(weight * losses.discriminator)
            metrics |= seen
        return PlayerLosses(torch.stack(g_terms).sum(), torch.stack(d_terms).sum()), metrics

    return gradient.through(outcome, init)


def ridge(
    gan: GanPair,
    init: GanParams,
    inputs: EpisodeInputs,
    config: RunConfig,  # noqa: ARG001
    gradient: EpisodeGradient,
) -> Estimate:
    """The derivative of the query losses through a head that is solved for on the support.

    Source: Bertinetto et al. 2019, arXiv:1805.08136, Algorithm 1, with a prior head; see
    `metagan.core.adapters`. There is no inner loop.
    """
    assert inputs.whole is not None, "pairs to solve on"

    def outcome(at: GanParams, _: PartialGradient) -> tuple[PlayerLosses, Metrics]:
        solved = _solved(gan, at, at, inputs)
        return _query_losses(gan, solved, at.discriminator, inputs.query.step(-1))

    return gradient.through(outcome, init)


def _query_losses(
    gan: GanPair, at: GanParams, critic: Params, query: GanBatch
) -> tuple[PlayerLosses, Metrics]:
    """Both players' losses on a batch of the query half, the generator's scored by a critic."""
    samples = gan.generate_batch(at.generator, query)
    g_loss = gan.generator_loss(critic, query, samples)
    if not gan.config.has_adversary:
        return PlayerLosses(g_loss, torch.zeros_like(g_loss)), {"loss_g_query": g_loss}
    d_loss = gan.discriminator_loss(at.discriminator, query, samples, penalty_scale=1.0)
    return PlayerLosses(g_loss, d_loss), {"loss_d_query": d_loss, "loss_g_query": g_loss}


def _solved(gan: GanPair, at: GanParams, init: GanParams, inputs: EpisodeInputs) -> GanParams:
    """These players, with a solved head where one is solved for, held as `init` says."""
    if inputs.whole is None:
        return at
    return at._replace(generator=solve_support(gan, at.generator, inputs.whole, init.rates))


def imaml(
    gan: GanPair,
    init: GanParams,
    inputs: EpisodeInputs,
    config: RunConfig,
    gradient: EpisodeGradient,
) -> Estimate:
    """The derivative of each player's query loss at the fixed point that the inner loop is near.

    Source: Rajeswaran et al. 2019, arXiv:1909.04630; see `metagan.core.implicit`. The losses are
    those of `maml`; the inner losses are those on the last inner batch.
    """
    inner = inner_settings(config)
    adapted = _adapt(gan, init, inputs, config, gradient)
    metrics = dict(adapted.losses)
    twin = {} if adapted.critic is None else {"critic": adapted.critic}
    at = flatten_game(
        {
            "generator": adapted.params.generator,
            "discriminator": adapted.params.discriminator,
            **twin,
        }
    )
    # One batch: each more would make every step of conjugate gradient as much dearer.
    support, query = inputs.support.step(-1), inputs.query.step(-1)

    def outcome(at: Params) -> PlayerLosses:
        players = players_of(at)
        own = players.get("discriminator", {})
        found = GanParams(players["generator"], own)
        return _query_losses(gan, found, players.get("critic", own), query)[0]

    losses, pull = torch.func.vjp(outcome, at)[:2]
    one, zero = torch.ones_like(losses.generator), torch.zeros_like(losses.generator)
    found = _zeros(init)
    for player, seen in (
        ("generator", PlayerLosses(one, zero)),
        ("discriminator", PlayerLosses(zero, one)),
    ):
        if not getattr(init, player):
            continue
        slopes, residual = implicit_gradient(
            partial(inner_field, gan, support, query, inner),
            at,
            pull(seen)[0],
            proximal=inner.proximal or 0.0,
            steps=config.algorithm.cg_steps,
        )
        parts = players_of(slopes)
        own = parts[player]
        if player == "discriminator" and "critic" in parts:
            # The twin starts from the same weights.
            own = map_params(torch.add, own, parts["critic"])
        found = found._replace(**{player: own})
        metrics[f"cg_residual_{player[0]}"] = residual
    if gan.config.has_adversary:
        metrics["loss_d_query"] = losses.discriminator
    return found, metrics | {"loss_g_query": losses.generator}


def _adapt(
    gan: GanPair,
    init: GanParams,
    inputs: EpisodeInputs,
    config: RunConfig,
    gradient: PartialGradient,
) -> Adapted:
    """The adapted players, with a twin discriminator where that scores the query loss.

    Those of every inner step whose query loss counts are kept.
    """
    twin = config.algorithm.generator_critic == "query" and gan.config.has_adversary
    return adapt(
        gan,
        init,
        inputs.support,
        inner_settings(config),
        critic_batches=inputs.query if twin else None,
        gradient=gradient,
        keep_steps=_counted_steps(inputs, config),
    )


def _weighted_path(
    adapted: Adapted, inputs: EpisodeInputs, config: RunConfig
) -> Iterator[tuple[float, tuple[GanParams, Params]]]:
    """(weight in the query loss, (players, G's critic)) of every inner step that has a weight."""
    for index, weight in _counted_steps(inputs, config).items():
        at, critic = adapted.path[index]
        yield weight, (at, at.discriminator if critic is None else critic)


def _counted_steps(inputs: EpisodeInputs, config: RunConfig) -> dict[int, float]:
    """The inner steps whose query loss counts, with its weight."""
    steps = len(inputs.support.real) // inner_settings(config).batches_per_step
    weights = step_weights(config, inputs.outer_step, steps)
    return {index: weight for index, weight in enumerate(weights) if weight}


def step_weights(config: RunConfig, outer_step: int, steps: int) -> list[float]:
    """Weights of the query losses after each inner step; they add up to 1.

    Source: Antoniou et al. 2019, arXiv:1810.09502, section 4 (multi-step loss): at first all alike,
    then less and less for all but the last one; here in a straight line to zero at
    `algorithm.multi_step` outer steps after the warm-up.
    """
    span = config.algorithm.multi_step
    left = max(0.0, 1 - (outer_step - config.warmup.steps) / span) if span else 0.0
    early = left / steps
    return [early] * (steps - 1) + [1 - early * (steps - 1)]


def work_of_step(config: RunConfig, algorithm: str, outer_step: int) -> Hashable:
    """Key of the operations that an estimator does in an outer step, whatever numbers it works on.

    Returns:
        Equal values for outer steps in which the estimator does the same operations with the same
        constants; None where every outer step has constants of its own, or where the work looks
        at what it computes, as torch does at eigenvalues.
    """
    if config.gan.spectral_norm:
        return None
    if not ALGORITHMS[algorithm].adapts:
        return outer_step % config.gan.penalty_every == 0
    narrowing = outer_step - config.warmup.steps < config.algorithm.multi_step
    return None if ALGORITHMS[algorithm].reads_query and narrowing else ()


def _zeros(params: GanParams) -> GanParams:
    return GanParams(*(map_params(torch.zeros_like, part) for part in params))


def joint(
    gan: GanPair,
    init: GanParams,
    inputs: EpisodeInputs,
    config: RunConfig,  # noqa: ARG001
    gradient: EpisodeGradient,
) -> Estimate:
    """Ordinary GAN training on pooled samples: the baseline that adaptation must beat.

    Here the first batch holds the pooled samples of a chunk, and penalties apply at every
    `gan.penalty_every`-th outer step, times that number.
    """
    batch, lazy = inputs.support.step(0), gan.config.penalty_every
    penalty_scale = float(lazy) if inputs.outer_step % lazy == 0 else 0.0
    step = StepGradients(gan, init.generator, batch, gradient)
    d_grad: Params = {}
    losses: dict[str, Tensor] = {}
    if gan.config.has_adversary:
        d_grad, d_loss = step.discriminator(init.discriminator, penalty_scale=penalty_scale)
        losses["loss_d_first"] = d_loss
    g_grad, losses["loss_g_first"] = step.generator(init.discriminator)
    return _zeros(init)._replace(generator=g_grad, discriminator=d_grad), losses


ESTIMATORS: Mapping[str, Estimator] = {
    "reptile": reptile,
    "fomaml": fomaml,
    "maml": maml,
    "anil": maml,
    "meta_sgd": maml,
    "imaml": imaml,
    "ridge": ridge,
    "joint": joint,
    "average": reptile,
}
"""How every row of `metagan.config.algorithms.ALGORITHMS` comes to its meta-gradient."""


def inner_settings(config: RunConfig) -> InnerConfig:
    """The inner loop's settings, with what the algorithm itself says about it."""
    row = ALGORITHMS[config.algorithm.name]
    chosen: dict[str, object] = {
        name: row.moves
        for name in ("generator_moves", "discriminator_moves")
        if getattr(config.inner, name) == "all"
    }
    if config.inner.learn_rates == "none":
        chosen["learn_rates"] = row.learn_rates
    if config.inner.proximal is None and row.proximal:
        chosen["proximal"] = row.proximal
    if row.solves:
        chosen["solve"] = True
    return config.inner.model_copy(update=chosen)


def usual_steps(config: RunConfig) -> int:
    """Inner steps of adaptation as training does it."""
    return 0 if ALGORITHMS[config.algorithm.name].solves else config.inner.steps


def outer_settings(config: RunConfig) -> OuterConfig:
    """The outer loop's settings, with what the algorithm itself says about it."""
    if not ALGORITHMS[config.algorithm.name].every_task:
        return config.outer
    # One whole step along the mean displacement ends at the mean of the adapted weights.
    mean = {"optimizer": "sgd", "lr": 1.0, "anneal": "none", "ema": 0.0, "max_norm": None}
    return config.outer.model_copy(update=mean)


def check_moves(inner: InnerConfig, params: GanParams) -> None:
    """Refuse patterns that no weight of the player has, which would silently freeze it.

    Raises:
        ValueError: With the names that there are.
    """
    for player in PLAYERS:
        weights = getattr(params, player)
        if not weights:
            continue  # Without an adversary there is no discriminator.
        for pattern in parts_of(getattr(inner, f"{player}_moves")):
            if pattern != "none" and not any(moves(pattern, name) for name in weights):
                names = ", ".join(sorted({name.rsplit(".", 1)[0] for name in weights}))
                raise ValueError(
                    f"inner.{player}_moves has {pattern!r}, which no weight is called; use all, "
                    f"none, body, head, or a pattern such as body.* of: {names}"
                )
