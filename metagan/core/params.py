"""Points in parameter space: named tensors, one mapping per player, and their flat form.

Named mappings are what networks take; one flat float32 vector is what is sent, summed, optimised
and hashed. `Layout` converts between the two.

Shapes: P weights in all; E episodes stacked in front where a function says so.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch import Tensor, nn

Params = dict[str, Tensor]
Vector = NDArray[np.float32]

PLAYERS = ("generator", "discriminator")
_NOTHING: Params = {}


class GanParams(NamedTuple):
    """A point in the space of all that is learned; also the form of a gradient or an update.

    Attributes:
        generator: Weights.
        discriminator: Weights.
        rates: What `metagan.core.rates` learns about inner learning rates, by "generator.<name>"
            and "discriminator.<name>"; empty where rates are not learned.
    """

    generator: Params
    discriminator: Params
    rates: Params = _NOTHING

    @property
    def players(self) -> "GanParams":
        """The weights alone, without learned rates."""
        return GanParams(self.generator, self.discriminator)


def map_params(function: Callable[..., Tensor], *trees: Params) -> Params:
    """Apply a function weight by weight over mappings with equal names; none of none."""
    return {name: function(*(tree[name] for tree in trees)) for name in trees[0]}


def detach(tree: GanParams) -> GanParams:
    """The same weights, cut from any graph."""
    return GanParams(*(map_params(Tensor.detach, player) for player in tree))


def params_on(tree: GanParams, device: torch.device) -> GanParams:
    """The same weights on a device."""
    return GanParams(*(map_params(lambda w: w.to(device), player) for player in tree))


def module_params(module: nn.Module) -> Params:
    """A detached copy of a module's weights.

    Raises:
        ValueError: If the module has buffers: running statistics would leak between tasks.
    """
    buffers = [name for name, _ in module.named_buffers()]
    if buffers:
        raise ValueError(
            f"{type(module).__name__} has buffers {buffers}; networks that are adapted must be "
            "parameters only (no running statistics)"
        )
    return {name: weight.detach().clone() for name, weight in module.named_parameters()}


@dataclass(frozen=True)
class Layout:
    """The place of each weight of a `GanParams` in the flat vector.

    Attributes:
        shapes: {"generator.<name>", "discriminator.<name>" or "rates.<player>.<name>": shape}, in
            flat order.
    """

    shapes: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, params: GanParams) -> "Layout":
        """The layout of these weights: generator first, then names as the modules give them."""
        return cls({name: tuple(tensor.shape) for name, tensor in _named(params)})

    @property
    def size(self) -> int:
        """Number of weights, P."""
        return sum(self.sizes)

    @property
    def sizes(self) -> list[int]:
        """Number of elements of each weight, in flat order."""
        return [int(np.prod(shape, dtype=np.int64)) for shape in self.shapes.values()]

    @property
    def sha256(self) -> str:
        """Identifies names, order and shapes; equal architectures have equal layouts."""
        return hashlib.sha256(
            json.dumps([[name, list(shape)] for name, shape in self.shapes.items()]).encode()
        ).hexdigest()

    def parts(self) -> dict[str, slice]:
        """Slices of the vector: each player's weights, and the learned rates."""
        ends = np.cumsum([0, *self.sizes])
        found: dict[str, slice] = {}
        for index, name in enumerate(self.shapes):
            part = name.partition(".")[0]
            start = found[part].start if part in found else int(ends[index])
            found[part] = slice(start, int(ends[index + 1]))
        return found

    def first_not_finite(self, vector: Vector) -> str | None:
        """Name of the first weight with NaN or infinity in a (P,) vector; None if there is none."""
        where = np.flatnonzero(~np.isfinite(vector))
        if not len(where):
            return None
        return list(self.shapes)[int(np.searchsorted(np.cumsum(self.sizes), where[0], "right"))]

    def flatten(self, params: GanParams) -> Tensor:
        """(P,) vector, or (E, P) where every weight has E in front."""
        tensors = dict(_named(params))
        return torch.cat(
            [
                tensors[name].reshape(*tensors[name].shape[: -len(shape) or None], -1)
                if shape
                else tensors[name].unsqueeze(-1)
                for name, shape in self.shapes.items()
            ],
            dim=-1,
        )

    def unflatten(self, vector: Tensor) -> GanParams:
        """Views into a (P,) vector, named again.

        Raises:
            ValueError: If the vector has another length than the layout.
        """
        if vector.shape[-1] != self.size:
            raise ValueError(f"a vector of {vector.shape[-1]} weights, but the GAN has {self.size}")
        parts: dict[str, Params] = {part: {} for part in GanParams._fields}
        for (name, shape), part in zip(
            self.shapes.items(), torch.split(vector, self.sizes, dim=-1), strict=True
        ):
            where, _, weight = name.partition(".")
            parts[where][weight] = part.reshape((*vector.shape[:-1], *shape))
        return GanParams(**parts)


def vector_hash(vector: NDArray[Any]) -> str:
    """Hash of the exact bits of a flat vector: XXH3, 128 bits.

    Against damage and mistakes, not against attackers; as fast as memory is read, a tenth of the
    time of SHA-256 or less, and taken twice of everything that is sent.
    """
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(vector).data)


def _named(params: GanParams) -> Iterator[tuple[str, Tensor]]:
    for part, tensors in zip(GanParams._fields, params, strict=True):
        for name, tensor in tensors.items():
            yield f"{part}.{name}", tensor
