"""Adversarial losses, penalties, the mode-seeking term, augmentation inside the discriminator.

All are per-sample means over a batch and depend on nothing but their arguments, so they may be
vectorised over episodes.

Shapes: B samples in a batch, Z latent dimension.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

NUM_AUGMENT_DRAWS = 7


@dataclass(frozen=True)
class AdversarialLoss:
    """Both players' losses from scores (B,) of real and generated samples.

    Attributes:
        discriminator: (real scores, generated scores) -> scalar.
        generator: The same; losses that are not relativistic ignore the real scores.
        needs_real: Whether the generator's loss reads the real scores.
        interpolates: Whether D's loss comes with WGAN-GP's penalty between real and generated.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    needs_real: bool
    interpolates: bool = False


def _hinge(real: Tensor, fake: Tensor) -> Tensor:
    return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()


def _least_squares(real: Tensor, fake: Tensor) -> Tensor:
    return 0.5 * ((real - 1).square().mean() + fake.square().mean())


def _relativistic_average(real: Tensor, fake: Tensor) -> Tensor:
    # Each score against the mean of the other kind, not against one partner.
    above = functional.softplus(fake.mean() - real).mean()
    return above + functional.softplus(fake - real.mean()).mean()


def _nonsaturating(real: Tensor, fake: Tensor) -> Tensor:
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


ADVERSARIAL_LOSSES: Mapping[str, AdversarialLoss] = {
    # Jolicoeur-Martineau 2018, arXiv:1807.00734 (pairing form); Huang et al. 2024,
    # arXiv:2501.05441, section 2, use it with R1 and R2.
    "relativistic": AdversarialLoss(
        lambda real, fake: functional.softplus(fake - real).mean(),
        lambda real, fake: functional.softplus(real - fake).mean(),
        needs_real=True,
    ),
    # The same, equation 8.
    "relativistic_average": AdversarialLoss(
        _relativistic_average,
        lambda real, fake: _relativistic_average(fake, real),
        needs_real=True,
    ),
    # Lim and Ye 2017, arXiv:1705.02894.
    "hinge": AdversarialLoss(_hinge, lambda _, fake: -fake.mean(), needs_real=False),
    # Goodfellow et al. 2014, arXiv:1406.2661, section 3.
    "nonsaturating": AdversarialLoss(
        _nonsaturating, lambda _, fake: functional.softplus(-fake).mean(), needs_real=False
    ),
    # Mao et al. 2017, arXiv:1611.04076, equation 9 (a = 0, b = c = 1).
    "least_squares": AdversarialLoss(
        _least_squares, lambda _, fake: 0.5 * (fake - 1).square().mean(), needs_real=False
    ),
    # Gulrajani et al. 2017, arXiv:1704.00028, equation 3.
    "wgan_gp": AdversarialLoss(
        lambda real, fake: fake.mean() - real.mean(),
        lambda _, fake: -fake.mean(),
        needs_real=False,
        interpolates=True,
    ),
}


def gradient_penalty(score: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    """Half the mean squared norm of the score's gradient, per sample over all its axes.

    R1 at real samples, R2 at generated ones (Mescheder et al. 2018, arXiv:1801.04406, equation 9).
    The score of a sample must not depend on the others of its batch.
    """
    return 0.5 * _squared_slopes(score, samples).mean()


def unit_gradient_penalty(score: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    """Mean squared distance from 1 of the norm of the score's gradient, per sample.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, equation 3, there at samples between real and
    generated ones. A tiny constant inside the root keeps its derivative finite at slope 0.
    """
    return ((_squared_slopes(score, samples) + 1e-12).sqrt() - 1).square().mean()


def _squared_slopes(score: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    """(B,) squared norms of the score's gradient, each over all axes of its own sample."""
    gradient = torch.func.grad(lambda x: score(x).sum())(samples)
    return gradient.square().flatten(1).sum(1)


def mode_seeking(first: Tensor, second: Tensor, z_first: Tensor, z_second: Tensor) -> Tensor:
    """Inverse ratio of the distance of two generated samples to that of their latents.

    Source: Mao et al. 2019, arXiv:1903.05628, equation 4, minimized as 1 / (ratio + eps).
    We take the ratio per sample, not of the batch's means, and eps is 0.02 (there 1e-5): a pair
    that is almost equal then has a bounded pull.

    Args:
        first: (B, ...) samples generated from `z_first` (B, Z), and the same for `second`.
        second: See `first`.
        z_first: See `first`.
        z_second: See `first`.
    """
    apart = (first - second).abs().flatten(1).mean(1)
    latents = (z_first - z_second).abs().mean(1)
    return (1 / (apart / latents.clamp_min(1e-6) + 0.02)).mean()


def augment(samples: Tensor, draws: Tensor, kinds: Sequence[str]) -> Tensor:
    """Differentiable augmentation of what the discriminator sees, real and generated alike.

    Source: Zhao et al. 2020, arXiv:2006.10738 (translation up to 1/8 of the width, cutout of half
    the width, colour). The draws come from outside, so that equal keys give equal losses.

    Args:
        samples: (B, C, H, W).
        draws: (B, NUM_AUGMENT_DRAWS) uniform in [0, 1): x shift, y shift, cutout x and y,
            brightness, saturation, contrast.
        kinds: Any of "translation", "cutout", "color".
    """
    if "color" in kinds:
        samples = _color(samples, draws[:, 4:7])
    if "translation" in kinds:
        samples = _translate(samples, draws[:, 0:2])
    if "cutout" in kinds:
        samples = _cutout(samples, draws[:, 2:4])
    return samples


def _translate(samples: Tensor, draws: Tensor) -> Tensor:
    height, width = samples.shape[-2:]
    reach = max(1, width // 8)
    # Pictures are padded with their own corner's value: ink on paper stays ink on paper.
    corner = samples[..., :1, :1].detach()
    shift = torch.floor(draws * (2 * reach + 1)).long() - reach
    rows = torch.arange(height, device=samples.device) - shift[:, 1:]
    columns = torch.arange(width, device=samples.device) - shift[:, :1]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None, :
    ]
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    if samples.is_cuda:
        # Two products with one-hot matrices: exact, and unlike a gather's backward pass they add in
        # a fixed order without sorting first.
        pick_rows = _one_hot(rows, samples.dtype)[:, None]
        pick_columns = _one_hot(columns, samples.dtype)[:, None]
        moved = pick_rows @ samples @ pick_columns.mT
    else:
        source = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
        source = source[:, None].expand(-1, samples.shape[1], -1)
        moved = samples.flatten(-2).gather(-1, source).reshape(samples.shape)
    return torch.where(inside[:, None], moved, corner)


def _one_hot(indices: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, n) places among n -> (B, n, n), 1 at the place."""
    places = torch.arange(indices.shape[-1], device=indices.device)
    return (indices[..., None] == places).to(dtype)


def _cutout(samples: Tensor, draws: Tensor) -> Tensor:
    height, width = samples.shape[-2:]
    rows = torch.arange(height, device=samples.device)
    columns = torch.arange(width, device=samples.device)
    row = torch.floor(draws[:, 1:2] * (height + 1))
    column = torch.floor(draws[:, 0:1] * (width + 1))
    in_rows = (rows[None, :] - row).abs() < height / 4
    in_columns = (columns[None, :] - column).abs() < width / 4
    hole = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    return torch.where(hole, torch.zeros((), dtype=samples.dtype, device=samples.device), samples)


def _color(samples: Tensor, draws: Tensor) -> Tensor:
    brightness, saturation, contrast = (draws[:, i, None, None, None] for i in range(3))
    samples = samples + (brightness - 0.5)
    grey = samples.mean(1, keepdim=True)
    samples = (samples - grey) * (2 * saturation) + grey
    mean = samples.mean((1, 2, 3), keepdim=True)
    return (samples - mean) * (contrast + 0.5) + mean
