"""Where features come from, and which scores may be compared.

A score means nothing without its extractor, so an extractor is named by a hash over its weights,
and `metagan.metrics.quality` refuses to compare scores of different ones.

Shapes: N images, C channels, H x W pixels, d features.
"""

import copy
import hashlib
from typing import Protocol

import numpy as np
from torch import Tensor

from metagan.kinds.image.classifier import SmallConvNet, batched
from metagan.metrics.features import Features


class FeatureExtractor(Protocol):
    """Any fixed network that turns images into features."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def num_features(self) -> int:
        """Columns of the result, d."""
        ...

    @property
    def sha256(self) -> str:
        """Hash over everything that decides the features."""
        ...

    @property
    def accuracy(self) -> float | None:
        """Held-out accuracy of the classifier behind it, or None."""
        ...

    def __call__(self, images: Tensor) -> Features:
        """(N, C, H, W) uint8, or float in [-1, 1], to (N, d) float64."""
        ...


class ClassifierFeatures:
    """Features of a classifier that was trained on the source classes, and on nothing else.

    Target classes must not have been seen: scores on them would flatter samples that resemble the
    classifier's training set.
    """

    def __init__(
        self,
        classifier: SmallConvNet,
        *,
        accuracy: float | None = None,
        name: str = "source-classifier",
    ) -> None:
        """Freeze a classifier.

        Args:
            classifier: Trained; it is copied, so that later training cannot change the features.
            accuracy: Its accuracy on samples of the source classes that were held out, [0, 1].
            name: For people.

        Raises:
            ValueError: If `accuracy` is not a share.
        """
        if accuracy is not None and not 0 <= accuracy <= 1:
            raise ValueError(f"extractor accuracy is {accuracy}; it is a share in [0, 1]")
        self._classifier = copy.deepcopy(classifier).requires_grad_(False).eval()
        self.name = name
        self.accuracy = accuracy
        self.num_features = classifier.num_features
        self.sha256 = _weights_hash(classifier)

    def __call__(self, images: Tensor) -> Features:
        """(N, C, H, W) uint8, or float in [-1, 1], to (N, d) float64.

        Raises:
            ValueError: If the images do not have the shape that the classifier was built for.
        """
        return batched(self._classifier.features, images).double().cpu().numpy()


def _weights_hash(classifier: SmallConvNet) -> str:
    """SHA-256 over the architecture and every weight but the head's, which features pass by."""
    digest = hashlib.sha256(f"{type(classifier).__name__} {classifier.image_shape}".encode())
    for name, tensor in sorted(classifier.body.state_dict().items()):
        values = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
