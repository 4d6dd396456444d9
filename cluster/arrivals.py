"""What comes back from workers: a report of every chunk, and gradients, alone or as sums."""

from dataclasses import dataclass

from cluster.in_flight import Submission
from metagan.core.chunks import ChunkReport
from metagan.core.wire import Sent


@dataclass(frozen=True)
class Answer:
    """What a worker says of a chunk, without the gradient.

    Attributes:
        submission: What it answers.
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
