"""Kernel distance (KID): unbiased at any number of samples, so the first number to look at.

Source: Binkowski et al. 2018, arXiv:1801.01401, section 4. We take the estimate on all samples,
which the paper's mean over random subsets only approaches, and its jackknife standard error, since
the spread over subsets that share samples is none.

Shapes: n real and m generated samples, d features.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from metagan.metrics.features import Features, checked_pair

_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Kid:
    """A kernel distance.

    Attributes:
        value: Squared maximum mean discrepancy, unbiased; below 0 by chance where both sets come
            from one distribution.
        stderr: Jackknife standard error of `value`, for samples that are independent; too large
            by up to a factor sqrt(2) where both sets come from one distribution. None where a set
            has only two samples.
    """

    value: float
    stderr: float | None


def kernel_distance(real: ArrayLike, generated: ArrayLike) -> Kid:
    """Unbiased squared MMD under the kernel (x.y / d + 1)^3.

    Args:
        real: (n, d) features.
        generated: (m, d) features from the same extractor.

    Returns:
        The distance and its standard error.

    Raises:
        TooFewSamplesError: If n or m is below 2.
        FeatureError: If the features are not two finite tables with equal d.
    """
    x, y = checked_pair(real, generated, at_least=2)
    n, m = len(x), len(y)
    # Row sums are all that the estimate and its leave-one-out values need.
    rows_x = _kernel_sums(x, x) - _self_kernel(x)
    rows_y = _kernel_sums(y, y) - _self_kernel(y)
    cross_x, cross_y = _kernel_sums(x, y), _kernel_sums(y, x)
    within_x = rows_x.sum() / (n * (n - 1))
    within_y = rows_y.sum() / (m * (m - 1))
    between = cross_x.sum() / (n * m)
    value = float(within_x + within_y - 2 * between)
    if min(n, m) < 3:
        return Kid(value, None)
    variance = _jackknife_variance(rows_x, cross_x / m) + _jackknife_variance(rows_y, cross_y / n)
    return Kid(value, float(np.sqrt(variance)))


def _kernel_sums(x: Features, y: Features) -> Features:
    """Sum over all y of k(x_i, y), (len(x),), in blocks of rows: memory stays linear in n."""
    blocks = [x[start : start + _BLOCK_ROWS] for start in range(0, len(x), _BLOCK_ROWS)]
    return np.concatenate([((b @ y.T / x.shape[1] + 1) ** 3).sum(axis=1) for b in blocks])


def _self_kernel(x: Features) -> Features:
    """k(x_i, x_i), (len(x),)."""
    return (np.einsum("nd,nd->n", x, x) / x.shape[1] + 1) ** 3


def _jackknife_variance(rows: Features, cross: Features) -> float:
    """Variance that one set's samples give the estimate.

    Args:
        rows: Sum over the set's other samples of the kernel, (n,).
        cross: Mean over the other set's samples of the kernel, (n,).
    """
    n = len(rows)
    without = (rows.sum() - 2 * rows) / ((n - 1) * (n - 2)) - 2 * (cross.sum() - cross) / (n - 1)
    return float((n - 1) * without.var())
