"""The account of one outer step: every chunk is counted exactly once, whoever computes it.

Knows nothing of Ray: chunks go out, results and failures come in.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np

from cluster.errors import ClusterError
from metagan.core.chunks import ChunkKey, ChunkReport, ChunkResult
from metagan.core.wire import Sent, is_sent

Rejection = Literal["duplicate", "stale", "corrupt"]
Verdict = Literal["accepted"] | Rejection


class Ledger:
    """Chunks waiting, attempts at each, and the results that were accepted."""

    def __init__(
        self,
        chunks: Sequence[ChunkKey],
        *,
        num_weights: int,
        params_hash: str,
        max_attempts: int,
    ) -> None:
        """Queues the chunks in order.

        Args:
            chunks: Those of one outer step.
            num_weights: Numbers in a gradient.
            params_hash: Hash of the parameters that results must be computed from.
            max_attempts: Attempts at one chunk before the step fails.

        Raises:
            ValueError: If two chunks have the same key.
        """
        self._chunks = {(chunk.step, chunk.index): chunk for chunk in chunks}
        if len(self._chunks) != len(chunks):
            raise ValueError("two chunks of an outer step have the same (step, index)")
        self.num_weights = num_weights
        self._params_hash, self._max_attempts = params_hash, max_attempts
        self._queue = list(chunks)
        self._attempts: Counter[ChunkKey] = Counter()
        self._failed_on: dict[ChunkKey, int] = {}
        self._accepted: dict[tuple[int, int], ChunkResult] = {}

    @property
    def results(self) -> list[ChunkResult]:
        """Accepted results, in order of arrival."""
        return list(self._accepted.values())

    @property
    def complete(self) -> bool:
        """True if every chunk has its one result."""
        return len(self._accepted) == len(self._chunks)

    @property
    def num_chunks(self) -> int:
        """Chunks of the step."""
        return len(self._chunks)

    @property
    def num_queued(self) -> int:
        """Chunks that nobody is computing."""
        return len(self._queue)

    def same_work(self, other: "Ledger") -> bool:
        """True if the other ledger is about the same chunks at the same parameters."""
        return (self._chunks, self._params_hash) == (other._chunks, other._params_hash)

    def expects(self, report: ChunkReport) -> bool:
        """True if the report is about a chunk of this step at these parameters."""
        key = (report.step, report.index)
        return key in self._chunks and report.params_hash == self._params_hash

    def has(self, chunk: ChunkKey | ChunkReport) -> bool:
        """True if the chunk has its result."""
        return (chunk.step, chunk.index) in self._accepted

    def take(self, worker: int) -> ChunkKey:
        """The next chunk for a worker; one that failed on it only if there is no other."""
        others = (chunk for chunk in self._queue if self._failed_on.get(chunk) != worker)
        chunk = next(others, self._queue[0])
        self._queue.remove(chunk)
        return chunk

    def may_take(self, worker: int, *, alone: bool) -> bool:
        """True if a chunk waits that this worker should have.

        Args:
            worker: Which.
            alone: Whether no other worker is there for a chunk that failed on this one.
        """
        return any(alone or self._failed_on.get(chunk) != worker for chunk in self._queue)

    def put_back(self, chunk: ChunkKey, *, worker: int, reason: str | None) -> int | None:
        """Queue a chunk again, before all others.

        Args:
            chunk: One that was taken.
            worker: Who had it; another one is preferred next time.
            reason: Why the attempt failed; None if it never started, which costs no attempt.

        Returns:
            Attempts that have failed so far; None if the chunk is accepted already.

        Raises:
            ClusterError: If no attempt is left.
        """
        if self.has(chunk) or chunk in self._queue:
            return None
        if reason is not None:
            self._attempts[chunk] += 1
            self._failed_on[chunk] = worker
            if self._attempts[chunk] >= self._max_attempts:
                raise ClusterError(
                    f"chunk {chunk.index} of outer step {chunk.step} failed "
                    f"{self._attempts[chunk]} times (cluster.max_chunk_attempts), last: {reason}"
                )
        self._queue.insert(0, chunk)
        return self._attempts[chunk]

    def admit(
        self, report: ChunkReport, gradient_sum: Sent | None, *, arrived_hash: str
    ) -> Verdict:
        """Take a result into the account, or say why it is dropped.

        Args:
            report: The small half.
            gradient_sum: The large half; None if it is in the sum of another chunk's group.
            arrived_hash: Hash of that as it arrived, whatever the report says.

        Returns:
            "accepted"; "duplicate" if the chunk has its result; "stale" if it belongs to another
            step or to other parameters; "corrupt" if the gradient is not the report's, or has not
            a number for each weight, of a type that is sent.
        """
        if not self.expects(report):
            return "stale"
        key = (report.step, report.index)
        if key in self._accepted:
            return "duplicate"
        if arrived_hash != report.gradient_hash:
            return "corrupt"
        # The hash of too short a gradient may be right: a worker may have made it so.
        if gradient_sum is not None and not is_sent(gradient_sum, self.num_weights):
            return "corrupt"
        chunk = self._chunks[key]
        if chunk in self._queue:
            self._queue.remove(chunk)
        self._accepted[key] = ChunkResult(
            report, np.empty(0, np.float32) if gradient_sum is None else gradient_sum
        )
        return "accepted"
