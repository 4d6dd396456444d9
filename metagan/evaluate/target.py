"""Adapting an initialization to a target's few samples, and generating from the result.

Shapes: W classes, K support samples of each, R generated samples per support sample.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metagan.config.learning import InnerConfig
from metagan.config.settings import TaskConfig
from metagan.core.batches import GanBatch, draw_batches
from metagan.core.chunk_gradient import prefers_vmap
from metagan.core.derivatives import autograd_gradient, functional_gradient
from metagan.core.gan import GanPair
from metagan.core.inner_loop import adapt
from metagan.core.params import PLAYERS, GanParams, Params, detach, map_params
from metagan.data.dataset import DataError
from metagan.data.form import Form
from metagan.devices import backward_in_this_thread
from metagan.kinds.kind import Kind
from metagan.kinds.registry import find_kind
from metagan.seeding import derive_seed, generator

# Sets of weights adapted at once: enough to fill one core's vector units, little enough memory.
SETS_AT_ONCE = 16
# Samples (or pairs) in a step of adaptation, whatever `inner.batch_size` a run was trained with:
# `evaluate.adapt_steps` are counted in them. It is the default of `inner.batch_size`.
ADAPT_BATCH = 10
# Support samples that a candidate is compared with; more cost time and hardly change the ranking.
SCORED_AGAINST = 3


@dataclass(frozen=True)
class AdaptedTarget:
    """A target's adapted GAN with the samples it was adapted on.

    Attributes:
        params: Weights of both players; sets of them stand in front of each if there are several.
        classes_each: Classes that a set of weights serves, one set after the other; 0: one serves
            all, with nothing in front. 1 where a task is a class.
        support: (W, K, *sample_shape) float32, as networks see samples.
        form: How the support was read; None: as the run's own samples.
    """

    params: GanParams
    classes_each: int
    support: Tensor
    form: Form | None = None

    def of_class(self, way: int) -> GanParams:
        """The weights that serve a class."""
        if not self.classes_each:
            return self.params
        which = way // self.classes_each
        return GanParams(*(map_params(lambda w: w[which], player) for player in self.params))


@backward_in_this_thread()
def adapt_to_target(
    gan: GanPair,
    init: GanParams,
    support: Tensor,
    *,
    inner: InnerConfig,
    task: TaskConfig,
    steps: int,
    seed: int,
    batch_size: int = ADAPT_BATCH,
) -> AdaptedTarget:
    """Run the inner loop on a target's support.

    Where a task is a class, every class gets its own adapted weights; where a task is a domain,
    one set serves all classes, or as many as there are labels. With `steps` 0 the initialization
    is used as it is.

    Args:
        gan: The pair.
        init: The initialization.
        support: (W, K, *sample_shape), on the device to compute on.
        inner: Learning rates and optimizer.
        task: `unit` decides as above.
        steps: Inner steps, which may differ from those trained with.
        seed: Names every draw.
        batch_size: Samples or pairs in a step.

    Raises:
        DataError: If `support` is not that, or not what the networks are made for.
        ValueError: If a number is too small, or not whole.
    """
    _check_support(support, gan)
    check_number("steps", steps, least=0)
    check_number("batch_size", batch_size, least=1)
    if steps == 0:
        return AdaptedTarget(init.players, 0, support)

    def batches(part: Tensor, name: str | int) -> GanBatch:
        drawn = draw_batches(
            part.cpu(),
            gan.config,
            steps=steps * inner.batches_per_step,
            batch_size=batch_size,
            seed=derive_seed(seed, "adapt", name),
            purpose="support",
            num_draws=gan.augment.num_draws,
        )
        return GanBatch(*(tensor.to(part.device) for tensor in drawn))

    if task.unit == "domain" and gan.config.conditioning != "label":
        adapted = adapt(gan, init, batches(support, "all"), inner, gradient=autograd_gradient)
        return AdaptedTarget(_weights(adapted.params), 0, support)
    each = 1 if task.unit == "class" else gan.config.num_labels
    sets = torch.split(support, each)

    def one(inputs: GanBatch) -> GanParams:
        return _weights(adapt(gan, init, inputs, inner, gradient=functional_gradient).params)

    at_once = 1
    if prefers_vmap(gan, len(sets), support.device):
        at_once = SETS_AT_ONCE
    parts: list[GanParams] = []
    for start in range(0, len(sets), at_once):
        several = [
            batches(sets[index], index) for index in range(start, min(start + at_once, len(sets)))
        ]
        if at_once == 1:
            alone = adapt(gan, init, several[0], inner, gradient=autograd_gradient).params
            parts.append(GanParams(*(map_params(lambda w: w[None], p) for p in _weights(alone))))
        else:
            stacked = GanBatch(*(torch.stack(tensors) for tensors in zip(*several, strict=True)))
            parts.append(detach(torch.func.vmap(one)(stacked)))
    joined = [
        map_params(lambda *tensors: torch.cat(tensors), *(part[player] for part in parts))
        for player in range(len(PLAYERS))
    ]
    return AdaptedTarget(GanParams(*joined), each, support)


def check_number(name: str, value: object, *, least: int) -> None:
    """Refuse what is no whole number, or a smaller one.

    Raises:
        ValueError: With the name and the value.
    """
    if not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} is {value!r}; expected a whole number, at least {least}")


def _kind_of(gan: GanPair) -> tuple[Kind, Form]:
    """The kind of sample that a pair is made for, and their form."""
    if gan.form is None:
        raise ValueError("gan does not say what samples it is for; give one that build_gan made")
    return find_kind(gan.form.kind), gan.form


def _check_support(support: object, gan: GanPair) -> None:
    """Refuse what is no support of these networks.

    Args:
        support: To be (W, K, *sample_shape) floats.
        gan: The networks.

    Raises:
        DataError: With the fix.
    """
    kind, form = _kind_of(gan)
    if isinstance(support, Tensor):
        shape = tuple(support.shape)
        if len(shape) < 3 or 0 in shape or shape[2:] != form.shape:
            expected = ", ".join(str(size) for size in ("W", "K", *form.shape))
            hint = ""
            if len(form.shape) > 1 and shape[2:] == (*form.shape[1:], form.shape[0]):
                hint = "; the channels are last: use support.permute(0, 1, 4, 2, 3)"
            raise DataError(
                f"support has shape {shape}; expected ({expected}): W classes of K samples "
                f"each{hint}"
            )
    kind.check_support(support, form)


def _weights(params: GanParams) -> GanParams:
    """The players alone, detached: what was adapted has no use for learned rates any more."""
    return detach(params.players)


@torch.no_grad()
def generate_samples(
    gan: GanPair,
    target: AdaptedTarget,
    *,
    per_support: int,
    seed: int,
    best_of: int = 1,
    batch_size: int = 256,
) -> Tensor:
    """Generated samples of every class.

    With `best_of` above 1, each sample is the one of as many that the discriminator scores highest,
    its score averaged over the class's support. It was trained to tell samples of a class
    from generated ones, so it knows what the generator gets wrong. Selection by the discriminator
    is from Azadi et al. 2019, arXiv:1810.06758; theirs rejects by a density ratio, which needs a
    calibrated score, ours only ranks.

    Args:
        gan: The pair.
        target: What `adapt_to_target` returned.
        per_support: R, generated samples per support sample.
        seed: Names the latents.
        best_of: Samples drawn for each one returned; 1 returns what is drawn.
        batch_size: Samples generated at once.

    Returns:
        (W, K * R, *sample_shape) as networks see samples, on the support's device. With
        conditioning on samples, the R samples of each support sample stand together.

    Raises:
        ValueError: If a number is below 1 or not whole, or `target` is something else.
    """
    numbers = {"best_of": best_of, "per_support": per_support, "batch_size": batch_size}
    for name, value in numbers.items():
        check_number(name, value, least=1)
    if not isinstance(target, AdaptedTarget):
        raise ValueError(
            f"target is {type(target).__name__}; give what adapt_run or adapt_to_target returned, "
            "or the `target` of what load_adapted returned"
        )
    ways, shots = target.support.shape[:2]
    drawn = per_support * best_of
    rng = generator(seed, "generate")
    within = _kind_of(gan)[0].within
    latent = (ways, shots * drawn, gan.config.latent_dim)
    z = torch.from_numpy(rng.standard_normal(latent, dtype=np.float32)).to(target.support.device)
    kept = []
    for way in range(ways):
        players = target.of_class(way)
        conditions = _conditions(gan, target.support[way], way)
        samples = torch.cat(
            [
                within(gan.generate(players.generator, condition, latents))
                for condition, latents in zip(
                    torch.split(conditions.repeat_interleave(drawn, dim=0), batch_size),
                    torch.split(z[way], batch_size),
                    strict=True,
                )
            ]
        )
        if best_of > 1:
            scores = _mean_scores(gan, players.discriminator, conditions, samples, batch_size)
            best = scores.reshape(-1, best_of).argmax(1)
            first = torch.arange(len(best), device=best.device) * best_of
            samples = samples[first + best]
        kept.append(samples)
    return torch.stack(kept)


def _conditions(gan: GanPair, support: Tensor, way: int) -> Tensor:
    """Conditions of both players for a class's support (K, *sample_shape)."""
    if gan.config.conditioning == "sample":
        return support
    if gan.config.conditioning == "label":
        return support.new_full((len(support), 1), way % gan.config.num_labels)
    return support.new_empty((len(support), 0))


def _mean_scores(
    gan: GanPair, critic: Params, conditions: Tensor, samples: Tensor, batch_size: int
) -> Tensor:
    """(N,) scores of samples, averaged over some of the conditions (K, ...)."""
    # Without samples to compare with, all conditions are the same.
    by_sample = gan.config.conditioning == "sample"
    count = min(len(conditions), SCORED_AGAINST) if by_sample else 1
    picks = torch.linspace(0, len(conditions) - 1, count).round().long()
    total = samples.new_zeros(len(samples))
    for condition in conditions[picks.to(conditions.device)]:
        parts = [
            gan.score(critic, condition.expand(len(part), *condition.shape), part)
            for part in torch.split(samples, batch_size)
        ]
        total += torch.cat(parts)
    return total / count
