"""The unit of work: a chunk of consecutive episodes of one outer step, and what comes back of it.

Only these two types and the flat parameter vector travel between driver and workers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metagan.core.wire import Sent
from metagan.data.tasks import EpisodeKey


@dataclass(frozen=True)
class ChunkKey:
    """Names a chunk; (step, index) is unique in a run.

    Attributes:
        step: The outer step.
        index: Position of the chunk in its step.
        algorithm: Row of the table of algorithms; the warm-up uses another than the rest.
        episodes: The episodes, in order.
    """

    step: int
    index: int
    algorithm: str
    episodes: tuple[EpisodeKey, ...]


@dataclass(frozen=True)
class EpisodeFailure:
    """An episode that gave no usable meta-gradient."""

    key: EpisodeKey
    reason: str


class CalledOffError(RuntimeError):
    """Nobody wants the chunk any more, so it was left unfinished."""


@dataclass(frozen=True)
class ChunkReport:
    """The small half of a chunk's result.

    Attributes:
        step: Of the chunk.
        index: Of the chunk.
        num_finite: Episodes whose meta-gradient is in the sum.
        metric_sums: Sums over those episodes, by metric name.
        failures: The others, with reasons.
        compute_s: Seconds the worker computed.
        gradient_hash: Hash of the sum that belongs to this report.
        params_hash: Hash of the parameters it was computed from.
    """

    step: int
    index: int
    num_finite: int
    metric_sums: Mapping[str, float]
    failures: tuple[EpisodeFailure, ...]
    compute_s: float
    gradient_hash: str
    params_hash: str


@dataclass(frozen=True)
class ChunkResult:
    """The result of a chunk.

    Attributes:
        report: The small half.
        gradient_sum: The sum of its finite meta-gradients, (P,), as `outer.wire_dtype`. Where
            groups of neighbouring chunks are added up already, the first of a group has the sum of
            all (`tree_sum`, float32), and the others have an empty vector.
    """

    report: ChunkReport
    gradient_sum: Sent


def split_into_chunks(
    step: int, algorithm: str, keys: Sequence[EpisodeKey], *, episodes_per_chunk: int
) -> list[ChunkKey]:
    """Consecutive chunks of a meta-batch. Their size is a setting, never the number of workers."""
    starts = range(0, len(keys), episodes_per_chunk)
    return [
        ChunkKey(step, index, algorithm, tuple(keys[start : start + episodes_per_chunk]))
        for index, start in enumerate(starts)
    ]
