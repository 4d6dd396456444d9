"""The small classifier of vectors: downstream judge of generated data, and feature extractor.

Shapes: B vectors in a batch, D columns, d features, K classes.
"""

from typing import Final

from torch import Tensor, nn

from metagan.data.form import Form

_WIDTH: Final = 64


class SmallVectorNet(nn.Module):
    """Two hidden layers of 64 with layer norm, and a linear head.

    Attributes:
        sample_shape: (D,) that it takes.
        num_features: d.
        num_classes: K.
    """

    def __init__(self, num_classes: int, sample_shape: tuple[int, ...]) -> None:
        """Build it with weights from torch's global generator; its trainer names the seed.

        Args:
            num_classes: K, at least 2.
            sample_shape: (D,).

        Raises:
            ValueError: If a size is out of range.
        """
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"a classifier needs at least 2 classes, not {num_classes}")
        if len(sample_shape) != 1 or sample_shape[0] < 1:
            raise ValueError(f"sample shape {tuple(sample_shape)}: this classifier takes (D,)")
        self.sample_shape = tuple(sample_shape)
        self.num_classes = num_classes
        self.num_features = _WIDTH
        # The first layer needs a bias: without, the norm would take away how large a sample is.
        self.body = nn.Sequential(
            nn.Linear(sample_shape[0], _WIDTH),
            nn.LayerNorm(_WIDTH),
            nn.ReLU(),
            nn.Linear(_WIDTH, _WIDTH, bias=False),
            nn.LayerNorm(_WIDTH),
            nn.ReLU(),
        )
        self.head = nn.Linear(_WIDTH, num_classes)
        # Equal logits at the start: no class is ahead because of a draw.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def features(self, samples: Tensor) -> Tensor:
        """(B, D), on any device, to (B, d) on the network's.

        Raises:
            ValueError: If the samples do not have the shape that the network was built for.
        """
        if tuple(samples.shape[1:]) != self.sample_shape:
            raise ValueError(
                f"samples of shape {tuple(samples.shape[1:])}, but the classifier was built for "
                f"{self.sample_shape}"
            )
        return self.body(samples.to(self.head.weight.device))

    def forward(self, samples: Tensor) -> Tensor:
        """(B, D) to logits (B, K)."""
        return self.head(self.features(samples))


def build_model(num_classes: int, form: Form) -> SmallVectorNet:
    """An untrained model for vectors of this form."""
    return SmallVectorNet(num_classes, form.shape)
