"""Differentiable augmentation inside the discriminator."""

from collections.abc import Sequence

import torch
from torch import Tensor

NUM_AUGMENT_DRAWS = 7


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
