"""Layers of networks of pictures, exact under `torch.func.vmap` and deterministic on a GPU.

Shapes: B samples in a batch, C channels, H x W pixels.
"""

from collections.abc import Callable
from typing import Self

import torch
import torch.nn.functional as functional
from packaging.version import Version
from torch import Tensor, nn

from metagan.config.learning import GanConfig
from metagan.core.batches import Condition
from metagan.core.layers import Attention, compared_channels, read_support
from metagan.data.form import Form
from metagan.data.library import WAYS


def pixel_grid(height: int, width: int, like: Tensor) -> Tensor:
    """(H, W, 2) coordinates (x, y) of the pixel centres in [-1, 1], as grid_sample has them."""
    ys = (2 * torch.arange(height, device=like.device, dtype=like.dtype) + 1) / height - 1
    xs = (2 * torch.arange(width, device=like.device, dtype=like.dtype) + 1) / width - 1
    return torch.stack([xs.expand(height, width), ys[:, None].expand(height, width)], dim=-1)


# In torch 2.11 the derivative of grid_sample by positions alone fails under vmap ("Expected a
# proper Tensor but got None").
GRID_SAMPLE_UNDER_VMAP = Version(torch.__version__).release >= (2, 13)


def warp(image: Tensor, displacement: Tensor, *, twice: bool) -> Tensor:
    """Sample an image at displaced positions, bilinearly; outside lies the border's value.

    Args:
        image: (B, C, H, W).
        displacement: (B, H, W, 2), (x, y), where 2 is the whole width or height.
        twice: Whether a second derivative is needed. `grid_sample` is faster; it has none in older
            releases of torch, and none that vmap vectorises in 2.13. The gather below is made of
            operations that are differentiable any number of times.

    Returns:
        (B, C, H, W).
    """
    height, width = image.shape[-2:]
    where = pixel_grid(height, width, displacement) + displacement
    # At a NaN, grid_sample's derivative writes outside its memory (a segmentation fault, or worse)
    # and a gather raises: a diverged episode would end the process in place of being left out. So
    # NaN goes around them.
    lost = where.isnan().any(-1)[:, None]
    where = where.masked_fill(where.isnan(), 0.0)
    if not twice:
        sampled = functional.grid_sample(
            image, where, mode="bilinear", padding_mode="border", align_corners=False
        )
        return sampled.masked_fill(lost, torch.nan)
    x = (((where[..., 0] + 1) * width - 1) / 2).clamp(0, width - 1)
    y = (((where[..., 1] + 1) * height - 1) / 2).clamp(0, height - 1)
    left = x.detach().floor().clamp(0, max(width - 2, 0))
    top = y.detach().floor().clamp(0, max(height - 2, 0))
    right_share, bottom_share = (x - left)[:, None], (y - top)[:, None]
    flat = image.flatten(-2)
    corner = (top * width + left).long().flatten(-2)[:, None].expand(-1, image.shape[1], -1)

    def pick(offset: int) -> Tensor:
        return flat.gather(-1, corner + offset).reshape(image.shape)

    upper = pick(0) * (1 - right_share) + pick(1) * right_share
    lower = pick(width) * (1 - right_share) + pick(width + 1) * right_share
    return (upper * (1 - bottom_share) + lower * bottom_share).masked_fill(lost, torch.nan)


def enlarging(small: int, size: int, mode: str) -> Tensor:
    """The float64 matrix (size, small) that enlarges columns, as `interpolate` does."""
    columns = torch.eye(small, dtype=torch.float64)[None, :, :, None]
    rows = functional.interpolate(columns, size=(size, 1), mode=mode, align_corners=False)
    return rows[0, :, :, 0].T.contiguous()


class Upsample(nn.Module):
    """Bilinear or bicubic up-sampling of square maps, as `interpolate` with align_corners off.

    A separable interpolation is a product with a fixed matrix along each axis. Here that is done
    literally: several times faster than torch's kernels on a CPU, above all backwards and under
    vmap, and deterministic on a GPU, where theirs add with atomics.
    """

    def __init__(self, small: int, size: int, mode: str) -> None:
        super().__init__()
        matrix = enlarging(small, size, mode)
        # (size, small) by dtype. Not buffers: those are refused in networks that are adapted.
        self._matrices = {m.dtype: m for m in (matrix, matrix.float())}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Take the matrices along to another device; `nn.Module.to` calls this."""
        self._matrices = {dtype: fn(m).to(dtype) for dtype, m in self._matrices.items()}
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, small, small) -> (B, C, size, size)."""
        matrix = self._matrices.get(x.dtype, self._matrices[torch.float64]).to(x)
        return torch.matmul(matrix, torch.matmul(x, matrix.T))


def upsample_nearest(x: Tensor, size: int) -> Tensor:
    """(B, C, h, w) -> (B, C, size, size)."""
    return functional.interpolate(x, size=(size, size), mode="nearest")


class PictureEmbedding(nn.Module):
    """Three strided convolutions and a mean over pixels: (..., C, H, W) to (..., 4 width)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.down1 = nn.Conv2d(channels, width, 4, stride=2, padding=1)
        self.down2 = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.down3 = nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """(..., 4 width)."""
        x = pictures.flatten(0, -4)
        for layer in (self.down1, self.down2, self.down3):
            x = functional.leaky_relu(layer(x), 0.2)
        return x.mean((-2, -1)).reshape(*pictures.shape[:-3], -1)


class PictureReader(PictureEmbedding):
    """A code of a support of pictures."""

    def __init__(self, form: Form, config: GanConfig, width: int) -> None:
        super().__init__(form.shape[0] + sum(form.given[:1]), width)
        self.attention = None
        if config.reader == "attention":
            channels = compared_channels(form, config)
            match = PictureEmbedding(channels or form.shape[0], width)
            self.attention = Attention(match, query=0 if channels else 4 * width)

    def forward(self, condition: Condition) -> Tensor:  # type: ignore[override]
        """(B, 4 width)."""
        return read_support(condition, super().forward, self.attention)


def channels_told(form: Form, config: GanConfig) -> int:
    """Channels of the pictures that a player is told beside the support."""
    told = config.conditioning
    return form.shape[0] * ("sample" in told) + sum(form.given[:1]) * ("input" in told)


def library_channels(form: Form, config: GanConfig) -> int:
    """Channels of those, the last ones, that are what a library answers."""
    return WAYS * form.shape[0] if "library" in config.conditioning else 0


def told_pictures(condition: Condition) -> list[Tensor]:
    """The pictures (B, C, S, S) that a player is told beside the support."""
    return [condition[word] for word in ("sample", "input") if word in condition]


class ToPixels(nn.Conv2d):
    """A 3 x 3 convolution of many channels to one or a few, for the last layer of a generator.

    One product gives every tap's plane, and the shifted planes are added up: with one output
    channel this takes a half to a fifth of the time of torch's convolution on a CPU.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        if x.is_cuda:
            # There folding takes a kernel for every sample.
            return super().forward(x)
        # Folding turns the taps around: the plane of the last one is moved up and left.
        taps = self.weight.flip(2, 3).permute(0, 2, 3, 1).flatten(0, 2)
        # Expanded, each sample is a product of its own: without, torch turns the whole batch into
        # one product of transposed copies, and the backward pass of the layer before pays for it.
        planes = torch.matmul(taps.expand(x.shape[0], -1, -1), x.flatten(-2))
        added = functional.fold(planes, x.shape[-2:], 3, padding=1)
        assert self.bias is not None
        return added + self.bias[:, None, None]
