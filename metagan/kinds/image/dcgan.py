"""Plain generators: transposed convolutions (DCGAN) and residual blocks.

Shapes: B conditions in a batch, L latents for each, C channels, S x S pixels, Z latent dimension.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from metagan.config.learning import GanConfig
from metagan.core.batches import Condition
from metagan.core.layers import Film, GroupNorm, one_hot, repeat
from metagan.data.form import Form
from metagan.kinds.image.layers import (
    PictureReader,
    ToPixels,
    channels_told,
    told_pictures,
    upsample_nearest,
)
from metagan.kinds.image.taken import with_known


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
        form: Form,
        config: GanConfig,
        labels: int,
        stage: type[TransposedUp] | type[ResidualUp],
    ) -> None:
        super().__init__()
        width, told = config.width, channels_told(form, config)
        self.side, self.labels = form.shape[-1] // 4, labels
        self.encoder = Encoder(told, width) if told else None
        self.project = nn.Linear(config.latent_dim + labels, 4 * width * self.side**2)
        self.up1 = stage(4 * width + (2 * width if told else 0), 2 * width)
        self.up2 = stage(2 * width, width)
        if "support" in config.conditioning:
            self.reader = PictureReader(form, config, width)
            self.film = Film(4 * width, 2 * width)

    def forward(self, condition: Condition, z: Tensor) -> Tensor:
        """Features (L B, width, S, S) from conditions of B samples and z (L B, Z)."""

        def of_each(told: Tensor) -> Tensor:
            return repeat(told, z.shape[0] // told.shape[0])

        latent = z
        if self.labels:
            labels = one_hot(condition["label"], self.labels, like=z)
            latent = torch.cat([z, of_each(labels)], dim=1)
        low = self.project(latent).unflatten(-1, (-1, self.side, self.side))
        if self.encoder is not None:
            encoded = self.encoder(torch.cat(told_pictures(condition), dim=1))
            low = torch.cat([low, of_each(encoded)], dim=1)
        half = self.up1(low)
        if "support" in condition:
            half = self.film(half, of_each(self.reader(condition)))
        features = self.up2(half)
        return functional.relu(features) if isinstance(self.up2, ResidualUp) else features


class PlainGenerator(nn.Module):
    """G of z and what it is told, with a tanh output; `stage` is DCGAN's or a residual one."""

    def __init__(
        self,
        form: Form,
        config: GanConfig,
        labels: int,
        stage: type[TransposedUp] | type[ResidualUp],
    ) -> None:
        """`labels` are told apart; 0 where the generator is not told a label."""
        super().__init__()
        self.form = form
        self.body = PlainBody(form, config, labels, stage)
        self.head = ToPixels(config.width, form.shape[0])

    def forward(self, condition: Condition, z: Tensor) -> Tensor:
        """(L B, C, S, S) in [-1, 1]."""
        drawn = torch.tanh(self.head(self.body(condition, z)))
        return with_known(drawn, condition, self.form)
