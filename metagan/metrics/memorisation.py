"""Memorisation: a measure of how far generated samples just repeat the support set.

The yardstick is real samples that the generator never saw: how close they come to the support set
by nature. The idea of judging distances to the training set by those of held-out data is that of
Meehan et al. 2020, arXiv:2004.05675.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from metagan.metrics.features import FeatureError, checked, checked_pair, distances


@dataclass(frozen=True)
class Memorisation:
    """Distances of generated samples from the support set.

    Attributes:
        copies: Share of generated samples whose nearest support sample is at most `threshold` away.
            By construction about `tail` for a perfect generator; 1 for one that only copies.
        relative_distance: Median distance to the nearest support sample, generated over real; 1 for
            a perfect generator, 0 for copies; None where real samples coincide with the support.
        threshold: Distance that only the share `tail` of unseen real samples come within.
    """

    copies: float
    relative_distance: float | None
    threshold: float


def memorisation(
    real: ArrayLike, generated: ArrayLike, *, support: ArrayLike, tail: float = 0.01
) -> Memorisation:
    """Compare nearest-support distances of generated and of unseen real samples.

    Args:
        real: (n, d) features of real samples that are not in the support set.
        generated: (m, d) features from the same extractor.
        support: (s, d) features of the samples that the generator was adapted on.
        tail: Share of real samples that may lie within the threshold.

    Raises:
        TooFewSamplesError: If a set is empty.
        FeatureError: If the features are not finite tables with equal d.
        ValueError: If `tail` is not in [0, 1).
    """
    if not 0 <= tail < 1:
        raise ValueError(f"tail is {tail}; it is a share of samples, in [0, 1)")
    x, y = checked_pair(real, generated)
    anchors = checked(support, "support features", at_least=1)
    if anchors.shape[1] != x.shape[1]:
        raise FeatureError(
            f"support features have {anchors.shape[1]} columns and real features {x.shape[1]}; "
            "compute both with one extractor"
        )
    real_nearest = distances(x, anchors).min(axis=1)
    generated_nearest = distances(y, anchors).min(axis=1)
    threshold = float(np.quantile(real_nearest, tail))
    real_median = float(np.median(real_nearest))
    return Memorisation(
        copies=float((generated_nearest <= threshold).mean()),
        relative_distance=float(np.median(generated_nearest)) / real_median
        if real_median > 0
        else None,
        threshold=threshold,
    )
