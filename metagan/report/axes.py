"""Axes and curves as numbers, before they are drawn: scales, ticks, thinning and smoothing."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Points = Sequence[tuple[float, float | None]]

_MAX_POINTS = 240  # Per line; more cannot be told apart.
_SMOOTHING = 25  # A line is smoothed over this part of its points.


@dataclass(frozen=True)
class Scale:
    """From values to shares of a length.

    Attributes:
        low: Value at 0.
        high: Value at 1.
        log: Whether the axis is logarithmic; then both are above 0.
    """

    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies; outside of [0, 1] if it is outside of the axis."""
        if self.log:
            if value <= 0:
                return -1.0
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def ticks(scale: Scale, wanted: int = 4) -> list[float]:
    """Round values on an axis: powers of ten on a logarithmic one, else steps of 1, 2 or 5."""
    if scale.log:
        first, last = math.ceil(math.log10(scale.low)), math.floor(math.log10(scale.high))
        every = max(1, math.ceil((last - first + 1) / 6))
        return [10.0**power for power in range(first, last + 1, every)]
    rough = (scale.high - scale.low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * unit for unit in (1, 2, 5, 10) if power * unit >= rough * 0.999)
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def decimals_of(found: Sequence[float]) -> int:
    """Decimals that tell the ticks of a linear axis apart."""
    if len(found) < 2:
        return 1
    return max(0, -math.floor(math.log10(found[1] - found[0]) + 1e-9))


def padded(low: float, high: float, *, include_zero: bool) -> Scale:
    """An axis in per cent around fractions, with some room at both ends."""
    low, high = 100 * low, 100 * high
    if include_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = 0.06 * (high - low) or 1.0
    return Scale(low - room, high + room)


def vertical_scale(values: Sequence[float]) -> tuple[Scale, bool]:
    """The vertical axis, and whether some values are outside of it."""
    array = np.asarray(values, np.float64)
    positive = array[array > 0]
    if len(positive) == len(array) and array.max() > 50 * array.min():
        low, high = np.log10(array.min()), np.log10(array.max())
        room = 0.04 * (high - low)
        # At least one power of ten on the axis, or it could not be read.
        low, high = min(low - room, math.floor(high)), high + room
        return Scale(float(10**low), float(10**high), log=True), False
    low, high = float(array.min()), float(array.max())
    is_cut = False
    if len(array) >= 100:
        inner_low, inner_high = (float(q) for q in np.quantile(array, [0.01, 0.99]))
        if high - low > 2.5 * (inner_high - inner_low) > 0:
            low, high, is_cut = inner_low, inner_high, True
    room = 0.06 * (high - low) or max(abs(high), 1.0) * 0.1
    return Scale(low - room, high + room), is_cut


def thin(points: Points) -> Points:
    """Few enough points: of each stretch the first, the smallest and the largest value."""
    if len(points) <= _MAX_POINTS:
        return points
    kept: list[tuple[float, float | None]] = []
    edges = np.linspace(0, len(points), _MAX_POINTS // 2 + 1).astype(int)
    for start, stop in itertools.pairwise(edges):
        stretch = [(y, x) for x, y in points[start:stop] if y is not None]
        if stretch:
            ends = {min(stretch), max(stretch)}
            kept += sorted((x, y) for y, x in ends)
        else:
            kept.append((points[start][0], None))
    return kept


def pieces(points: Points, breaks: Sequence[float]) -> list[Points]:
    """The points between the breaks; those at a break belong to what follows it."""
    edges = [-math.inf, *sorted(breaks), math.inf]
    cut = [
        [(x, y) for x, y in points if low <= x < high] for low, high in itertools.pairwise(edges)
    ]
    return [piece for piece in cut if len(piece) > 1]


def smooth(points: Points) -> Points:
    """A moving average over the finite values around each; where there is none, none comes out."""
    half = max(1, len(points) // _SMOOTHING)
    known = np.array([y is not None for _, y in points])
    values = np.array([0.0 if y is None else y for _, y in points])
    sums = np.concatenate([[0.0], np.cumsum(values)])
    counts = np.concatenate([[0], np.cumsum(known)])
    averaged: list[tuple[float, float | None]] = []
    for i, (x, _) in enumerate(points):
        start, stop = max(0, i - half), min(len(points), i + half + 1)
        number = counts[stop] - counts[start]
        mean = float((sums[stop] - sums[start]) / number) if number and known[i] else None
        averaged.append((x, mean))
    return averaged


def path_data(points: Points, x_scale: Scale, scale: Scale) -> str:
    """The `d` of a path in a frame of 1000 x 1000; the line breaks where there is no value."""
    words = []
    pen = "M"
    for x, y in points:
        if y is None:
            pen = "M"
            continue
        across = 1000 * x_scale.share(x)
        # Far outside of the frame is outside of it: numbers stay short.
        down = min(3000.0, max(-2000.0, 1000 * (1 - scale.share(y))))
        words.append(f"{pen}{across:.0f} {down:.0f}")
        pen = "L"
    return "".join(words)
