"""The generator for small grey pictures: bend the given sample, then correct it.

Another drawing of a character is mostly the same strokes at slightly other places. So the network
predicts a smooth displacement field (coarse, bounded, up-sampled) from the encoded sample and z,
warps the sample by it, and adds a residual from a decoder that sees the warped picture.

Shapes: B conditions in a batch, L latents for each, C channels, S x S pixels, Z latent dimension.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from metagan.config.learning import GanConfig
from metagan.core.batches import Condition
from metagan.core.layers import GroupNorm, leaky_clamp, repeat
from metagan.data.form import Form
from metagan.kinds.image.layers import (
    GRID_SAMPLE_UNDER_VMAP,
    ToPixels,
    Upsample,
    told_pictures,
    warp,
)


class FlowBody(nn.Module):
    """Encoder, displacement field and the decoder's features."""

    def __init__(
        self,
        form: Form,
        config: GanConfig,
        *,
        second_order: bool,
    ) -> None:
        super().__init__()
        channels, size, _ = form.shape
        width, latent_dim = config.width, config.latent_dim
        self.size, self.max_displacement = size, config.max_displacement
        self.second_order = second_order
        self.enter = nn.Conv2d(channels, width, 3, padding=1)
        self.down1 = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.down2 = nn.Conv2d(2 * width, 2 * width, 4, stride=2, padding=1)
        self.norm1, self.norm2 = GroupNorm(2 * width), GroupNorm(2 * width)
        self.scale_z = nn.Linear(latent_dim, 2 * width)
        self.place_z = nn.Linear(latent_dim, 4 * (size // 4) ** 2)
        self.mix = nn.Conv2d(2 * width + 4, 2 * width, 3, padding=1)
        self.flow = nn.Conv2d(2 * width, 2, 3, padding=1)
        self.up1 = nn.Conv2d(4 * width, width, 3, padding=1)
        self.norm3 = GroupNorm(width)
        self.up2 = nn.Conv2d(width + width + channels, width, 3, padding=1)
        self.enlarge_field = Upsample(size // 4, size, "bicubic")
        self.enlarge1 = Upsample(size // 4, size // 2, "bilinear")
        self.enlarge2 = Upsample(size // 2, size, "bilinear")
        # Start as the identity with small bends, so that early adversarial steps see real strokes.
        nn.init.normal_(self.flow.weight, std=0.02)
        nn.init.zeros_(self.flow.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """From x (B, C, S, S) and z (L B, Z), in L blocks of B.

        Returns:
            The warped samples (L B, C, S, S) and the decoder's features (L B, width, S, S).
        """
        copies = z.shape[0] // x.shape[0]
        full = functional.leaky_relu(self.enter(x), 0.2)
        half = functional.leaky_relu(self.norm1(self.down1(full)), 0.2)
        low = functional.leaky_relu(self.norm2(self.down2(half)), 0.2)
        side = self.size // 4
        place = self.place_z(z).unflatten(-1, (4, side, side))
        # The encoder does not read z: one pass serves all latents of a sample.
        x, full, half, low = (repeat(part, copies) for part in (x, full, half, low))
        low = low * (1 + self.scale_z(z)[:, :, None, None])
        low = functional.leaky_relu(self.mix(torch.cat([low, place], dim=1)), 0.2)
        field = self.max_displacement * torch.tanh(self.flow(low))
        field = self.enlarge_field(field).permute(0, 2, 3, 1)
        # On a GPU grid_sample's backward pass adds in no fixed order; that of a gather does.
        by_gather = self.second_order or x.is_cuda or not GRID_SAMPLE_UNDER_VMAP
        warped = warp(x, field, twice=by_gather)
        up = torch.cat([self.enlarge1(low), half], dim=1)
        up = functional.leaky_relu(self.norm3(self.up1(up)), 0.2)
        up = torch.cat([self.enlarge2(up), full, warped], dim=1)
        return warped, functional.leaky_relu(self.up2(up), 0.2)


class FlowGenerator(nn.Module):
    """G(x, z): the sample warped by a smooth field, plus a residual.

    About 54 k weights at width 16 and 28 pixels.

    The displacement idea is that of spatial transformers (Jaderberg et al. 2015,
    arXiv:1506.02025), with a dense field in place of an affine map.
    """

    def __init__(self, form: Form, config: GanConfig, *, second_order: bool = False) -> None:
        super().__init__()
        self.body = FlowBody(form, config, second_order=second_order)
        self.head = ToPixels(config.width, form.shape[0])
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, condition: Condition, z: Tensor) -> Tensor:
        """(L B, C, S, S) in about [-1, 1] from the one picture (B, C, S, S) that is told."""
        warped, features = self.body(*told_pictures(condition), z)
        return leaky_clamp(warped + self.head(features))
