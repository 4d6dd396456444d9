"""Means with 95 % intervals over paired repetitions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and its 95 % interval.

    Attributes:
        mean: Of the repetitions.
        low: Lower end of the interval (Student's t).
        high: Upper end.
        seeds: Number of repetitions.
    """

    mean: float
    low: float
    high: float
    seeds: int

    def to_json(self) -> dict[str, float | int]:
        """The attributes by name."""
        return dict(vars(self))


def interval(values: Sequence[float]) -> Interval:
    """Mean and Student-t 95 % interval.

    Raises:
        ValueError: With fewer than two values: one repetition has no interval.
    """
    if len(values) < 2:
        raise ValueError(f"an interval needs at least 2 repetitions, not {len(values)}")
    array = np.asarray(values, np.float64)
    half = float(stats.t.ppf(0.975, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array)))
    mean = float(array.mean())
    return Interval(mean, mean - half, mean + half, len(array))


def paired_interval(after: Sequence[float], before: Sequence[float]) -> Interval:
    """Interval of the difference, repetition by repetition."""
    return interval([a - b for a, b in zip(after, before, strict=True)])
