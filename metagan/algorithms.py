"""The table of meta-learning algorithms, and the meta-gradient of a chunk of episodes.

An algorithm is a rule from an episode to a meta-gradient; the outer optimizer treats all alike.

Shapes: E episodes in a chunk, P weights of both players.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metagan.batches import GanBatch, draw_batches
from metagan.chunks import ChunkKey, ChunkReport, ChunkResult, EpisodeFailure
from metagan.derivatives import (
    EpisodeGradient,
    Metrics,
    PartialGradient,
    PlayerLosses,
    autograd_gradient,
    functional_gradient,
)
from metagan.gan import GanPair
from metagan.inner_loop import Adapted, StepGradients, adapt, moves
from metagan.params import GanParams, Layout, Params, Vector, detach, map_params, vector_sha256
from metagan.settings import GanConfig, InnerConfig, RunConfig
from metagan.tasks import Episode, TaskSource


@dataclass(frozen=True)
class EpisodeInputs:
    """An episode as the estimators see it: every draw made, S inner steps in front.

    Attributes:
        support: Batches of the support half.
        query: Batches of the query half; the last one also measures the outer loss.
        outer_step: Decides when `joint` applies its lazy penalties.
    """

    support: GanBatch
    query: GanBatch
    outer_step: int = 0


Estimate = tuple[GanParams, dict[str, Tensor]]
Estimator = Callable[[GanPair, GanParams, EpisodeInputs, RunConfig, EpisodeGradient], Estimate]


@dataclass(frozen=True)
class MetaAlgorithm:
    """A row of the table.

    Attributes:
        estimator: (gan, init, inputs, config, gradient) -> (meta-gradient, metrics).
        adapts: Whether episodes are adapted to one by one; if not, a chunk is one pooled batch.
        summary: One line for help and reports.
        second_order: Whether it differentiates through the inner loop, so that every operation of
            the networks needs a second derivative.
        moves: What the inner loop moves where the settings say "all".
    """

    estimator: Estimator
    adapts: bool
    summary: str
    second_order: bool = False
    moves: str = "all"


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
    adapted, critic = _adapt_with_critic(gan, init, inputs, config, gradient)
    at, query = adapted.params, inputs.query.step(-1)
    step = StepGradients(gan, at.generator, query, gradient)
    d_grad, d_loss = step.discriminator(at.discriminator, penalty_scale=1.0)
    g_grad, g_loss = step.generator(critic)
    losses = {**adapted.losses, "loss_d_query": d_loss, "loss_g_query": g_loss}
    return GanParams(g_grad, d_grad), losses


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
        adapted, critic = _adapt_with_critic(gan, at_init, inputs, config, inner)
        at, query = adapted.params, inputs.query.step(-1)
        samples = gan.generate_batch(at.generator, query)
        losses = PlayerLosses(
            gan.generator_loss(critic, query, samples),
            gan.discriminator_loss(at.discriminator, query, samples, penalty_scale=1.0),
        )
        metrics = {"loss_d_query": losses.discriminator, "loss_g_query": losses.generator}
        return losses, {**adapted.losses, **metrics}

    return gradient.through(outcome, init)


def _adapt_with_critic(
    gan: GanPair,
    init: GanParams,
    inputs: EpisodeInputs,
    config: RunConfig,
    gradient: PartialGradient,
) -> tuple[Adapted, Params]:
    """The adapted players, and the discriminator that scores the generator's query loss."""
    twin = config.algorithm.generator_critic == "query"
    adapted = adapt(
        gan,
        init,
        inputs.support,
        inner_settings(config),
        critic_batches=inputs.query if twin else None,
        gradient=gradient,
    )
    return adapted, adapted.params.discriminator if adapted.critic is None else adapted.critic


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
    d_grad, d_loss = step.discriminator(init.discriminator, penalty_scale=penalty_scale)
    g_grad, g_loss = step.generator(init.discriminator)
    return GanParams(g_grad, d_grad), {"loss_d_first": d_loss, "loss_g_first": g_loss}


ALGORITHMS: Mapping[str, MetaAlgorithm] = {
    "reptile": MetaAlgorithm(reptile, True, "displacement of the adapted weights"),
    "fomaml": MetaAlgorithm(fomaml, True, "query gradient at the adapted weights"),
    "maml": MetaAlgorithm(maml, True, "query gradient through the inner loop", second_order=True),
    # Raghu et al. 2020, arXiv:1909.09157, section 4: MAML whose inner loop moves the head alone.
    "anil": MetaAlgorithm(
        maml, True, "maml that adapts heads only", second_order=True, moves="head"
    ),
    "joint": MetaAlgorithm(joint, False, "pooled pre-training, no inner loop"),
}


def inner_settings(config: RunConfig) -> InnerConfig:
    """The inner loop's settings, with what the algorithm itself says about it."""
    moved = ALGORITHMS[config.algorithm.name].moves
    chosen = {
        name: moved
        for name in ("generator_moves", "discriminator_moves")
        if getattr(config.inner, name) == "all"
    }
    return config.inner.model_copy(update=chosen)


def check_moves(inner: InnerConfig, params: GanParams) -> None:
    """Refuse patterns that no weight of the player has, which would silently freeze it.

    Raises:
        ValueError: With the names that there are.
    """
    for player, weights in zip(GanParams._fields, params, strict=True):
        pattern: str = getattr(inner, f"{player}_moves")
        if pattern != "none" and not any(moves(pattern, name) for name in weights):
            names = ", ".join(sorted({name.rsplit(".", 1)[0] for name in weights}))
            raise ValueError(
                f"inner.{player}_moves is {pattern!r}, which no weight is called; use all, none, "
                f"body, head, or a pattern such as body.* of: {names}"
            )


# Largest width x picture side for which vmap was the faster path on a CPU thread, and the number of
# episodes that fill its caches; measured by benchmarks/inner_loop.py (benchmarks/results).
_VMAP_CPU_REACH: Mapping[str, int] = {"flow": 8 * 28, "dcgan": 16 * 28, "residual": 16 * 28}
_VMAP_CPU_EPISODES = 8


def prefers_vmap(gan: GanConfig, side: int, episodes: int, device: torch.device) -> bool:
    """Whether a chunk runs vectorised or episode by episode.

    A rule and not a timing, because the two differ in the last bits and every worker must take
    the same one. On a CPU vmap wins while calls cost more than arithmetic: its convolutions, one
    group per episode, are slower than one after the other. On a GPU it always saves launches.

    Args:
        gan: The networks.
        side: Of the pictures, pixels.
        episodes: In the chunk.
        device: Where to compute.
    """
    if episodes == 1:
        return False
    return device.type == "cuda" or gan.width * side <= _VMAP_CPU_REACH[gan.family]


def chunk_gradient(
    gan: GanPair,
    layout: Layout,
    vector: Vector,
    chunk: ChunkKey,
    source: TaskSource,
    config: RunConfig,
    *,
    device: torch.device,
    vectorised: bool | None = None,
) -> ChunkResult:
    """A worker's whole job: the sum of the meta-gradients of a chunk's episodes.

    Args:
        gan: The pair.
        layout: Of `vector`.
        vector: The initialization, (P,), never written to.
        chunk: Which episodes, by which algorithm.
        source: Where they come from.
        config: The run.
        device: Where to compute.
        vectorised: Overrides `prefers_vmap`.

    Returns:
        The sum over finite episodes in episode order, and a report. Episodes with NaN or infinity
        are listed as failures, never patched.
    """
    started = time.perf_counter()
    algorithm = ALGORITHMS[chunk.algorithm]
    # A copy: arrays from an object store are shared and must not be written to.
    init = layout.unflatten(torch.tensor(vector, device=device))
    episodes = [source.episode(key) for key in chunk.episodes]
    if algorithm.adapts:
        inputs = [_inputs(episode, config, device) for episode in episodes]
        gradients, losses = _per_episode(
            algorithm.estimator, gan, layout, init, inputs, config, vectorised=vectorised
        )
        weight = 1
    else:
        pooled = _pooled_inputs(episodes, chunk, config, device)
        estimate, values = algorithm.estimator(gan, init, pooled, config, autograd_gradient)
        # One gradient of the pooled mean counts as that of all its episodes.
        gradients = layout.flatten(detach(estimate))[None] * len(episodes)
        losses = {name: value.detach()[None] * len(episodes) for name, value in values.items()}
        weight = len(episodes)
    return _sum_finite(gradients, losses, chunk, vector, weight=weight, started=started)


def _per_episode(
    estimator: Estimator,
    gan: GanPair,
    layout: Layout,
    init: GanParams,
    inputs: Sequence[EpisodeInputs],
    config: RunConfig,
    *,
    vectorised: bool | None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Meta-gradients (E, P) and metrics (E,) of the episodes."""
    real = inputs[0].support.real
    if vectorised is None:
        vectorised = prefers_vmap(gan.config, real.shape[-1], len(inputs), real.device)

    def estimate(
        support: GanBatch, query: GanBatch, gradient: EpisodeGradient
    ) -> tuple[Tensor, dict[str, Tensor]]:
        meta, losses = estimator(gan, init, EpisodeInputs(support, query), config, gradient)
        return layout.flatten(meta), losses

    def several(group: Sequence[EpisodeInputs]) -> tuple[Tensor, dict[str, Tensor]]:
        support, query = (
            GanBatch(*(torch.stack(tensors) for tensors in zip(*halves, strict=True)))
            for halves in ([i.support for i in group], [i.query for i in group])
        )
        return torch.func.vmap(lambda s, q: estimate(s, q, functional_gradient))(support, query)

    if vectorised:
        size = len(inputs) if real.device.type == "cuda" else _VMAP_CPU_EPISODES
        parts = [several(inputs[start : start + size]) for start in range(0, len(inputs), size)]
        join = torch.cat
    else:
        parts = [estimate(i.support, i.query, autograd_gradient) for i in inputs]
        join = torch.stack
    return join([meta for meta, _ in parts]), {
        name: join([losses[name] for _, losses in parts]) for name in parts[0][1]
    }


def _inputs(episode: Episode, config: RunConfig, device: torch.device) -> EpisodeInputs:
    def draw(half: Tensor, purpose: str) -> GanBatch:
        batches = draw_batches(
            half,
            config.gan,
            steps=config.inner.steps,
            batch_size=config.inner.batch_size,
            seed=episode.key.seed,
            purpose=purpose,
        )
        return GanBatch(*(tensor.to(device) for tensor in batches))

    return EpisodeInputs(draw(episode.support, "support"), draw(episode.query, "query"))


def _pooled_inputs(
    episodes: Sequence[Episode], chunk: ChunkKey, config: RunConfig, device: torch.device
) -> EpisodeInputs:
    """One batch of the chunk's episodes together; support and query are both training samples."""
    draws = [
        draw_batches(
            torch.cat([episode.support, episode.query], dim=1),
            config.gan,
            steps=1,
            batch_size=config.warmup.pairs_per_episode,
            seed=episode.key.seed,
            purpose="joint",
        )
        for episode in episodes
    ]
    batch = GanBatch(*(torch.cat(parts, dim=1).to(device) for parts in zip(*draws, strict=True)))
    return EpisodeInputs(batch, batch, chunk.step)


def _sum_finite(
    gradients: Tensor,
    losses: Mapping[str, Tensor],
    chunk: ChunkKey,
    vector: Vector,
    *,
    weight: int,
    started: float,
) -> ChunkResult:
    total = torch.zeros(gradients.shape[1], dtype=torch.float32, device=gradients.device)
    sums = dict.fromkeys(losses, 0.0)
    finite = torch.isfinite(gradients).all(dim=1).tolist()
    failures: list[EpisodeFailure] = []
    for index, good in enumerate(finite):
        if good:
            # In episode order: float addition is not associative.
            total += gradients[index]
            for name, values in losses.items():
                sums[name] += float(values[index])
        else:
            failed = chunk.episodes[index : index + 1] if weight == 1 else chunk.episodes
            failures += [EpisodeFailure(key, "meta-gradient is not finite") for key in failed]
    gradient_sum = total.cpu().numpy()
    report = ChunkReport(
        step=chunk.step,
        index=chunk.index,
        num_finite=weight * sum(finite),
        metric_sums=sums,
        failures=tuple(failures),
        compute_s=time.perf_counter() - started,
        gradient_sha256=vector_sha256(gradient_sum),
        params_sha256=vector_sha256(vector),
    )
    return ChunkResult(report, gradient_sum)
