"""The meta-gradient of a chunk of episodes: a worker's whole job.

Shapes: E episodes in a chunk, P weights of both players.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from metagan.algorithms import ALGORITHMS, EpisodeInputs, Estimator
from metagan.batches import GanBatch, draw_batches
from metagan.chunks import ChunkKey, ChunkReport, ChunkResult, EpisodeFailure
from metagan.derivatives import EpisodeGradient, autograd_gradient, functional_gradient
from metagan.gan import GanPair
from metagan.params import GanParams, Layout, Vector, detach, vector_sha256
from metagan.settings import GanConfig, RunConfig
from metagan.tasks import Episode, TaskSource

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
        inputs = [_inputs(episode, config, device, chunk.step) for episode in episodes]
        estimates = episode_gradients(
            algorithm.estimator, gan, layout, init, inputs, config, vectorised=vectorised
        )
        weight = 1
    else:
        pooled = _pooled_inputs(episodes, chunk, config, device)
        estimate, values = algorithm.estimator(gan, init, pooled, config, autograd_gradient)
        # One gradient of the pooled mean counts as that of all its episodes.
        whole = layout.flatten(detach(estimate)) * len(episodes)
        losses = {name: value.detach() * len(episodes) for name, value in values.items()}
        estimates, weight = iter([(whole, losses)]), len(episodes)
    return _sum_finite(estimates, chunk, vector, weight=weight, started=started)


def episode_gradients(
    estimator: Estimator,
    gan: GanPair,
    layout: Layout,
    init: GanParams,
    inputs: Sequence[EpisodeInputs],
    config: RunConfig,
    *,
    vectorised: bool | None,
) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Meta-gradient (P,) and metrics () of each episode, in order.

    One at a time, so that a long chunk holds no more gradients than are computed at once.
    """
    real, outer_step = inputs[0].support.real, inputs[0].outer_step
    if vectorised is None:
        vectorised = prefers_vmap(gan.config, real.shape[-1], len(inputs), real.device)

    def estimate(
        support: GanBatch, query: GanBatch, gradient: EpisodeGradient
    ) -> tuple[Tensor, dict[str, Tensor]]:
        meta, losses = estimator(
            gan, init, EpisodeInputs(support, query, outer_step), config, gradient
        )
        return layout.flatten(meta), losses

    def several(group: Sequence[EpisodeInputs]) -> tuple[Tensor, dict[str, Tensor]]:
        support, query = (
            GanBatch(*(torch.stack(tensors) for tensors in zip(*halves, strict=True)))
            for halves in ([i.support for i in group], [i.query for i in group])
        )
        return torch.func.vmap(lambda s, q: estimate(s, q, functional_gradient))(support, query)

    if vectorised:
        size = len(inputs) if real.device.type == "cuda" else _VMAP_CPU_EPISODES
        for start in range(0, len(inputs), size):
            metas, losses = several(inputs[start : start + size])
            for index, meta in enumerate(metas):
                yield meta, {name: values[index] for name, values in losses.items()}
    else:
        for i in inputs:
            yield estimate(i.support, i.query, autograd_gradient)


def _inputs(
    episode: Episode, config: RunConfig, device: torch.device, outer_step: int = 0
) -> EpisodeInputs:
    def draw(half: Tensor, purpose: str) -> GanBatch:
        batches = draw_batches(
            half,
            config.gan,
            steps=config.inner.steps * config.inner.batches_per_step,
            batch_size=config.inner.batch_size,
            seed=episode.key.seed,
            purpose=purpose,
        )
        return GanBatch(*(tensor.to(device) for tensor in batches))

    return EpisodeInputs(draw(episode.support, "support"), draw(episode.query, "query"), outer_step)


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
    estimates: Iterator[tuple[Tensor, dict[str, Tensor]]],
    chunk: ChunkKey,
    vector: Vector,
    *,
    weight: int,
    started: float,
) -> ChunkResult:
    total: Tensor | None = None
    sums: dict[str, float] = {}
    num_finite = 0
    failures: list[EpisodeFailure] = []
    for index, (gradient, losses) in enumerate(estimates):
        if total is None:
            total = torch.zeros_like(gradient, dtype=torch.float32)
            sums = dict.fromkeys(losses, 0.0)
        if torch.isfinite(gradient).all():
            # In episode order: float addition is not associative.
            total += gradient
            num_finite += weight
            for name, value in losses.items():
                sums[name] += float(value)
        else:
            failed = chunk.episodes[index : index + 1] if weight == 1 else chunk.episodes
            failures += [EpisodeFailure(key, "meta-gradient is not finite") for key in failed]
    assert total is not None, "a chunk has episodes"
    gradient_sum = total.cpu().numpy()
    report = ChunkReport(
        step=chunk.step,
        index=chunk.index,
        num_finite=num_finite,
        metric_sums=sums,
        failures=tuple(failures),
        compute_s=time.perf_counter() - started,
        gradient_sha256=vector_sha256(gradient_sum),
        params_sha256=vector_sha256(vector),
    )
    return ChunkResult(report, gradient_sum)
