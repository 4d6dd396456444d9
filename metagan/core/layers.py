"""Layers that stay exact under `torch.func.vmap` and twice-differentiable where asked.

Shapes: B samples in a batch, C channels, H x W pixels, F features; G groups of a batch, each of
which reads R samples.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from metagan.config.learning import GanConfig
from metagan.core.batches import Condition
from metagan.data.form import Form


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
    """A score of features: a linear one, and their product with a vector for what D is told.

    Source: the projection discriminator (Miyato and Koyama 2018, arXiv:1802.05637, equation 4).
    """

    def __init__(self, features: int, labels: int = 0, code: int = 0) -> None:
        """A vector for each of some labels, and one that is linear in a code; 0: none."""
        super().__init__()
        self.num_labels = labels
        self.score = nn.Linear(features, 1)
        if labels:
            self.labels = nn.Linear(features, labels, bias=False)
        if code:
            self.code = nn.Linear(code, features)

    def forward(
        self, features: Tensor, labels: Tensor | None = None, code: Tensor | None = None
    ) -> Tensor:
        """(B,) from features (B, F), labels (B, 1) and a code (B, code)."""
        score = self.score(features).squeeze(-1)
        if labels is not None:
            chosen = one_hot(labels, self.num_labels, like=features)
            score = score + (self.labels(features) * chosen).sum(-1)
        if code is not None:
            score = score + (self.code(code) * features).sum(-1)
        return score


class Discriminator(nn.Module):
    """A score of every candidate, from a kind's own features of it."""

    def __init__(self, body: nn.Module, features: int, *, labels: int, code: int) -> None:
        """Put a score on a body of features.

        Args:
            body: (condition, candidates) -> features (B, F); with a code also `reader`,
                (condition) -> (B, code).
            features: F.
            labels: That are told apart; 0: none.
            code: Length of a code of the support; 0: none.
        """
        super().__init__()
        self.body = body
        self.head = (
            ProjectionHead(features, labels, code) if labels or code else nn.Linear(features, 1)
        )

    def forward(self, condition: Condition, candidate: Tensor) -> Tensor:
        """(B,) scores of candidates (B, *sample_shape)."""
        features = self.body(condition, candidate)
        if isinstance(self.head, nn.Linear):
            return self.head(features).squeeze(-1)
        code = self.body.get_submodule("reader")(condition) if "support" in condition else None
        return self.head(features, condition.get("label"), code)


class Film(nn.Module):
    """Features scaled and shifted channel by channel, as a code says; at first only a little.

    Source: FiLM (Perez et al. 2018, arXiv:1709.07871, equation 2).
    """

    def __init__(self, code: int, channels: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Linear(code, channels), nn.Linear(code, channels)
        for layer in (self.scale, self.shift):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor, code: Tensor) -> Tensor:
        """(B, C, ...) from features (B, C, ...) and a code (B, code)."""
        ones = (1,) * (features.ndim - 2)
        scale, shift = (
            part(code).reshape(*code.shape[:1], -1, *ones) for part in (self.scale, self.shift)
        )
        return features * (1 + scale) + shift


def joined_support(condition: Condition) -> Tensor:
    """The support as it is read, (G, R, C, ...): samples, and their inputs behind them if any."""
    parts = [condition[word] for word in ("support", "support_input") if word in condition]
    return torch.cat(parts, dim=2)


def mean_read(embedded: Tensor, condition: Condition) -> Tensor:
    """The mean (B, F) over embeddings (G, R, F) of what each sample may be drawn from.

    Zeros where that is nothing: a support of one sample is all hidden from that sample.
    """
    reads = condition["reads"].reshape(len(embedded), -1, embedded.shape[1])
    total = torch.matmul(reads, embedded)
    return (total / reads.sum(-1, keepdim=True).clamp(min=1)).flatten(0, 1)


def attended(queries: Tensor, keys: Tensor, values: Tensor, condition: Condition) -> Tensor:
    """Scaled dot-product attention (B, F) over what each sample may be drawn from.

    Zeros where that is nothing. What is hidden has no influence at all.

    Args:
        queries: (B, E), of B / G samples for each of G supports, one group after the other.
        keys: (G, R, E).
        values: (G, R, F).
        condition: Has `reads`.

    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 1.
    """
    groups, read = keys.shape[:2]
    reads = condition["reads"].reshape(groups, -1, read)
    asked = queries.reshape(groups, -1, queries.shape[-1])
    scores = torch.matmul(asked, keys.transpose(1, 2)) / keys.shape[-1] ** 0.5
    # Below all others, however large, so that the exponential is 0; once more where all are hidden.
    hidden = scores.masked_fill(reads == 0, torch.finfo(scores.dtype).min)
    weights = torch.softmax(hidden, dim=-1) * reads
    return torch.matmul(weights, values).flatten(0, 1)


class Attention(nn.Module):
    """Reading of a support by how alike the members' inputs are to its own.

    Where samples have no inputs, members are compared with the sample that is told; where there is
    none, with a query that is learned.
    """

    def __init__(self, match: nn.Module, *, query: int = 0) -> None:
        """Compare by an embedding.

        Args:
            match: (..., C, ...) to (..., E), of what is compared.
            query: E, where nothing is told to compare by; else 0.
        """
        super().__init__()
        self.match = match
        self.query = nn.Parameter(torch.zeros(query)) if query else None

    def forward(self, values: Tensor, condition: Condition) -> Tensor:
        """(B, F) from embeddings of the members (G, R, F)."""
        has_inputs = "input" in condition
        keys = self.match(condition["support_input" if has_inputs else "support"])
        if self.query is not None:
            queries = self.query.expand(condition["reads"].shape[0], -1)
        else:
            queries = self.match(condition["input" if has_inputs else "sample"][:, None])[:, 0]
        return attended(queries, keys, values, condition)


def compared_channels(form: Form, config: GanConfig) -> int:
    """Length of the first axis of what attention compares: inputs, or told samples; else 0."""
    if "input" in config.conditioning:
        return form.given[0]
    return form.shape[0] if "sample" in config.conditioning else 0


def read_support(
    condition: Condition, embed: Callable[[Tensor], Tensor], attention: Attention | None
) -> Tensor:
    """A code (B, F) of the support: the mean of an embedding, and what attention reads beside it.

    Args:
        condition: Of B samples.
        embed: (G, R, C, ...) to (G, R, F).
        attention: None: the mean alone.
    """
    values = embed(joined_support(condition))
    code = mean_read(values, condition)
    return code if attention is None else code + attention(values, condition)
