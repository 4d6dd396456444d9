"""Results as they arrive from workers: a report of every chunk; gradients, single or added up."""

from dataclasses import dataclass

from cluster.in_flight import Submission
from metagan.core.chunks import ChunkReport
from metagan.core.wire import Sent


@dataclass(frozen=True)
class Answer:
    """The answer of a worker to a chunk, without the gradient.

    Attributes:
        submission: The one that the worker answers.
        report: The small half of the result.
    """

    submission: Submission
    report: ChunkReport


@dataclass(frozen=True)
class Arrival:
    """A gradient, as it arrived.

    Attributes:
        answers: What it belongs to: one, or all whose sum it is, in order.
        gradient: The large half, (P,).
        expected_hash: The hash it should have.
    """

    answers: tuple[Answer, ...]
    gradient: Sent
    expected_hash: str
