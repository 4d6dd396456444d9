"""Batches of the inner steps: samples, conditions, noise and augmentation, all drawn beforehand.

Everything random about an episode is in these tensors, so the inner loop itself is a pure function
that can be vectorised over episodes and repeated anywhere.

Shapes: S inner steps, B samples (or pairs) in a step, Z latent dimension, A augmentation draws, W
classes of n samples each, R samples that are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metagan.config.learning import GanConfig
from metagan.data.tasks import Half
from metagan.seeding import generator

Condition = dict[str, Tensor]
"""What both players are told beside a sample: a tensor for each word of `gan.conditioning`.

`label` (B, 1): the class's number. `sample` (B, *sample_shape): another sample of the class.
`input` (B, *given_shape): the sample's own input. `support`: three tensors, `support` (G, R,
*sample_shape) and, where samples have inputs, `support_input` (G, R, *given_shape), read by B / G
samples each, one group after the other; `reads` (B, R): 1 for what a sample may be drawn from, 0
for what is hidden from it.
"""


class GanBatch(NamedTuple):
    """The inputs of one D update and one G update (or, with S in front, of S of them).

    What a GAN is not conditioned on has no elements: (B, 0), and (0, 0) of what is read.

    Attributes:
        real: (B, *sample_shape) samples of the task.
        label: See `Condition`; so are `sample`, `input`, `support`, `support_input` and `reads`.
        sample: Never the sample that is real at its place, unless a class has no other.
        input: Of the samples that are real.
        support: What is read.
        support_input: Inputs of what is read.
        reads: Hides a sample that is real, and is read, from itself.
        z: (B, 2, Z): two latent draws, since the mode-seeking term compares two.
        augment: (B, 2, A) uniform draws in [0, 1): for real and for generated samples.
        between: (B,) uniform in [0, 1): where from generated to real WGAN-GP looks at a slope.
    """

    real: Tensor
    label: Tensor
    sample: Tensor
    input: Tensor
    support: Tensor
    support_input: Tensor
    reads: Tensor
    z: Tensor
    augment: Tensor
    between: Tensor

    def step(self, index: int) -> "GanBatch":
        """The inputs of one step."""
        return GanBatch(*(tensor[index] for tensor in self))

    @property
    def condition(self) -> Condition:
        """All that the players are told, by word."""
        words = ("label", "sample", "input", "support", "support_input", "reads")
        return {word: getattr(self, word) for word in words if getattr(self, word).numel()}


@dataclass(frozen=True)
class EpisodeInputs:
    """An episode as the estimators see it: every draw made, S inner steps in front.

    Attributes:
        support: Batches of the support half.
        query: Batches of the query half; the last one also measures the outer loss.
        outer_step: Decides when `joint` applies its lazy penalties, and how far the query loss has
            narrowed to the last inner step.
        whole: Every pair of the support once, in order, without S in front, where a head is solved
            for on them; see `all_pairs`.
    """

    support: GanBatch
    query: GanBatch
    outer_step: int = 0
    whole: GanBatch | None = None

    @property
    def batches(self) -> tuple[GanBatch, ...]:
        """All of its tensors, in the order of the attributes that hold some."""
        halves = (self.support, self.query)
        return halves if self.whole is None else (*halves, self.whole)

    @classmethod
    def of_batches(cls, batches: Sequence[GanBatch], outer_step: int) -> "EpisodeInputs":
        """The inputs whose tensors these are."""
        support, query, *whole = batches
        return cls(support, query, outer_step, *whole)


def draw_batches(
    half: Half,
    gan: GanConfig,
    *,
    steps: int,
    batch_size: int,
    seed: int,
    purpose: str,
    num_draws: int,
    read: Half | None = None,
    includes_read: bool = False,
    room: int = 0,
) -> GanBatch:
    """Inputs for a whole inner loop.

    Args:
        half: Samples to draw from; a class's label is its place among them.
        gan: Decides conditioning and latent dimension.
        steps: S, or the number of batches where an inner step takes several.
        batch_size: B.
        seed: The episode's seed.
        purpose: Names these draws ("support", "query").
        num_draws: A, what an augmentation of one sample takes.
        read: What a GAN reads that is conditioned on the support.
        includes_read: Whether the first samples of each class of `half` are those of `read`. Each
            is then hidden from itself.
        room: Samples that what is read is filled up to, with zeros that are hidden from all, so
            that episodes of fewer classes go with others.

    Returns:
        Batches with S in front. A pair is two different samples of one class; where a class has
        only one sample, the pair is that sample twice.
    """
    rng = generator(seed, "batches", purpose)
    samples = half.samples
    ways, count = samples.shape[:2]
    shape = (steps, batch_size)
    way = torch.from_numpy(rng.integers(ways, size=shape))
    first = rng.integers(count, size=shape)
    other = (first + rng.integers(1, max(count, 2), size=shape)) % count
    place = torch.from_numpy(first)
    told = set(gan.conditioning)
    nothing = samples.new_empty((*shape, 0))
    label = way[..., None].to(samples.dtype) if "label" in told else nothing
    sample = samples[way, torch.from_numpy(other)] if "sample" in told else nothing
    given = half.inputs[way, place] if "input" in told and half.inputs is not None else nothing
    z = torch.from_numpy(rng.standard_normal((*shape, 2, gan.latent_dim), dtype=np.float32))
    augment = torch.from_numpy(rng.random((*shape, 2, num_draws), dtype=np.float32))
    between = torch.from_numpy(rng.random(shape, dtype=np.float32))
    if "support" in told and read is not None:
        hides = torch.from_numpy(first < read.samples.shape[1]) if includes_read else None
        support, support_input, reads = _read(read, way, place, hides, room)
    else:
        support = support_input = samples.new_empty((steps, 0, 0))
        reads = nothing
    return GanBatch(
        samples[way, place],
        label,
        sample,
        given,
        support,
        support_input,
        reads,
        z,
        augment,
        between,
    )


def all_pairs(half: Half, gan: GanConfig, *, num_draws: int) -> GanBatch:
    """Every sample of a support once, in order, as inputs of one step; nothing is drawn.

    Args:
        half: The support, W classes of n samples.
        gan: Decides conditioning and latent dimension.
        num_draws: As for `draw_batches`.

    Returns:
        W n samples; each reads the others.
    """
    ways, count = half.samples.shape[:2]
    way = torch.arange(ways).repeat_interleave(count)[None]
    place = torch.arange(count).repeat(ways)[None]
    samples = half.samples.flatten(0, 1)
    nothing = samples.new_empty((len(samples), 0))
    inputs = nothing
    if "input" in gan.conditioning and half.inputs is not None:
        inputs = half.inputs.flatten(0, 1)
    support = support_input = samples.new_empty((0, 0))
    reads = nothing
    if "support" in gan.conditioning:
        every = torch.ones_like(place, dtype=torch.bool)
        support, support_input, reads = (part[0] for part in _read(half, way, place, every))
    return GanBatch(
        samples,
        nothing,
        nothing,
        inputs,
        support,
        support_input,
        reads,
        z=samples.new_zeros((len(samples), 2, gan.latent_dim)),
        augment=samples.new_zeros((len(samples), 2, num_draws)),
        between=samples.new_zeros(len(samples)),
    )


def _read(
    read: Half, way: Tensor, place: Tensor, hides: Tensor | None, room: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """A whole support (S, 1, R, ...), its inputs, and what of it each sample may see, (S, B, R)."""
    steps, (ways, shots) = len(way), read.samples.shape[:2]
    lacking = max(0, room - ways * shots)

    def all_of(samples: Tensor) -> Tensor:
        flat = samples.flatten(0, 1)
        if lacking:
            flat = torch.cat([flat, flat.new_zeros((lacking, *flat.shape[1:]))])
        return flat.expand(steps, 1, *flat.shape)

    support = all_of(read.samples)
    inputs = support.new_empty((steps, 0, 0)) if read.inputs is None else all_of(read.inputs)
    reads = support.new_ones((*way.shape, ways * shots))
    if hides is not None:
        itself = torch.arange(ways * shots) == (way * shots + place)[..., None]
        reads = reads.masked_fill(itself & hides[..., None], 0.0)
    if lacking:
        reads = torch.cat([reads, reads.new_zeros((*way.shape, lacking))], dim=-1)
    return support, inputs, reads
