"""Methods that learn from no domain, and put back what was taken from pictures.

Shapes: K pictures that are shown, Q that are asked, C channels, S x S pixels.
"""

import importlib.util
from collections.abc import Callable, Mapping
from types import MappingProxyType, ModuleType
from typing import Final

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from metagan.data.form import Form
from metagan.kinds.image.layers import enlarging
from metagan.kinds.image.taken import REDUCED, hidden_of, hides, kept, taken_of

Found = dict[str, dict[str, Tensor]]
Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(picture (S, S, C) in [0, 1], hidden (S, S)) -> the picture filled, (S, S, C)."""

# Levels of brightness by which colours are looked up.
_BINS = 32
# Moves to each side, at most; of larger pictures in larger steps.
_MOVES = 6
# Pixels around a hole that Telea's method looks at.
_RADIUS = 3.0


def fillers(shown: Tensor, inputs: Tensor, asked: Tensor, form: Form) -> Found:
    """Answers (Q, C, S, S) by name; of each method one candidate, "".

    Args:
        shown: (K, C, S, S), the pictures that are shown, whole.
        inputs: (K, *form.given), theirs.
        asked: (Q, *form.given), inputs whose pictures are to be drawn.
        form: Of the pictures.
    """
    taken = taken_of(form)
    if hides(form):
        arms = {"nearest patch": kept(nearest_patch(shown, asked), asked, form)}
        for name, (library, method) in _METHODS.items():
            if _is_installed(library):
                fill = method(importlib.import_module(library))
                arms[name] = _each(asked, form, fill)
    elif taken == "grey":
        arms = {"colour by brightness": colour_by_brightness(shown, inputs, asked)}
    elif taken == "small":
        arms = {"bicubic": bicubic(asked)}
    else:
        arms = {}
    return {name: {"": drawn} for name, drawn in arms.items()}


def missing_methods() -> list[str]:
    """Names of the methods whose library, of the extra `inpainting`, is not installed."""
    return [name for name, (library, _) in _METHODS.items() if not _is_installed(library)]


def _is_installed(library: str) -> bool:
    return importlib.util.find_spec(library.partition(".")[0]) is not None


def nearest_patch(shown: Tensor, asked: Tensor) -> Tensor:
    """Of all that is shown, moved by up to a quarter of a side, what is nearest to what is seen.

    Args:
        shown: (K, C, S, S).
        asked: (Q, C + 1, S, S), with what is hidden.

    Returns:
        (Q, C, S, S), the nearest whole picture.
    """
    size, most = shown.shape[-1], shown.shape[-1] // 4
    padded = functional.pad(shown, (most,) * 4, mode="replicate")
    moves = range(0, 2 * most + 1, max(1, most // _MOVES))
    moved = [padded[..., top : top + size, left : left + size] for top in moves for left in moves]
    every = torch.cat(moved)
    seen = (1 - hidden_of(asked)).expand(-1, shown.shape[1], -1, -1).flatten(1)
    flat, target = every.flatten(1), asked[:, :-1].flatten(1) * seen
    # |a - b|^2 over what is seen, less what all candidates have in common.
    distance = seen @ flat.square().T - 2 * target @ flat.T
    return every[distance.argmin(1)]


def colour_by_brightness(shown: Tensor, inputs: Tensor, asked: Tensor) -> Tensor:
    """The mean colour of what is shown at the same brightness, between levels interpolated.

    Args:
        shown: (K, 3, S, S).
        inputs: (K, 1, S, S).
        asked: (Q, 1, S, S).

    Returns:
        (Q, 3, S, S).
    """
    levels = np.linspace(-1, 1, _BINS)
    at = ((inputs.flatten().double().numpy() + 1) / 2 * (_BINS - 1)).round().astype(int)
    wanted, channels = asked.double().numpy(), []
    for channel in range(shown.shape[1]):
        values = shown[:, channel].flatten().double().numpy()
        count = np.bincount(at, minlength=_BINS)
        total = np.bincount(at, weights=values, minlength=_BINS)
        there = count > 0
        channels.append(np.interp(wanted[:, 0], levels[there], total[there] / count[there]))
    return torch.from_numpy(np.stack(channels, axis=1)).to(asked.dtype)


def bicubic(asked: Tensor) -> Tensor:
    """Small pictures enlarged by cubic interpolation (Q, C, S, S), of those enlarged linearly."""
    size = asked.shape[-1]
    linear, cubic = (enlarging(size // REDUCED, size, mode) for mode in ("bilinear", "bicubic"))
    again = cubic @ torch.linalg.pinv(linear)
    return (again @ asked.double() @ again.T).clamp(-1, 1).to(asked.dtype)


def _each(asked: Tensor, form: Form, fill: Fill) -> Tensor:
    """Every picture filled by a method for one.

    Args:
        asked: (Q, C + 1, S, S).
        form: Of the pictures.
        fill: The method.
    """
    filled = [
        fill((one[:-1].permute(1, 2, 0).double().numpy() + 1) / 2, one[-1].numpy() > 0)
        for one in asked
    ]
    drawn = torch.from_numpy(np.stack(filled)).permute(0, 3, 1, 2) * 2 - 1
    return kept(drawn.clamp(-1, 1).to(asked.dtype), asked, form)


def _biharmonic(restoration: ModuleType) -> Fill:
    """Smooth filling (Damelin and Hoang 2018, doi:10.1155/2018/3950312)."""
    return lambda picture, hidden: restoration.inpaint_biharmonic(picture, hidden, channel_axis=-1)


def _telea(cv2: ModuleType) -> Fill:
    """Filling from the border inwards (Telea 2004, doi:10.1080/10867651.2004.10487596)."""

    def fill(picture: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        levels = np.rint(picture * 255).astype(np.uint8)
        filled = cv2.inpaint(levels, hidden.astype(np.uint8), _RADIUS, cv2.INPAINT_TELEA)
        return filled.reshape(picture.shape) / 255

    return fill


_METHODS: Final[Mapping[str, tuple[str, Callable[[ModuleType], Fill]]]] = MappingProxyType(
    {"biharmonic": ("skimage.restoration", _biharmonic), "Telea": ("cv2", _telea)}
)
"""Methods of other libraries: (the library, from it to the method)."""
