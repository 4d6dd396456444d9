"""The generator that draws one picture after another: an encoder and a decoder with short cuts.

Its last features are as many pictures as it is wide; the head is one linear mixture of them, the
same at every pixel, so that an adapter can solve for it. What a library answers is among them, and
at first the head draws little else.

Shapes: B conditions in a batch, L latents for each, C channels, S x S pixels, Z latent dimension.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from metagan.config.learning import GanConfig
from metagan.core.batches import Condition
from metagan.core.layers import Film, GroupNorm, leaky_clamp, one_hot, repeat
from metagan.data.form import Form
from metagan.data.library import WAYS
from metagan.kinds.image.layers import (
    PictureReader,
    Upsample,
    channels_told,
    library_channels,
    told_pictures,
)
from metagan.kinds.image.taken import with_known


class UnetBody(nn.Module):
    """Told pictures, z and the support's code to (L B, width, S, S) features."""

    def __init__(self, form: Form, config: GanConfig, labels: int) -> None:
        super().__init__()
        width, size, told = config.width, form.shape[-1], channels_told(form, config)
        self.labels, self.answers = labels, library_channels(form, config)
        self.enter = nn.Conv2d(told, width, 3, padding=1)
        self.down1 = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.down2 = nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1)
        self.norm1, self.norm2 = GroupNorm(2 * width), GroupNorm(4 * width)
        self.latent = Film(config.latent_dim + labels, 4 * width)
        self.mix = nn.Conv2d(4 * width, 4 * width, 3, padding=1)
        self.up1 = nn.Conv2d(6 * width, 2 * width, 3, padding=1)
        self.norm3 = GroupNorm(2 * width)
        self.up2 = nn.Conv2d(3 * width + told, width, 3, padding=1)
        self.enlarge1 = Upsample(size // 4, size // 2, "bilinear")
        self.enlarge2 = Upsample(size // 2, size, "bilinear")
        if "support" in config.conditioning:
            self.reader = PictureReader(form, config, width)
            self.films = nn.ModuleList(
                Film(4 * width, channels) for channels in (4 * width, 2 * width, width)
            )

    def forward(self, condition: Condition, z: Tensor) -> Tensor:
        """(L B, width, S, S); what a library answers is behind the features."""
        x = torch.cat(told_pictures(condition), dim=1)
        copies = z.shape[0] // x.shape[0]
        if self.labels:
            labels = one_hot(condition["label"], self.labels, like=z)
            z = torch.cat([z, repeat(labels, copies)], dim=1)
        full = functional.leaky_relu(self.enter(x), 0.2)
        half = functional.leaky_relu(self.norm1(self.down1(full)), 0.2)
        low = functional.leaky_relu(self.norm2(self.down2(half)), 0.2)
        code = None
        if "support" in condition:
            code = repeat(self.reader(condition), copies)
        # The encoder does not read z: one pass serves all latents of a condition.
        x, full, half, low = (repeat(part, copies) for part in (x, full, half, low))

        def styled(features: Tensor, at: int) -> Tensor:
            if code is not None:
                features = self.films[at](features, code)
            return functional.leaky_relu(features, 0.2)

        low = styled(self.mix(self.latent(low, z)), 0)
        half = styled(self.norm3(self.up1(torch.cat([self.enlarge1(low), half], dim=1))), 1)
        drawn = styled(self.up2(torch.cat([self.enlarge2(half), full, x], dim=1)), 2)
        return torch.cat([drawn, x[:, x.shape[1] - self.answers :]], dim=1)


class UnetGenerator(nn.Module):
    """G of z and what it is told: a linear mixture of the pictures that its body draws.

    About 120 k weights at width 16. The shape is that of Ronneberger et al. 2015, arXiv:1505.04597,
    as pix2pix uses it (Isola et al. 2017, arXiv:1611.07004), with two stages.
    """

    def __init__(self, form: Form, config: GanConfig, labels: int) -> None:
        """`labels` are told apart; 0 where the generator is not told a label."""
        super().__init__()
        self.form = form
        self.body = UnetBody(form, config, labels)
        answers = library_channels(form, config)
        self.head = nn.Conv2d(config.width + answers, form.shape[0], 1)
        if answers:
            with torch.no_grad():
                self.head.weight.mul_(0.1)
                self.head.bias.zero_()  # type: ignore[union-attr]
                # A mixture that is never far off: the middle strength of the ridge.
                middle = config.width + WAYS // 2 * form.shape[0]
                self.head.weight[:, middle : middle + form.shape[0], 0, 0] += torch.eye(
                    form.shape[0]
                )

    def forward(self, condition: Condition, z: Tensor) -> Tensor:
        """(L B, C, S, S) in about [-1, 1]."""
        drawn = leaky_clamp(self.head(self.body(condition, z)))
        return with_known(drawn, condition, self.form)
