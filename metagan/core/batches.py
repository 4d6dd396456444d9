"""Batches of the inner steps: samples, conditions, noise and augmentation, all drawn beforehand.

Everything random about an episode is in these tensors, so the inner loop itself is a pure function
that can be vectorised over episodes and repeated anywhere.

Shapes: S inner steps, B samples (or pairs) in a step, Z latent dimension, A augmentation draws.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metagan.config.learning import GanConfig
from metagan.seeding import generator


class GanBatch(NamedTuple):
    """The inputs of one D update and one G update (or, with S in front, of S of them).

    Attributes:
        real: (B, *sample_shape) samples of the task.
        condition: (B, *sample_shape) other samples of the same classes; (B, 1) their classes'
            numbers where a GAN is conditioned on labels; (B, 0) without conditioning.
        z: (B, 2, Z): two latent draws, since the mode-seeking term compares two.
        augment: (B, 2, A) uniform draws in [0, 1): for real and for generated samples.
        between: (B,) uniform in [0, 1): where from generated to real WGAN-GP looks at a slope.
    """

    real: Tensor
    condition: Tensor
    z: Tensor
    augment: Tensor
    between: Tensor

    def step(self, index: int) -> "GanBatch":
        """The inputs of one step."""
        return GanBatch(*(tensor[index] for tensor in self))


def draw_batches(
    samples: Tensor,
    gan: GanConfig,
    *,
    steps: int,
    batch_size: int,
    seed: int,
    purpose: str,
    num_draws: int,
) -> GanBatch:
    """Inputs for a whole inner loop.

    Args:
        samples: (W, n, *sample_shape), n samples of each of W classes; a class's label is its
            place among them.
        gan: Decides conditioning and latent dimension.
        steps: S, or the number of batches where an inner step takes several.
        batch_size: B.
        seed: The episode's seed.
        purpose: Names these draws ("support", "query").
        num_draws: A, what an augmentation of one sample takes.

    Returns:
        Batches with S in front. A pair is two different samples of one class; where a class has
        only one sample, the pair is that sample twice.
    """
    rng = generator(seed, "batches", purpose)
    ways, count = samples.shape[:2]
    shape = (steps, batch_size)
    way = torch.from_numpy(rng.integers(ways, size=shape))
    first = rng.integers(count, size=shape)
    other = (first + rng.integers(1, max(count, 2), size=shape)) % count
    real = samples[way, torch.from_numpy(first)]
    if gan.conditioning == "sample":
        condition = samples[way, torch.from_numpy(other)]
    elif gan.conditioning == "label":
        condition = way[..., None].to(samples.dtype)
    else:
        condition = samples.new_empty((*shape, 0))
    z = torch.from_numpy(rng.standard_normal((*shape, 2, gan.latent_dim), dtype=np.float32))
    augment = torch.from_numpy(rng.random((*shape, 2, num_draws), dtype=np.float32))
    between = torch.from_numpy(rng.random(shape, dtype=np.float32))
    return GanBatch(real, condition, z, augment, between)
