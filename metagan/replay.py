"""What a worker computes over and over on other numbers may be kept and replayed: the contract."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

Outputs = tuple[Tensor, dict[str, Tensor]]
T = TypeVar("T")
# Each holds memory.
_KEPT = 6


class Replayer(Protocol):
    """Keeps computations by name, for one GAN, layout and config alone."""

    def serves(self, device: torch.device, *, second_order: bool) -> bool:
        """Whether it is for this kind of device and this order of derivatives."""

    def run(
        self,
        name: Hashable,
        function: Callable[[Sequence[Tensor]], Outputs],
        inputs: Sequence[Tensor],
        device: torch.device,
    ) -> Outputs:
        """`function(inputs)` on the device, bit for bit, replayed where it is kept.

        Args:
            name: Of the computation: with equal names and equal shapes and strides of the inputs,
                only the inputs' values may differ.
            function: What it does must not depend on values that it looks at.
            inputs: On any device.
            device: Where to compute.

        Returns:
            Tensors that the next run of the same name may overwrite.
        """


class Kept(Generic[T]):
    """Of what was kept by name the few that were used last; the others are dropped."""

    def __init__(self) -> None:
        self._by_name: OrderedDict[Hashable, T] = OrderedDict()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._by_name)

    def get(self, name: Hashable) -> T | None:
        """What is kept by this name, used now; None if there is nothing."""
        if name not in self._by_name:
            return None
        self._by_name.move_to_end(name)
        return self._by_name[name]

    def keep(self, name: Hashable, value: T) -> None:
        """Keep it as the one used last."""
        self._by_name[name] = value
        while len(self._by_name) > _KEPT:
            self._by_name.popitem(last=False)


def with_shapes(name: Hashable, inputs: Sequence[Tensor]) -> Hashable:
    """A name of the computation on inputs of these shapes, types and orders in memory."""
    return (name, *((tuple(tensor.shape), tensor.stride(), tensor.dtype) for tensor in inputs))
