"""Frechet distance (FID) between Gaussians fitted to two sets of features.

It is badly biased at few samples (the same 64-d Gaussian twice: 76 at n = 20, 4 at n = 500, 1 at
n = 2000), so it is only comparable at equal numbers, which are part of the result.

Source: Heusel et al. 2017, arXiv:1706.08500, equation 6.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from metagan.metrics.features import Features, checked_pair


@dataclass(frozen=True)
class Fid:
    """A Frechet distance and the numbers of samples it depends on.

    Attributes:
        value: The squared distance, at least 0.
        num_real: Real samples.
        num_generated: Generated samples.
    """

    value: float
    num_real: int
    num_generated: int


def frechet_distance(real: ArrayLike, generated: ArrayLike) -> Fid:
    """|mean_r - mean_g|^2 + tr(C_r + C_g - 2 (C_r C_g)^(1/2)), covariances over n - 1.

    The trace of the root is taken from the eigenvalues of the symmetric C_r^(1/2) C_g C_r^(1/2),
    which are those of C_r C_g: real and non-negative however singular the covariances are.

    Args:
        real: (n, d) features.
        generated: (m, d) features from the same extractor.

    Raises:
        TooFewSamplesError: If n or m is below 2.
        FeatureError: If the features are not two finite tables with equal d.
    """
    x, y = checked_pair(real, generated, at_least=2)
    shift = x.mean(axis=0) - y.mean(axis=0)
    cov_x, cov_y = _covariance(x), _covariance(y)
    values, vectors = np.linalg.eigh(cov_x)
    root = (vectors * np.sqrt(values.clip(min=0.0))) @ vectors.T
    product = root @ cov_y @ root
    spectrum = np.linalg.eigvalsh((product + product.T) / 2).clip(min=0.0)
    value = shift @ shift + np.trace(cov_x) + np.trace(cov_y) - 2 * np.sqrt(spectrum).sum()
    return Fid(max(float(value), 0.0), len(x), len(y))


def _covariance(x: Features) -> Features:
    """(d, d) sample covariance."""
    centred = x - x.mean(axis=0)
    return centred.T @ centred / (len(x) - 1)
