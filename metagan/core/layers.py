"""Layers that stay exact under `torch.func.vmap` and twice-differentiable where asked.

Shapes: B samples in a batch, C channels, H x W pixels, F features.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn


class GroupNorm(nn.Module):
    """Group normalization whose scale and shift stand outside the fused operation.

    Under vmap, second-order gradients through torch's fused norms with affine weights are silently
    wrong (pytorch/functorch#534; batch, instance and layer norm in torch 2.13, group norm was found
    exact there). Without affine weights all are exact.
    """

    def __init__(self, channels: int, groups: int = 4) -> None:
        super().__init__()
        self.groups = groups
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as x, (B, C, H, W)."""
        normal = functional.group_norm(x, self.groups)
        return normal * self.scale[:, None, None] + self.shift[:, None, None]


def one_hot(labels: Tensor, num_labels: int, like: Tensor) -> Tensor:
    """(B, 1) whole numbers -> (B, num_labels), 1 at the number; in the dtype of `like`."""
    numbers = torch.arange(num_labels, device=like.device, dtype=labels.dtype)
    return (labels == numbers).to(like.dtype)


def repeat(x: Tensor, copies: int) -> Tensor:
    """(B, ...) -> (copies * B, ...), the whole batch one time after the other."""
    return x if copies == 1 else torch.cat([x] * copies)


def leaky_clamp(x: Tensor, slope: float = 0.05) -> Tensor:
    """Identity in [-1, 1], slope outside: keeps a gradient where a hard clamp has none."""
    clamped = x.clamp(-1.0, 1.0)
    return clamped + slope * (x - clamped)


class ProjectionHead(nn.Module):
    """A score for every label: a linear one, and the features' product with the label's vector.

    Source: the projection discriminator (Miyato and Koyama 2018, arXiv:1802.05637, equation 4).
    """

    def __init__(self, features: int, num_labels: int) -> None:
        super().__init__()
        self.num_labels = num_labels
        self.score = nn.Linear(features, 1)
        self.labels = nn.Linear(features, num_labels, bias=False)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """(B,) from features (B, F) and labels (B, 1)."""
        chosen = one_hot(labels, self.num_labels, like=features)
        by_label = (self.labels(features) * chosen).sum(-1)
        return self.score(features).squeeze(-1) + by_label
