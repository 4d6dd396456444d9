"""Frechet distance (FID) between Gaussians fitted to two sets of features.

It is badly biased at few samples (the same 64-d Gaussian twice: 76 at n = 20, 4 at n = 500, 1 at
n = 2000), so it is only comparable at equal numbers, which `Quality` has beside it.

Source: Heusel et al. 2017, arXiv:1706.08500, equation 6.
"""

import numpy as np
from numpy.typing import ArrayLike

from metagan.metrics.features import Features, checked_pair


def frechet_distance(real: ArrayLike, generated: ArrayLike) -> float:
    """|mean_r - mean_g|^2 + tr(C_r + C_g - 2 (C_r C_g)^(1/2)), covariances over n - 1.

    With C_r = R_r^T R_r and C_g = R_g^T R_g the trace of the root is the sum of the singular values
    of R_r R_g^T: real and non-negative however singular the covariances are. The factors come from
    the samples themselves, so that with fewer samples than features nothing of size (d, d) is made.

    Args:
        real: (n, d) features.
        generated: (m, d) features from the same extractor.

    Returns:
        The squared distance, at least 0.

    Raises:
        TooFewSamplesError: If n or m is below 2.
        FeatureError: If the features are not two finite tables with equal d.
    """
    x, y = checked_pair(real, generated, at_least=2)
    shift = x.mean(axis=0) - y.mean(axis=0)
    root_x, root_y = _root(x), _root(y)
    overlap = np.linalg.svd(root_x @ root_y.T, compute_uv=False).sum()
    value = shift @ shift + (root_x**2).sum() + (root_y**2).sum() - 2 * overlap
    return max(float(value), 0.0)


def _root(x: Features) -> Features:
    """(min(n, d), d) factor R of the sample covariance R^T R."""
    return np.linalg.qr((x - x.mean(axis=0)) / np.sqrt(len(x) - 1)).R
