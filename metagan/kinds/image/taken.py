"""Inputs that are made from pictures by taking something away: a part, the colour, the detail.

Inputs are (C', S, S) floats in [-1, 1], as networks are told them:

- `mask` and `box`: the picture, black where it is hidden, and behind it a channel that is 1 there,
  else -1;
- `grey`: its brightness, one channel;
- `small`: the picture at a quarter of its side, enlarged again.

Shapes: N pictures, C channels, S x S pixels.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from metagan.core.batches import Condition
from metagan.core.layers import repeat
from metagan.data.form import Form
from metagan.kinds.image.layers import Upsample
from metagan.seeding import generator

Hidden = NDArray[np.bool_]

REDUCED: Final = 4
"""How much smaller a small picture's side is."""
# Shares of red, green and blue in brightness (ITU-R BT.601), as Pillow has them.
_BRIGHTNESS: Final = (0.299, 0.587, 0.114)


def taken_of(form: Form) -> str:
    """Name of what is taken to make inputs of pictures; "" where inputs are other pictures."""
    return str(form.facts.get("inputs", ""))


def hides(form: Form) -> bool:
    """True if a part of each picture is hidden."""
    return taken_of(form) in MASKS


def given_shape(form: Form) -> tuple[int, ...]:
    """Shape of the inputs that are made from pictures of a form."""
    channels, *sides = form.shape
    if taken_of(form) == "grey":
        return 1, *sides
    return channels + hides(form), *sides


def take(pictures: Tensor, form: Form, names: Iterable[tuple[int, ...]]) -> Tensor:
    """The inputs (N, *form.given) of pictures (N, C, S, S).

    Args:
        pictures: As networks see them.
        form: Theirs.
        names: Of every picture, by which its mask is drawn.
    """
    taken = taken_of(form)
    if taken == "grey":
        weights = pictures.new_tensor(_BRIGHTNESS)[:, None, None]
        return (pictures * weights).sum(1, keepdim=True)
    if taken == "small":
        return enlarge(functional.avg_pool2d(pictures, REDUCED), pictures.shape[-1])
    draw, size = MASKS[taken], pictures.shape[-1]
    masks = [draw(size, generator(0, "mask", *name)) for name in names]
    return hide(pictures, torch.from_numpy(np.stack(masks)).to(pictures.device))


def enlarge(small: Tensor, size: int) -> Tensor:
    """Small pictures (N, C, s, s) at a larger size, bilinearly."""
    return Upsample(small.shape[-1], size, "bilinear")(small)


def hide(pictures: Tensor, hidden: Tensor) -> Tensor:
    """Pictures (N, C, S, S) with a part hidden, and the channel that says which, (N, C + 1, S, S).

    Args:
        pictures: As networks see them.
        hidden: (N, S, S), True where nothing is to be seen.
    """
    where = hidden[:, None]
    flags = where.to(pictures.dtype) * 2 - 1
    return torch.cat([pictures.masked_fill(where, -1.0), flags], dim=1)


def hidden_of(inputs: Tensor) -> Tensor:
    """(..., 1, S, S), 1 where something is hidden, else 0."""
    return (inputs[..., -1:, :, :] + 1) / 2


def kept(drawn: Tensor, inputs: Tensor, form: Form) -> Tensor:
    """Drawn pictures (N, C, S, S), with what their inputs show of them as it is there."""
    if not hides(form):
        return drawn
    hidden = hidden_of(inputs)
    return hidden * drawn + (1 - hidden) * inputs[..., :-1, :, :]


def with_known(drawn: Tensor, condition: Condition, form: Form) -> Tensor:
    """Pictures that a generator draws (L B, C, S, S), with what it is told of them as it is."""
    if not hides(form):
        return drawn
    told = condition["input"]
    return kept(drawn, repeat(told, drawn.shape[0] // told.shape[0]), form)


def unknown(condition: Condition) -> Tensor:
    """(B, 1, S, S), 1 where a generator's answer counts: where something is hidden, else 0."""
    return hidden_of(condition["input"])


def shown(inputs: Tensor, form: Form) -> Tensor:
    """Inputs (..., *form.given) as pictures (..., C, S, S) for people; grey where it is hidden."""
    channels = form.shape[0]
    if taken_of(form) == "grey":
        return inputs.expand(*inputs.shape[:-3], channels, *inputs.shape[-2:])
    pictures = inputs[..., :channels, :, :]
    return pictures * (1 - hidden_of(inputs)) if hides(form) else pictures


def _box(size: int, rng: np.random.Generator) -> Hidden:
    """A square of half the side, anywhere."""
    side = size // 2
    top, left = rng.integers(0, size - side + 1, 2).tolist()
    hidden = np.zeros((size, size), np.bool_)
    hidden[top : top + side, left : left + side] = True
    return hidden


def _strokes(size: int, rng: np.random.Generator) -> Hidden:
    """Strokes of a broad brush, until they cover 15 to 40 % of the picture.

    The form is that of Yu et al. 2019, arXiv:1806.03589. Without angles: their functions differ
    between machines in the last bits.
    """
    wanted = rng.uniform(0.15, 0.4)
    rows, columns = np.mgrid[:size, :size] + 0.5
    hidden = np.zeros((size, size), np.bool_)
    while hidden.mean() < wanted:
        at, radius = rng.uniform(0, size, 2), rng.uniform(size / 16, size / 8)
        for _ in range(int(rng.integers(2, 6))):
            to = np.clip(at + rng.uniform(-size / 3, size / 3, 2), 0, size)
            way = to - at
            along = (rows - at[0]) * way[0] + (columns - at[1]) * way[1]
            share = np.clip(along / max(float(way @ way), 1e-9), 0, 1)
            off = (rows - at[0] - share * way[0]) ** 2 + (columns - at[1] - share * way[1]) ** 2
            hidden |= off <= radius**2
            at = to
            if hidden.mean() >= wanted:
                break
    return hidden


MASKS: Final[Mapping[str, Callable[[int, np.random.Generator], Hidden]]] = MappingProxyType(
    {"mask": _strokes, "box": _box}
)
"""Functions (side, random numbers) -> (S, S), True where it is hidden, by `data.input`."""
