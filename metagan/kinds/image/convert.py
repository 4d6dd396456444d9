"""From stored pictures to what networks see, and back."""

import numpy as np
import torch
from torch import Tensor

from metagan.data.dataset import DataError
from metagan.kinds.image.samples import FAR_ABOVE_WHITE, array_of, in_bytes, warn


def to_float(samples: np.ndarray) -> Tensor:
    """uint8 pictures as float32 in [-1, 1].

    `metagan.kinds.image.samples.in_bytes` says what is made of other numbers.

    Raises:
        DataError: If the numbers have no plain meaning as brightness.
    """
    [pixels] = in_bytes([array_of(samples)], "samples")
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1.0)


def to_uint8(images: Tensor) -> np.ndarray:
    """Float pictures as uint8, clamped to [-1, 1] and rounded.

    Raises:
        DataError: If they are no floats.
    """
    try:
        images = torch.as_tensor(images)
    except (TypeError, ValueError, RuntimeError):
        raise DataError(
            f"images are {type(images).__name__}; to_uint8 takes a tensor of floats in [-1, 1]"
        ) from None
    if not images.is_floating_point():
        raise DataError(
            f"images are {str(images.dtype).removeprefix('torch.')}; to_uint8 takes floats in "
            "[-1, 1], such as generate_samples gives; pixels from 0 to 255 need no such step"
        )
    images = images.detach().cpu().float()
    if images.numel() and images.min() >= 0 and images.max() > FAR_ABOVE_WHITE:
        warn(
            f"images have values from {images.min():g} to {images.max():g}, and all above 1 become "
            "white: to_uint8 takes floats in [-1, 1]"
        )
    scaled = (images.clamp(-1, 1) + 1) * 127.5
    result: np.ndarray = scaled.round().to(torch.uint8).numpy()
    return result
