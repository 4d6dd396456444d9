"""Adversarial losses, penalties, the mode-seeking term and distances from a known answer.

All are per-sample means over a batch and depend on nothing but their arguments, so they may be
vectorised over episodes.

Shapes: B samples in a batch, Z latent dimension.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor


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
    # The same, equation 1: both players on one value, which G lowers and D raises.
    "minimax": AdversarialLoss(
        _nonsaturating, lambda _, fake: -functional.softplus(fake).mean(), needs_real=False
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


RECONSTRUCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "l1": lambda apart: apart.abs().mean(),
    # L1 alone collapses to the median, which is blank for most pixels of strokes on paper.
    "l1_l2": lambda apart: apart.abs().mean() + 2 * apart.square().mean(),
    "mse": lambda apart: apart.square().mean(),
}
"""Distances from what is drawn minus the known answer, by `gan.reconstruction`."""


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
