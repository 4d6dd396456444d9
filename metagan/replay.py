"""What a worker computes over and over on other numbers may be kept and replayed: the contract."""

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

import torch
from torch import Tensor

Outputs = tuple[Tensor, dict[str, Tensor]]


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
            name: Of the computation: with equal names and equal shapes of the inputs, only the
                inputs' values may differ.
            function: What it does must not depend on values that it looks at.
            inputs: On any device.
            device: Where to compute.

        Returns:
            Tensors that the next run of the same name may overwrite.
        """
