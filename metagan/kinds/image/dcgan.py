"""Plain generators: transposed convolutions (DCGAN) and residual blocks.

Both take z alone, z and the label of a class, or z and a sample whose class they continue.

Shapes: B conditions in a batch, L latents for each, C channels, S x S pixels, Z latent dimension.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from metagan.core.layers import GroupNorm, one_hot, repeat
from metagan.kinds.image.layers import ToPixels, upsample_nearest


class Encoder(nn.Module):
    """Two strided convolutions: (B, C, S, S) -> (B, 2 width, S/4, S/4)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.down1 = nn.Conv2d(channels, width, 4, stride=2, padding=1)
        self.down2 = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.norm = GroupNorm(2 * width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S, S) -> (B, 2 width, S/4, S/4)."""
        half = functional.leaky_relu(self.down1(x), 0.2)
        return functional.leaky_relu(self.norm(self.down2(half)), 0.2)


class TransposedUp(nn.Module):
    """DCGAN's stage: a transposed convolution that doubles the side (Radford et al. 2015)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
        self.norm = GroupNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, s, s) -> (B, outputs, 2s, 2s)."""
        return functional.relu(self.norm(self.up(x)))


class ResidualUp(nn.Module):
    """Nearest up-sampling and two convolutions beside a 1 x 1 short cut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = GroupNorm(inputs), GroupNorm(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.short = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, s, s) -> (B, outputs, 2s, 2s)."""
        size = 2 * x.shape[-1]
        y = self.conv1(upsample_nearest(functional.relu(self.norm1(x)), size))
        y = self.conv2(functional.relu(self.norm2(y)))
        return y + upsample_nearest(self.short(x), size)


class PlainBody(nn.Module):
    """z (and the encoded sample) to (B, width, S, S) features."""

    def __init__(
        self,
        channels: int,
        size: int,
        width: int,
        latent_dim: int,
        *,
        conditional: bool,
        num_labels: int,
        stage: type[TransposedUp] | type[ResidualUp],
    ) -> None:
        super().__init__()
        self.side, self.num_labels = size // 4, num_labels
        self.encoder = Encoder(channels, width) if conditional else None
        self.project = nn.Linear(latent_dim + num_labels, 4 * width * self.side**2)
        self.up1 = stage(4 * width + (2 * width if conditional else 0), 2 * width)
        self.up2 = stage(2 * width, width)

    def forward(self, condition: Tensor, z: Tensor) -> Tensor:
        """Features (L B, width, S, S) from condition (B, C, S, S), (B, 1) or (B, 0), z (L B, Z)."""
        if self.num_labels:
            labels = one_hot(condition, self.num_labels, like=z)
            z = torch.cat([z, repeat(labels, z.shape[0] // condition.shape[0])], dim=1)
        low = self.project(z).unflatten(-1, (-1, self.side, self.side))
        if self.encoder is not None:
            encoded = repeat(self.encoder(condition), z.shape[0] // condition.shape[0])
            low = torch.cat([low, encoded], dim=1)
        features = self.up2(self.up1(low))
        return functional.relu(features) if isinstance(self.up2, ResidualUp) else features


class PlainGenerator(nn.Module):
    """G(z), G(y, z) or G(x, z) with a tanh output; `stage` decides between DCGAN and residual."""

    def __init__(
        self,
        channels: int,
        size: int,
        width: int,
        latent_dim: int,
        *,
        conditional: bool,
        num_labels: int,
        stage: type[TransposedUp] | type[ResidualUp],
    ) -> None:
        """`conditional` on a sample, or on one of `num_labels` labels, or (0) on nothing."""
        super().__init__()
        self.body = PlainBody(
            channels,
            size,
            width,
            latent_dim,
            conditional=conditional,
            num_labels=num_labels,
            stage=stage,
        )
        self.head = ToPixels(width, channels)

    def forward(self, condition: Tensor, z: Tensor) -> Tensor:
        """(L B, C, S, S) in [-1, 1]; the condition is ignored by an unconditional generator."""
        return torch.tanh(self.head(self.body(condition, z)))
