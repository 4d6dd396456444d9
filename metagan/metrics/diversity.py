"""Diversity: how different a class's samples are from each other, generated against real.

Our stand-in for the pairwise LPIPS inside clusters that few-shot generation papers report (Ojha et
al. 2021, arXiv:2104.06820), on the extractor's features instead of a pre-trained network's.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metagan.metrics.features import FeatureError, Features, checked_pair, distances


def diversity_ratio(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    real_labels: ArrayLike,
    generated_labels: ArrayLike,
) -> float | None:
    """Mean pairwise distance inside a class, generated over real.

    Every class with at least two samples on both sides counts the same, whatever its size.

    Args:
        real: (n, d) features.
        generated: (m, d) features from the same extractor.
        real_labels: (n,) class of each real sample, integers or strings.
        generated_labels: (m,) class of each generated sample.

    Returns:
        1 where generated samples vary as real ones do, 0 where a class has one sample; None where
        no class has two samples on both sides, or where real samples do not vary at all.

    Raises:
        FeatureError: If the features are not two finite tables with equal d, or labels do not fit.
    """
    x, y = checked_pair(real, generated)
    x_labels = _labels(real_labels, x, "real")
    y_labels = _labels(generated_labels, y, "generated")
    real_sum, generated_sum = 0.0, 0.0
    for label in np.intersect1d(x_labels, y_labels):
        x_class, y_class = x[x_labels == label], y[y_labels == label]
        if min(len(x_class), len(y_class)) >= 2:
            real_sum += _mean_pairwise(x_class)
            generated_sum += _mean_pairwise(y_class)
    return generated_sum / real_sum if real_sum > 0 else None


def _labels(labels: ArrayLike, features: Features, name: str) -> NDArray[np.generic]:
    array = np.asarray(labels)
    if array.shape != (len(features),):
        raise FeatureError(
            f"{name} labels have shape {array.shape}, but there are {len(features)} {name} features"
        )
    return array


def _mean_pairwise(features: Features) -> float:
    """Mean distance over ordered pairs of different samples."""
    n = len(features)
    return float(distances(features, features).sum() / (n * (n - 1)))
