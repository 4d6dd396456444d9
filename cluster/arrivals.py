"""Results that have arrived and are hashed before they may count, while the driver goes on.

A hash takes most of the driver's time for a result (0.6 ms for a megabyte) and needs no lock of
Python's, so it is computed by other threads, during what the driver would wait for workers anyway.
"""

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from cluster.connect import cores_here
from cluster.in_flight import Submission
from cluster.ledger import Ledger
from metagan.chunks import ChunkKey, ChunkReport
from metagan.params import vector_sha256
from metagan.wire import Sent

_MOST_THREADS = 4


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
        sha256: The hash it should have.
    """

    answers: tuple[Answer, ...]
    gradient: Sent
    sha256: str


class Arrivals:
    """Hashes results in threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(
            min(_MOST_THREADS, cores_here()), thread_name_prefix="metagan-hash"
        )
        self._hashing: dict[Future[str], Arrival] = {}

    def __bool__(self) -> bool:
        """Whether any is not hashed yet, or not taken off."""
        return bool(self._hashing)

    def add(self, arrival: Arrival) -> None:
        """Begin to hash a result."""
        self._hashing[self._threads.submit(vector_sha256, arrival.gradient)] = arrival

    def has(self, ledger: Ledger, chunk: ChunkKey) -> bool:
        """Whether a result of this chunk is among them."""
        answers = (answer for arrival in self._hashing.values() for answer in arrival.answers)
        return any(answer.submission.is_about(ledger, chunk) for answer in answers)

    def wait(self) -> None:
        """Until one of them is hashed, if there are any."""
        wait(self._hashing, return_when=FIRST_COMPLETED)

    def hashed(self) -> Sequence[tuple[Arrival, str]]:
        """Take off those whose hash is known, in order of arrival."""
        done = [future for future in self._hashing if future.done()]
        return [(self._hashing.pop(future), future.result()) for future in done]

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)
