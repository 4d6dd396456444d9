"""Adapting an initialization to a target's few samples, and generating from the result.

Shapes: W classes, K support samples of each, R generated samples per support sample.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metagan.algorithms import prefers_vmap
from metagan.batches import GanBatch, draw_batches
from metagan.derivatives import autograd_gradient, functional_gradient
from metagan.gan import GanPair
from metagan.inner_loop import adapt
from metagan.params import GanParams, Params, detach, map_params
from metagan.seeding import derive_seed, generator
from metagan.settings import InnerConfig, TaskConfig

# Classes adapted to at once: enough to fill one core's vector units, little enough memory.
CLASSES_AT_ONCE = 16


@dataclass(frozen=True)
class AdaptedTarget:
    """A target's adapted GAN with the samples it was adapted on.

    Attributes:
        params: Weights of both players; with W in front of each where `per_class`.
        per_class: Whether every class has its own weights (task.unit class) or all share one set.
        support: (W, K, *sample_shape) float32 in [-1, 1].
    """

    params: GanParams
    per_class: bool
    support: Tensor


def adapt_to_target(
    gan: GanPair,
    init: GanParams,
    support: Tensor,
    *,
    inner: InnerConfig,
    task: TaskConfig,
    steps: int,
    batch_size: int,
    seed: int,
) -> AdaptedTarget:
    """Run the inner loop on a target's support.

    Where a task is a class, every class gets its own adapted weights; where a task is a domain,
    one set serves all classes. With `steps` 0 the initialization is used as it is.

    Args:
        gan: The pair.
        init: The initialization.
        support: (W, K, *sample_shape), on the device to compute on.
        inner: Learning rates and optimizer.
        task: `unit` decides as above.
        steps: Inner steps, which may differ from those trained with.
        batch_size: Samples or pairs in a step.
        seed: Names every draw.
    """
    if steps == 0:
        return AdaptedTarget(init, False, support)

    def batches(part: Tensor, name: str | int) -> GanBatch:
        drawn = draw_batches(
            part.cpu(),
            gan.config,
            steps=steps,
            batch_size=batch_size,
            seed=derive_seed(seed, "adapt", name),
            purpose="support",
        )
        return GanBatch(*(tensor.to(part.device) for tensor in drawn))

    if task.unit == "domain":
        adapted = adapt(gan, init, batches(support, "all"), inner, gradient=autograd_gradient)
        return AdaptedTarget(detach(adapted.params), False, support)

    def one(inputs: GanBatch) -> GanParams:
        return adapt(gan, init, inputs, inner, gradient=functional_gradient).params

    at_once = 1
    if prefers_vmap(gan.config, support.shape[-1], len(support), support.device):
        at_once = CLASSES_AT_ONCE
    parts: list[GanParams] = []
    for start in range(0, len(support), at_once):
        several = [
            batches(support[index : index + 1], index)
            for index in range(start, min(start + at_once, len(support)))
        ]
        if at_once == 1:
            alone = adapt(gan, init, several[0], inner, gradient=autograd_gradient).params
            parts.append(
                GanParams(*(map_params(lambda w: w[None], player) for player in detach(alone)))
            )
        else:
            stacked = GanBatch(*(torch.stack(tensors) for tensors in zip(*several, strict=True)))
            parts.append(detach(torch.func.vmap(one)(stacked)))
    joined = [
        map_params(lambda *tensors: torch.cat(tensors), *(part[player] for part in parts))
        for player in range(2)
    ]
    return AdaptedTarget(GanParams(*joined), True, support)


@torch.no_grad()
def generate_samples(
    gan: GanPair, target: AdaptedTarget, *, per_support: int, seed: int, batch_size: int = 256
) -> Tensor:
    """Generated samples of every class.

    Args:
        gan: The pair.
        target: What `adapt_to_target` returned.
        per_support: R, generated samples per support sample.
        seed: Names the latents.
        batch_size: Samples generated at once.

    Returns:
        (W, K * R, *sample_shape) in [-1, 1], on the support's device. With conditioning on
        samples, the R samples of each support sample stand together.
    """
    ways, shots = target.support.shape[:2]
    count = shots * per_support
    rng = generator(seed, "generate")
    latent = (ways, count, gan.config.latent_dim)
    z = torch.from_numpy(rng.standard_normal(latent, dtype=np.float32)).to(target.support.device)
    if gan.config.conditioning == "sample":
        condition = target.support.repeat_interleave(per_support, dim=1)
    else:
        condition = target.support.new_empty((ways, count, 0))
    if target.per_class:
        samples = torch.stack(
            [
                gan.generate(_of_class(target.params.generator, way), condition[way], z[way])
                for way in range(ways)
            ]
        )
    else:
        flat = zip(
            torch.split(condition.flatten(0, 1), batch_size),
            torch.split(z.flatten(0, 1), batch_size),
            strict=True,
        )
        parts = [gan.generate(target.params.generator, c, latents) for c, latents in flat]
        samples = torch.cat(parts).reshape(ways, count, *target.support.shape[2:])
    return samples.clamp(-1, 1)


def _of_class(params: Params, way: int) -> Params:
    return {name: weight[way] for name, weight in params.items()}
