"""Checks and distances that every metric on features shares.

Shapes: n samples, d features.
"""

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

Features = NDArray[np.float64]

# The kernel of KID takes sixth powers and its standard error squares them: beyond this size even
# float64 overflows, and no trained extractor comes near it.
_LARGEST = 1e20


class FeatureError(ValueError):
    """Features that no metric can be computed on; the message says which and why."""


class NonFiniteFeaturesError(FeatureError):
    """Features with NaN, infinity or values too large to compute with."""


class TooFewSamplesError(FeatureError):
    """Fewer samples than the metric is defined for."""


def checked(features: ArrayLike, name: str, *, at_least: int = 1) -> Features:
    """The features as an (n, d) float64 array.

    Args:
        features: (n, d), any real dtype.
        name: What they are, for the error message ("real features").
        at_least: Smallest n that the metric is defined for.

    Raises:
        FeatureError: If they are not a two-axis array with at least one feature.
        TooFewSamplesError: If n is below `at_least`.
        NonFiniteFeaturesError: If a value is NaN, infinite or beyond 1e20 in size.
    """
    array = np.asarray(features, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise FeatureError(f"{name} must have shape (n, d) with d >= 1, not {array.shape}")
    if len(array) < at_least:
        raise TooFewSamplesError(f"{name}: {len(array)} samples; at least {at_least} are needed")
    usable = (np.abs(array) <= _LARGEST).all(axis=1)
    if not usable.all():
        raise NonFiniteFeaturesError(
            f"{name}: NaN, infinity or values beyond {_LARGEST:g} in "
            f"{np.count_nonzero(~usable)} of {len(array)} samples, the first at index "
            f"{int(np.argmin(usable))}; look at the samples or the extractor"
        )
    return array


def checked_pair(
    real: ArrayLike, generated: ArrayLike, *, at_least: int = 1
) -> tuple[Features, Features]:
    """Both sets checked, and their numbers of features compared.

    Raises:
        FeatureError: As `checked`, or if the two sets differ in d.
    """
    first = checked(real, "real features", at_least=at_least)
    second = checked(generated, "generated features", at_least=at_least)
    if first.shape[1] != second.shape[1]:
        raise FeatureError(
            f"real features have {first.shape[1]} columns and generated features "
            f"{second.shape[1]}; compute both with one extractor"
        )
    return first, second


def distances(first: Features, second: Features) -> Features:
    """Euclidean distances, (len(first), len(second)).

    Both sets are shifted by the mean of the first before the inner products, since the expansion of
    the square loses digits where features lie far from the origin. Distances below the rounding of
    that expansion, of equal rows above all, are exactly 0, so that a copy counts as a copy.
    """
    centre = first.mean(axis=0)
    a, b = first - centre, second - centre
    a_norms, b_norms = np.einsum("nd,nd->n", a, a), np.einsum("nd,nd->n", b, b)
    sums = a_norms[:, None] + b_norms[None, :]
    squares = sums - 2 * (a @ b.T)
    squares[squares < 1e-13 * sums] = 0.0
    return np.sqrt(squares)


def neighbour_radii(features: Features, k: int) -> Features:
    """Distance of every row to its k-th nearest other row, (n,); needs n > k."""
    between = distances(features, features)
    np.fill_diagonal(between, np.inf)
    return np.partition(between, k - 1, axis=1)[:, k - 1]


class FeatureExtractor(Protocol):
    """Any fixed network that turns samples into features."""

    @property
    def name(self) -> str:
        """Name of the extractor in reports."""
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

    def __call__(self, samples: Tensor) -> Features:
        """(N, *sample_shape) to (N, d) float64."""
        ...
