"""Precision, recall, density and coverage: fidelity and variety, separately.

Around every sample lies a ball that reaches to its k-th nearest neighbour in its own set; the union
of a set's balls stands for its distribution.

Sources: Kynkaanniemi et al. 2019, arXiv:1904.06991 (precision, recall); Naeem et al. 2020,
arXiv:2002.09797 (density, coverage; k = 5).
"""

from dataclasses import dataclass

from numpy.typing import ArrayLike

from metagan.metrics.features import checked_pair, distances, neighbour_radii


@dataclass(frozen=True)
class Prdc:
    """Four shares of samples; all but density lie in [0, 1].

    Attributes:
        precision: Share of generated samples inside some real ball.
        recall: Share of real samples inside some generated ball.
        density: Real balls around a generated sample, on average, over k: 1 for a perfect
            generator, above it where generated samples crowd at the real modes.
        coverage: Share of real balls with a generated sample inside.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall_density_coverage(real: ArrayLike, generated: ArrayLike, *, k: int = 5) -> Prdc:
    """All four with balls that reach to the k-th nearest neighbour, itself outside.

    Args:
        real: (n, d) features.
        generated: (m, d) features from the same extractor.
        k: Neighbours, at least 1.

    Raises:
        TooFewSamplesError: If n or m is not above k.
        FeatureError: If the features are not two finite tables with equal d.
        ValueError: If k is below 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}; at least 1 neighbour is needed")
    x, y = checked_pair(real, generated, at_least=k + 1)
    between = distances(x, y)
    in_real_ball = between < neighbour_radii(x, k)[:, None]
    in_generated_ball = between < neighbour_radii(y, k)[None, :]
    return Prdc(
        precision=float(in_real_ball.any(axis=0).mean()),
        recall=float(in_generated_ball.any(axis=1).mean()),
        density=float(in_real_ball.sum() / (k * len(y))),
        coverage=float(in_real_ball.any(axis=1).mean()),
    )
