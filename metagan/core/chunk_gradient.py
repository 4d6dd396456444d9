"""The meta-gradient of a chunk of episodes: a worker's whole job.

Shapes: E episodes in a chunk, P weights of both players.
"""

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from metagan.config.algorithms import ALGORITHMS
from metagan.config.learning import OuterConfig
from metagan.config.settings import RunConfig
from metagan.core.algorithms import ESTIMATORS, Estimator, inner_settings, work_of_step
from metagan.core.batches import EpisodeInputs, GanBatch, all_pairs, draw_batches
from metagan.core.chunks import CalledOffError, ChunkKey, ChunkReport, ChunkResult, EpisodeFailure
from metagan.core.cuda_graphs import Outputs, Recorder
from metagan.core.derivatives import EpisodeGradient, autograd_gradient, functional_gradient
from metagan.core.gan import GanPair
from metagan.core.params import GanParams, Layout, Vector, vector_hash
from metagan.core.wire import to_wire
from metagan.data.tasks import Episode, Half, TaskSource
from metagan.devices import backward_in_this_thread

# Episodes that fill a CPU thread's caches; measured by benchmarks/inner_loop.py.
_VMAP_CPU_EPISODES = 8

T = TypeVar("T")

Replay = Callable[[Callable[[Sequence[Tensor]], Outputs], Sequence[Tensor], torch.device], Outputs]
"""`Recorder.run` for one name."""


def prefers_vmap(gan: GanPair, episodes: int, device: torch.device) -> bool:
    """True if a chunk runs vectorised, False if episode by episode.

    A rule and not a timing, because the two differ in the last bits and every worker must take
    the same one. On a CPU vmap wins while calls cost more than arithmetic: its convolutions, one
    group per episode, are slower than one after the other. On a GPU it always saves launches.

    Args:
        gan: The networks.
        episodes: In the chunk.
        device: Where to compute.
    """
    if episodes == 1:
        return False
    return device.type == "cuda" or gan.is_light


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
    recorder: Recorder | None = None,
    called_off: Callable[[], bool] = lambda: False,
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
        recorder: On a GPU, replays what it recorded before on other numbers; None computes anew.
            The bits are the same.
        called_off: Asked before each episode is drawn, and again before each is computed, or each
            group of them that is computed at once.

    Returns:
        The sum over usable episodes in episode order, and a report. Episodes with NaN or infinity,
        and those above `outer.max_episode_norm`, are listed as failures, never patched.

    Raises:
        CalledOffError: If it was called off meanwhile.
    """
    started = time.perf_counter()
    algorithm = ALGORITHMS[chunk.algorithm]
    # A copy: arrays from an object store are shared and must not be written to.
    init = layout.unflatten(torch.tensor(vector, device=device))
    replay: Replay | None = None
    work = work_of_step(config, chunk.algorithm, chunk.step)
    if recorder is not None and work is not None:
        replay = functools.partial(recorder.run, (chunk.algorithm, work))
    episodes = [source.episode(key) for key in _until(called_off, chunk.episodes)]
    if algorithm.adapts:
        inputs = [
            episode_draws(episode, config, chunk, num_draws=gan.augment.num_draws)
            for episode in episodes
        ]
        estimates = episode_gradients(
            ESTIMATORS[chunk.algorithm],
            gan,
            layout,
            init,
            inputs,
            config,
            vectorised=vectorised,
            replay=replay,
        )
        weight = 1
    else:
        pooled = _pooled_inputs(episodes, chunk, config, num_draws=gan.augment.num_draws)
        estimate = functools.partial(_estimate, ESTIMATORS[chunk.algorithm], gan, layout, config)
        whole, losses = _computed(
            functools.partial(estimate, chunk.step, autograd_gradient),
            layout,
            init,
            pooled.batches,
            replay,
        )
        # One gradient of the pooled mean counts as that of all its episodes.
        weight = len(episodes)
        estimates = iter([(whole * weight, {key: loss * weight for key, loss in losses.items()})])
    return _sum_usable(
        _until(called_off, estimates),
        chunk,
        vector,
        layout,
        config.outer,
        weight=weight,
        started=started,
    )


def episode_gradients(
    estimator: Estimator,
    gan: GanPair,
    layout: Layout,
    init: GanParams,
    inputs: Sequence[EpisodeInputs],
    config: RunConfig,
    *,
    vectorised: bool | None,
    replay: Replay | None = None,
) -> Iterator[Outputs]:
    """Meta-gradient (P,), on the device of `init`, and metrics () of each episode, in order.

    One at a time, so that a long chunk holds no more gradients than are computed at once: each may
    be overwritten when the next one is asked for.
    """
    device = _device_of(init)
    outer_step = inputs[0].outer_step
    if vectorised is None:
        vectorised = prefers_vmap(gan, len(inputs), device)
    estimate = functools.partial(_estimate, estimator, gan, layout, config, outer_step)

    def alone(at: GanParams, *batches: GanBatch) -> Outputs:
        return estimate(autograd_gradient, at, *batches)

    def together(at: GanParams, *batches: GanBatch) -> Outputs:
        # vmap over what is not the initialization.
        each = functools.partial(estimate, functional_gradient, at)
        return torch.func.vmap(each)(*batches)

    if vectorised:
        size = len(inputs) if device.type == "cuda" else _VMAP_CPU_EPISODES
        for start in range(0, len(inputs), size):
            group = inputs[start : start + size]
            batches = tuple(
                GanBatch(*(torch.stack(tensors) for tensors in zip(*several, strict=True)))
                for several in zip(*(i.batches for i in group), strict=True)
            )
            metas, losses = _computed(together, layout, init, batches, replay)
            losses = {name: values.cpu() for name, values in losses.items()}
            for index, meta in enumerate(metas):
                yield meta, {name: values[index] for name, values in losses.items()}
    else:
        for i in inputs:
            yield _computed(alone, layout, init, i.batches, replay)


def _estimate(
    estimator: Estimator,
    gan: GanPair,
    layout: Layout,
    config: RunConfig,
    outer_step: int,
    gradient: EpisodeGradient,
    init: GanParams,
    *batches: GanBatch,
) -> Outputs:
    inputs = EpisodeInputs.of_batches(batches, outer_step)
    meta, losses = estimator(gan, init, inputs, config, gradient)
    return layout.flatten(meta), losses


def _computed(
    compute: Callable[..., Outputs],
    layout: Layout,
    init: GanParams,
    batches: Sequence[GanBatch],
    replay: Replay | None,
) -> Outputs:
    """`compute(init, *batches)` on the device of `init`, replayed if it can be; detached."""
    device = _device_of(init)
    if replay is None:
        here = (GanBatch(*(tensor.to(device) for tensor in batch)) for batch in batches)
        value, metrics = _cut_off(compute, init, *here)
        return value.detach(), {name: metric.detach() for name, metric in metrics.items()}
    count = len(GanBatch._fields)

    def from_tensors(tensors: Sequence[Tensor]) -> Outputs:
        vector, *rest = tensors
        again = [GanBatch(*rest[at : at + count]) for at in range(0, len(rest), count)]
        return _cut_off(compute, layout.unflatten(vector), *again)

    flat = [tensor for batch in batches for tensor in batch]
    return replay(from_tensors, [layout.flatten(init), *flat], device)


def _until(called_off: Callable[[], bool], items: Iterable[T]) -> Iterator[T]:
    """The items, as long as it is not called off."""
    remaining = iter(items)
    while True:
        if called_off():
            raise CalledOffError
        try:
            item = next(remaining)
        except StopIteration:
            return
        yield item


def _cut_off(compute: Callable[..., Outputs], init: GanParams, *batches: GanBatch) -> Outputs:
    # Nothing is differentiated from outside. Told so, `torch.func` takes the faster formulas of
    # first derivatives, such as group norm's, that cannot be differentiated again. On a GPU that
    # has not been measured, nor whether those add in a fixed order.
    with torch.set_grad_enabled(_device_of(init).type == "cuda"), backward_in_this_thread():
        return compute(init, *batches)


def _device_of(params: GanParams) -> torch.device:
    return next(iter(params.generator.values())).device


def episode_draws(
    episode: Episode, config: RunConfig, chunk: ChunkKey, *, num_draws: int
) -> EpisodeInputs:
    """All that an episode of a chunk is computed from, every draw made, in the main memory.

    `num_draws` are those that an augmentation of one sample takes.
    """

    def draw(half: Half, purpose: str) -> GanBatch:
        return draw_batches(
            half,
            config.gan,
            steps=config.inner.steps * config.inner.batches_per_step,
            batch_size=config.inner.batch_size,
            seed=episode.key.seed,
            purpose=purpose,
            num_draws=num_draws,
            read=episode.support,
            includes_read=half is episode.support,
            room=_most_read(config),
        )

    support = draw(episode.support, "support")
    reads_query = ALGORITHMS[chunk.algorithm].reads_query
    query = draw(episode.query, "query") if reads_query else support
    solves = inner_settings(config).solve
    whole = all_pairs(episode.support, config.gan, num_draws=num_draws) if solves else None
    return EpisodeInputs(support, query, chunk.step, whole)


def _pooled_inputs(
    episodes: Sequence[Episode], chunk: ChunkKey, config: RunConfig, *, num_draws: int
) -> EpisodeInputs:
    """One batch of the chunk's episodes together; support and query are both training samples."""
    draws = [
        draw_batches(
            _joined(episode),
            config.gan,
            steps=1,
            batch_size=config.warmup.pairs_per_episode,
            seed=episode.key.seed,
            purpose="joint",
            num_draws=num_draws,
            read=episode.support,
            includes_read=True,
            room=_most_read(config),
        )
        for episode in episodes
    ]
    batch = GanBatch(*(torch.cat(parts, dim=1) for parts in zip(*draws, strict=True)))
    return EpisodeInputs(batch, batch, chunk.step)


def _most_read(config: RunConfig) -> int:
    """Samples of the largest support; a domain of fewer classes than `task.ways` has fewer."""
    one_class = config.task.unit == "class" or "input" in config.gan.conditioning
    return config.task.shots * (1 if one_class else config.task.ways)


def _joined(episode: Episode) -> Half:
    """Both halves, the support's samples first in every class."""
    support, query = episode.support, episode.query
    samples = torch.cat([support.samples, query.samples], dim=1)
    if support.inputs is None or query.inputs is None:
        return Half(samples)
    return Half(samples, torch.cat([support.inputs, query.inputs], dim=1))


def _unusable(gradient: Tensor, layout: Layout, max_norm: float | None, weight: int) -> str | None:
    """Reason why a meta-gradient (P,), `weight` times an episode's, is unusable, or None."""
    if not torch.isfinite(gradient).all():
        name = layout.first_not_finite(gradient.cpu().numpy())
        return f"meta-gradient is not finite, first in {name}"
    if max_norm is None:
        return None
    norm = float(gradient.double().norm()) / weight
    if norm <= max_norm:
        return None
    return f"meta-gradient of norm {norm:.4g}, more than outer.max_episode_norm {max_norm:g}"


def _sum_usable(
    estimates: Iterator[Outputs],
    chunk: ChunkKey,
    vector: Vector,
    layout: Layout,
    outer: OuterConfig,
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
        reason = _unusable(gradient, layout, outer.max_episode_norm, weight)
        if reason is None:
            # In episode order: float addition is not associative.
            total += gradient
            num_finite += weight
            for name, value in losses.items():
                sums[name] += float(value)
        else:
            failed = chunk.episodes[index : index + 1] if weight == 1 else chunk.episodes
            failures += [EpisodeFailure(key, reason) for key in failed]
    assert total is not None, "a chunk has episodes"
    gradient_sum = to_wire(total, outer.wire_dtype)
    report = ChunkReport(
        step=chunk.step,
        index=chunk.index,
        num_finite=num_finite,
        metric_sums=sums,
        failures=tuple(failures),
        compute_s=time.perf_counter() - started,
        gradient_hash=vector_hash(gradient_sum),
        params_hash=vector_hash(vector),
    )
    return ChunkResult(report, gradient_sum)
