"""The discriminator of pictures: alone, with a label, or in pairs with the sample they continue.

No normalization: a penalty is per sample, and statistics would tie the samples of a batch.

Shapes: B samples in a batch, C channels, S x S pixels.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from metagan.core.layers import ProjectionHead


class DiscriminatorBody(nn.Module):
    """Three strided convolutions: (B, inputs, S, S) -> (B, features)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.down1 = nn.Conv2d(inputs, width, 4, stride=2, padding=1)
        self.down2 = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.down3 = nn.Conv2d(2 * width, 3 * width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, F)."""
        x = functional.leaky_relu(self.down1(x), 0.2)
        x = functional.leaky_relu(self.down2(x), 0.2)
        return functional.leaky_relu(self.down3(x), 0.2).flatten(1)


class ImageDiscriminator(nn.Module):
    """D(x), D(y, x) or D(x, candidate): one score per sample.

    About 23 k weights at width 16 and 28 pixels.
    """

    def __init__(
        self, channels: int, size: int, width: int, *, conditional: bool, num_labels: int = 0
    ) -> None:
        """`conditional` on a sample, or on one of `num_labels` labels, or (0) on nothing."""
        super().__init__()
        self.conditional, self.num_labels = conditional, num_labels
        side = -(-(size // 4) // 2)
        features = 3 * width * side**2
        self.body = DiscriminatorBody(2 * channels if conditional else channels, width)
        self.head = ProjectionHead(features, num_labels) if num_labels else nn.Linear(features, 1)

    def forward(self, condition: Tensor, candidate: Tensor) -> Tensor:
        """(B,) scores of candidates (B, C, S, S), given conditions like them, (B, 1) or (B, 0)."""
        x = torch.cat([condition, candidate], dim=1) if self.conditional else candidate
        if self.num_labels:
            return self.head(self.body(x), condition)
        return self.head(self.body(x)).squeeze(-1)
