"""Augmentation of vectors: inside the discriminator, and the hand-made one that must be beaten.

Shapes: B samples in a batch, D columns; a value of 1 is one scale (see `convert`).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from metagan.core.gan import Augment
from metagan.data.form import Form

_NOISE: Final = 0.1
_FACTOR: Final = 0.1
_BAD_QUALITY: Final = 0.5
_WIDTH_OF_UNIT: Final = 12**0.5
"""A uniform draw so wide has a standard deviation of 1."""


def augment_for(form: Form) -> Augment:
    """The augmentation inside the discriminator: one draw for every column."""
    return Augment(form.shape[0], augment)


def augment(samples: Tensor, draws: Tensor, kinds: Sequence[str]) -> Tensor:
    """Noise on what the discriminator sees, real and generated alike.

    Every column moves by a draw of its own, uniform with a standard deviation of a tenth of its
    scale. So the discriminator cannot learn the few real values by heart. The draws come from
    outside, so that equal keys give equal losses.

    Args:
        samples: (B, D).
        draws: (B, D) uniform in [0, 1).
        kinds: Any of "noise".
    """
    if "noise" not in kinds:
        return samples
    return samples + (_NOISE * _WIDTH_OF_UNIT) * (draws - 0.5)


def degraded(samples: Tensor, rng: np.random.Generator) -> Tensor:
    """Samples (B, D) with noise of half a scale on every value."""
    noise = rng.standard_normal(tuple(samples.shape), dtype=np.float32)
    return samples + _BAD_QUALITY * torch.from_numpy(noise).to(samples)


def classical(samples: Tensor, rng: np.random.Generator, word: str) -> Tensor:
    """A randomly changed copy of every sample.

    Args:
        samples: (B, D) floats.
        rng: Source of every draw; the same generator state gives the same result.
        word: "jitter" multiplies each sample by one factor, uniform in [0.9, 1.1], and adds
            Gaussian noise of a tenth of a scale to every value.

    Returns:
        (B, D), on the device and in the dtype of `samples`.

    Raises:
        ValueError: If the samples are no float batch of two axes, or the word is another.
    """
    if samples.ndim != 2 or not samples.is_floating_point():
        raise ValueError(
            f"classical augmentation takes float vectors (B, D), not {samples.dtype} of shape "
            f"{tuple(samples.shape)}"
        )
    if word != "jitter":
        raise ValueError(f"evaluate.classical is {word!r}; of vectors it is jitter")
    factor = rng.uniform(1 - _FACTOR, 1 + _FACTOR, (len(samples), 1)).astype(np.float32)
    noise = _NOISE * rng.standard_normal(tuple(samples.shape), dtype=np.float32)
    return samples * torch.from_numpy(factor).to(samples) + torch.from_numpy(noise).to(samples)
