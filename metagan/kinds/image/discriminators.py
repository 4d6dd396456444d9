"""The discriminator of pictures.

No normalization: a penalty is per sample, and statistics would tie the samples of a batch.

Shapes: B samples in a batch, C channels, S x S pixels.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from metagan.config.learning import GanConfig
from metagan.core.batches import Condition
from metagan.core.layers import Discriminator
from metagan.data.form import Form
from metagan.kinds.image.layers import PictureReader, channels_told, told_pictures


class DiscriminatorBody(nn.Module):
    """Three strided convolutions of a candidate and the pictures that are told beside it."""

    def __init__(self, form: Form, config: GanConfig) -> None:
        super().__init__()
        inputs, width = form.shape[0] + channels_told(form, config), config.discriminator_width
        self.down1 = nn.Conv2d(inputs, width, 4, stride=2, padding=1)
        self.down2 = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.down3 = nn.Conv2d(2 * width, 3 * width, 3, stride=2, padding=1)
        if "support" in config.conditioning:
            self.reader = PictureReader(form, config, width)

    def forward(self, condition: Condition, candidate: Tensor) -> Tensor:
        """Features (B, F)."""
        x = torch.cat([*told_pictures(condition), candidate], dim=1)
        x = functional.leaky_relu(self.down1(x), 0.2)
        x = functional.leaky_relu(self.down2(x), 0.2)
        return functional.leaky_relu(self.down3(x), 0.2).flatten(1)


class ImageDiscriminator(Discriminator):
    """D of a candidate picture; about 23 k weights at width 16 and 28 pixels."""

    def __init__(self, form: Form, config: GanConfig, labels: int = 0) -> None:
        """`labels` are told apart; 0 where the discriminator is not told a label."""
        width = config.discriminator_width
        side = -(-(form.shape[-1] // 4) // 2)
        body = DiscriminatorBody(form, config)
        code = 4 * width if "support" in config.conditioning else 0
        super().__init__(body, 3 * width * side**2, labels=labels, code=code)
