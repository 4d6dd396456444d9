"""Classical augmentation of images: what generated samples have to beat.

Every image is moved by its own random affine map and its own smooth elastic displacement, and its
brightness and contrast change a little. Everything random comes from a named numpy generator.

Shapes: B images in a batch, C channels, H x W pixels; images are float in [-1, 1].
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from metagan.kinds.image.layers import pixel_grid

# Of levels that span 2: about as much as separates ink from paper in a bad scan.
_NOISE = 0.5


def degraded(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Images (B, C, H, W) at half of their side, enlarged again, with noise on every pixel."""
    small = functional.avg_pool2d(images, 2)
    blurred = functional.interpolate(small, size=images.shape[-2:], mode="bilinear")
    noise = rng.standard_normal(tuple(images.shape), dtype=np.float32)
    return blurred + _NOISE * torch.from_numpy(noise).to(images)


@dataclass(frozen=True)
class Ranges:
    """How far an image may be changed; every draw is uniform in [-range, range].

    The defaults were chosen on characters of Omniglot's background alphabets, five drawings each.

    Attributes:
        rotation: Degrees.
        shear: Tangent of the shear angle, drawn for either axis.
        scale: Largest enlargement as a ratio above 1; 0.2 draws from 1 / 1.2 to 1.2,
            log-uniformly, for either axis.
        translation: Share of the image's width and height.
        elastic: Displacement of each control point, share of the image's width and height.
        elastic_points: Control points along an axis; between them displacements are bicubic.
        brightness: Added to every pixel; images span 2.
        contrast: Ratio above 1 by which the distance from the image's mean grows, as `scale`.
    """

    rotation: float = 15.0
    shear: float = 0.2
    scale: float = 0.2
    translation: float = 0.09
    elastic: float = 0.04
    elastic_points: int = 5
    brightness: float = 0.1
    contrast: float = 0.1


def classical(
    images: Tensor,
    rng: np.random.Generator,
    *,
    strength: float = 1.0,
    ranges: Ranges | None = None,
) -> Tensor:
    """A randomly changed copy of every image.

    Args:
        images: (B, C, H, W) float in [-1, 1].
        rng: Source of every draw; the same generator state gives the same result.
        strength: Multiplies every range; 0 returns the images as they are.
        ranges: How far each kind of change goes; the defaults suit written characters.

    Returns:
        (B, C, H, W) in [-1, 1], on the device and in the dtype of `images`. What is drawn in from
        outside an image has the colour of its nearest border pixel.

    Raises:
        ValueError: If the images are not a float batch of four axes or `strength` is negative.
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise ValueError(
            f"classical augmentation takes float images (B, C, H, W) in [-1, 1], not "
            f"{images.dtype} of shape {tuple(images.shape)}"
        )
    if not strength >= 0:
        raise ValueError(f"augmentation strength is {strength}; it must be at least 0")
    if strength == 0 or len(images) == 0:
        return images.clone()
    ranges = ranges or Ranges()
    height, width = images.shape[-2:]
    maps = torch.from_numpy(_affine_maps(rng, len(images), strength, ranges, width / height))
    maps = maps.to(images)
    where = pixel_grid(height, width, images).flatten(0, 1) @ maps[:, :, :2].mT
    where = (where + maps[:, None, :, 2]).reshape(-1, height, width, 2)
    if ranges.elastic:
        where = where + _elastic_field(rng, images, strength, ranges)
    moved = functional.grid_sample(
        images, where, mode="bilinear", padding_mode="border", align_corners=False
    )
    return _recolour(moved, rng, strength, ranges)


def augmented(images: Tensor, rng: np.random.Generator, word: str) -> Tensor:
    """The same by a word of `evaluate.classical`: affine alone, or with elastic and brightness."""
    affine = Ranges(elastic=0.0, brightness=0.0, contrast=0.0)
    return classical(images, rng, ranges=affine if word == "affine" else None)


def _affine_maps(
    rng: np.random.Generator, count: int, strength: float, ranges: Ranges, aspect: float
) -> NDArray[np.float32]:
    """(count, 2, 3) maps from output to input coordinates, both in [-1, 1]."""

    def draw(limit: float, *shape: int) -> NDArray[np.float64]:
        return rng.uniform(-limit * strength, limit * strength, (count, *shape))

    angle = np.deg2rad(draw(ranges.rotation))
    shear = draw(ranges.shear, 2)
    scale = np.exp(draw(np.log1p(ranges.scale), 2))
    shift = 2 * draw(ranges.translation, 2)
    cos, sin = np.cos(angle), np.sin(angle)
    rotate = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    skew = np.stack([np.ones(count), shear[:, 0], shear[:, 1], np.ones(count)], -1)
    linear = rotate @ skew.reshape(count, 2, 2) * scale[:, None, :]
    # Angles are kept in pixels, not in coordinates that a wide picture stretches.
    linear *= np.array([[1.0, 1 / aspect], [aspect, 1.0]])
    return np.concatenate([linear, shift[..., None]], axis=-1).astype(np.float32)


def _elastic_field(
    rng: np.random.Generator, images: Tensor, strength: float, ranges: Ranges
) -> Tensor:
    """(B, H, W, 2) smooth displacements in coordinates where the image spans 2."""
    points = ranges.elastic_points
    limit = 2 * ranges.elastic * strength
    control = rng.uniform(-limit, limit, (len(images), 2, points, points)).astype(np.float32)
    fine = functional.interpolate(
        torch.from_numpy(control).to(images),
        size=tuple(images.shape[-2:]),
        mode="bicubic",
        align_corners=True,
    )
    return fine.movedim(1, -1)


def _recolour(images: Tensor, rng: np.random.Generator, strength: float, ranges: Ranges) -> Tensor:
    """Brightness and contrast, clamped to [-1, 1]."""
    count = (len(images), 1, 1, 1)
    ratio = np.exp(strength * np.log1p(ranges.contrast) * rng.uniform(-1, 1, count))
    added = strength * ranges.brightness * rng.uniform(-1, 1, count)
    ratios, shifts = (
        torch.from_numpy(values.astype(np.float32)).to(images) for values in (ratio, added)
    )
    centre = images.mean(dim=(1, 2, 3), keepdim=True)
    return ((images - centre) * ratios + centre + shifts).clamp(-1.0, 1.0)
