"""Generator and discriminator of vectors: two hidden layers each.

The discriminator has no normalization: a penalty is per sample.

Shapes: B conditions in a batch, L latents for each, D columns, Z latent dimension.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from metagan.config.learning import GanConfig
from metagan.core.batches import Condition
from metagan.core.draws import DrawsFrom
from metagan.core.gan import Players
from metagan.core.layers import (
    Attention,
    Discriminator,
    Film,
    compared_channels,
    one_hot,
    read_support,
    repeat,
)
from metagan.data.form import Form
from metagan.kinds.vector.augment import augment_for


class LayerNorm(nn.Module):
    """Layer normalization whose scale and shift stand outside the fused operation.

    `metagan.core.layers.GroupNorm` says why.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.shift = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as x, (B, width)."""
        return functional.layer_norm(x, x.shape[-1:]) * self.scale + self.shift


class GeneratorBody(nn.Module):
    """z, and what it is told beside, to (L B, width) features."""

    def __init__(self, form: Form, config: GanConfig, labels: int) -> None:
        """`labels` are told apart; 0 where the generator is not told a label."""
        super().__init__()
        width, self.labels = config.width, labels
        self.enter = nn.Linear(config.latent_dim + labels + _columns_told(form, config), width)
        self.inner = nn.Linear(width, width)
        self.norm1, self.norm2 = LayerNorm(width), LayerNorm(width)
        if "support" in config.conditioning:
            self.reader = SetReader(form, config, width)
            self.film1, self.film2 = Film(width, width), Film(width, width)

    def forward(self, condition: Condition, z: Tensor) -> Tensor:
        """Features (L B, width) from conditions of B samples and z (L B, Z)."""
        told = _told_columns(condition)
        if self.labels:
            told.insert(0, one_hot(condition["label"], self.labels, like=z))
        if told:
            beside = torch.cat(told, dim=1)
            z = torch.cat([z, repeat(beside, z.shape[0] // beside.shape[0])], dim=1)
        features = self.norm1(self.enter(z))
        code = None
        if "support" in condition:
            code = self.reader(condition)
            code = repeat(code, z.shape[0] // code.shape[0])
            features = self.film1(features, code)
        features = self.norm2(self.inner(functional.leaky_relu(features, 0.2)))
        if code is not None:
            features = self.film2(features, code)
        return functional.leaky_relu(features, 0.2)


class VectorGenerator(nn.Module):
    """G of z and what it is told, with a linear output; one that is told a sample adds to it."""

    def __init__(self, form: Form, config: GanConfig, labels: int) -> None:
        """`labels` are told apart; 0 where the generator is not told a label."""
        super().__init__()
        self.adds = "sample" in config.conditioning
        self.body = GeneratorBody(form, config, labels)
        self.head = nn.Linear(config.width, form.shape[0])
        if self.adds:
            # Start at the given sample. On held-out classes of bent Gaussians with 2 columns the
            # energy distance was 0.29 so, 0.34 with the usual weights, 0.54 without adding to x.
            nn.init.normal_(self.head.weight, std=0.01)
            nn.init.zeros_(self.head.bias)

    def forward(self, condition: Condition, z: Tensor) -> Tensor:
        """(L B, D), in scales."""
        drawn = self.head(self.body(condition, z))
        if self.adds:
            sample = condition["sample"]
            return repeat(sample, z.shape[0] // sample.shape[0]) + drawn
        return drawn


class Embedding(nn.Module):
    """Two layers: (..., columns) to (..., width)."""

    def __init__(self, columns: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(columns, width)
        self.inner = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width)."""
        embedded: Tensor = self.inner(functional.leaky_relu(self.enter(x), 0.2))
        return embedded


class SetReader(Embedding):
    """A code of a support of vectors."""

    def __init__(self, form: Form, config: GanConfig, width: int) -> None:
        super().__init__(form.shape[0] + sum(form.given), width)
        self.attention = None
        if config.reader == "attention":
            columns = compared_channels(form, config)
            match = Embedding(columns or form.shape[0], width)
            self.attention = Attention(match, query=0 if columns else width)

    def forward(self, condition: Condition) -> Tensor:  # type: ignore[override]
        """(B, width)."""
        return read_support(condition, super().forward, self.attention)


class DiscriminatorBody(nn.Module):
    """Two layers: a candidate and what is told beside it -> (B, width)."""

    def __init__(self, form: Form, config: GanConfig) -> None:
        super().__init__()
        width = config.discriminator_width
        self.enter = nn.Linear(form.shape[0] + _columns_told(form, config), width)
        self.inner = nn.Linear(width, width)
        if "support" in config.conditioning:
            self.reader = SetReader(form, config, width)

    def forward(self, condition: Condition, candidate: Tensor) -> Tensor:
        """Features (B, width)."""
        x = torch.cat([*_told_columns(condition), candidate], dim=1)
        return functional.leaky_relu(self.inner(functional.leaky_relu(self.enter(x), 0.2)), 0.2)


class VectorDiscriminator(Discriminator):
    """D of a candidate vector."""

    def __init__(self, form: Form, config: GanConfig, labels: int = 0) -> None:
        """`labels` are told apart; 0 where the discriminator is not told a label."""
        width = config.discriminator_width
        code = width if "support" in config.conditioning else 0
        super().__init__(DiscriminatorBody(form, config), width, labels=labels, code=code)


def _columns_told(form: Form, config: GanConfig) -> int:
    """Columns that a player is told beside a label and the support."""
    told = config.conditioning
    return form.shape[0] * ("sample" in told) + sum(form.given) * ("input" in told)


def _told_columns(condition: Condition) -> list[Tensor]:
    """Parts (B, columns) of all that a player is told beside a label and the support."""
    return [condition[word] for word in ("sample", "input") if word in condition]


def build_players(
    config: GanConfig,
    form: Form,
    *,
    seed: int,
    second_order: bool = False,  # noqa: ARG001
) -> Players:
    """The generator and discriminator for vectors of a form.

    All of their operations have a second derivative. Weights depend on `seed` alone: torch's global
    generator is neither read nor changed.
    """
    labels = config.num_labels if "label" in config.conditioning else 0
    with DrawsFrom(seed, "weights"):
        generator = VectorGenerator(form, config, labels)
        discriminator = VectorDiscriminator(form, config, labels) if config.has_adversary else None
    # On one CPU thread vmap took 0.3 to 0.9 of the loop's time with 4 to 1024 columns and widths of
    # 16 to 256, in chunks of 8 and 32 episodes, measured as benchmarks/inner_loop.py does.
    return Players(generator, discriminator, augment_for(form), is_light=True)
