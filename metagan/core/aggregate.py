"""Aggregation of chunk results into one update: a fixed tree of sums, then the mean of episodes.

Float addition is not associative, so the shape of the sum is fixed by the chunks' indices alone:
the update is bit-equal whoever computed the chunks and in whatever order they arrived.

Shapes: P weights.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from metagan.config.learning import OuterConfig
from metagan.core.chunks import ChunkKey, ChunkResult, EpisodeFailure
from metagan.core.params import Layout, Vector
from metagan.core.wire import Sent, from_wire

# Elements that are added up at once: 16 parts of them fit into a second-level cache.
_BLOCK = 32_768
# Share of an outer step's episodes that must give a usable meta-gradient. Those that stay finite
# are the easy ones, so a mean over fewer than half of them pulls the initialization to other tasks.
MIN_FRACTION = 0.5


class DivergedError(RuntimeError):
    """A step has no usable update: too few finite meta-gradients, or one that leads to infinity."""

    exit_code: Final = 3


@dataclass(frozen=True)
class Update:
    """One outer step's aggregated meta-gradient.

    Attributes:
        gradient: (P,) mean over the finite episodes.
        num_finite: How many those were.
        num_planned: How many were asked for; finite + failed = planned.
        metrics: Means over the finite episodes, and norms of the gradient by player.
        failures: The other episodes.
    """

    gradient: Vector
    num_finite: int
    num_planned: int
    metrics: Mapping[str, float]
    failures: tuple[EpisodeFailure, ...]


def tree_sum(parts: Sequence[Sent]) -> Vector:
    """Sum of the parts as a binary tree over their positions: ((0+1)+(2+3))+((4+5)+6).

    In float32, whatever they were sent as.

    Raises:
        ValueError: If there are none, or not all of one shape.
    """
    if len({part.shape for part in parts}) != 1:
        raise ValueError(f"cannot add up vectors of shapes {[part.shape for part in parts]}")
    total = np.empty(parts[0].shape, np.float32)
    # Elements do not meet in a sum, so its bits are the same block by block; what is in between
    # then stays in the processor's cache (a third of the time, for 16 parts of 20 MB).
    between = np.empty((len(parts), min(_BLOCK, len(total))), total.dtype)
    # What overflows is not passed over: `aggregate` looks at the sum.
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(total), _BLOCK):
            block = slice(start, start + _BLOCK)
            total[block] = _sum_block([from_wire(part[block]) for part in parts], between)
    return total


def _sum_block(level: list[Vector], between: Vector) -> Vector:
    """The tree for a few elements of each part; `between` has a row for each part."""
    size = len(level[0])
    while len(level) > 1:
        # A row is read before it is written to: row i is the sum of rows 2 i and 2 i + 1.
        pairs = [
            np.add(level[i], level[i + 1], out=between[i // 2, :size])
            for i in range(0, len(level) - 1, 2)
        ]
        level = pairs + level[len(level) - len(level) % 2 :]
    return level[0]


def aggregate(
    planned: Sequence[ChunkKey],
    results: Sequence[ChunkResult],
    config: OuterConfig,
    layout: Layout,
) -> Update:
    """The mean meta-gradient of an outer step, each part clipped to `config.max_norm`.

    Args:
        planned: The step's chunks.
        results: One per chunk, in any order; all added up in groups of one size, a power of two,
            or none.
        config: Clipping, of each player and of learned rates by themselves.
        layout: Of the gradient.

    Returns:
        Sums divided by counts, never a mean of means: chunks may be of unequal size.

    Raises:
        ValueError: If results do not match the planned chunks one to one.
        DivergedError: If fewer than `MIN_FRACTION` of the episodes are finite, or their sum is not.
    """
    counted = Counter((r.report.step, r.report.index) for r in results)
    expected = Counter((c.step, c.index) for c in planned)
    if counted != expected:
        raise ValueError(
            f"chunks lost {sorted(expected - counted)}, counted twice or foreign "
            f"{sorted(counted - expected)}"
        )
    ordered = sorted(results, key=lambda result: result.report.index)
    failures = tuple(failure for result in ordered for failure in result.report.failures)
    num_planned = sum(len(chunk.episodes) for chunk in planned)
    num_finite = sum(result.report.num_finite for result in ordered)
    if num_finite + len(failures) != num_planned:
        raise ValueError(f"{num_finite} + {len(failures)} episodes, but {num_planned} were planned")
    if num_finite < MIN_FRACTION * num_planned:
        first = failures[0]
        raise DivergedError(
            f"outer step {planned[0].step + 1}: only {num_finite} of {num_planned} episodes gave a "
            f"usable meta-gradient (first: task {first.key.task!r}, {first.reason}); lower "
            "inner.lr or outer.lr, or raise gan.r1"
        )
    # A group of chunks that are added up already is one node of the tree.
    gradient = tree_sum([r.gradient_sum for r in ordered if len(r.gradient_sum)])
    gradient /= np.float32(num_finite)
    # Each of them is finite, and yet so large that their sum is not.
    if (name := layout.first_not_finite(gradient)) is not None:
        raise DivergedError(
            f"outer step {planned[0].step + 1}: the sum of the meta-gradients is too large for "
            f"float32 (first in {name}); set outer.max_episode_norm, or lower inner.lr"
        )
    names = sorted({name for result in ordered for name in result.report.metric_sums})
    metrics = {
        name: sum(result.report.metric_sums.get(name, 0.0) for result in ordered) / num_finite
        for name in names
    }
    for name, where in layout.parts().items():
        part = gradient[where]
        # Not linalg.norm: its threads would take cores from the workers for a sum this short.
        norm = float(np.sqrt(np.square(part, dtype=np.float64).sum()))
        metrics[f"grad_norm_{name}"] = norm
        if config.max_norm is not None and norm > config.max_norm:
            part *= np.float32(config.max_norm / norm)
    return Update(gradient, num_finite, num_planned, metrics, failures)
