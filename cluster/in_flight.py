"""Chunks that workers have and have not answered yet, and since when."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from cluster.ledger import Ledger
from cluster.pool import Worker
from cluster.remote import Ref
from metagan.core.chunks import ChunkKey


@dataclass(frozen=True)
class Submission:
    """A chunk that a worker was given.

    Attributes:
        worker: Who.
        chunk: What.
        gradient: Where the large half of the result will be.
        ledger: The account of the step it belongs to.
    """

    worker: Worker
    chunk: ChunkKey
    gradient: Ref
    ledger: Ledger

    def is_about(self, ledger: Ledger, chunk: ChunkKey) -> bool:
        """True if this is an attempt at this chunk of this step."""
        return self.ledger is ledger and self.chunk == chunk

    def place(self) -> dict[str, object]:
        """Worker, step and chunk for the log; steps are counted as the run's log counts them."""
        return {
            "worker": self.worker.index,
            "pid": self.worker.pid,
            "step": self.chunk.step + 1,
            "chunk": self.chunk.index,
        }


class InFlight:
    """Submissions, each by the reference to its report.

    The mapping outlives a step that was broken off, so that its late answers are recognised.
    """

    def __init__(self) -> None:
        self._submissions: dict[Ref, Submission] = {}
        # When each busy worker began with the first chunk of its work.
        self._started: dict[Worker, float] = {}
        self._called_off: set[Ref] = set()

    @property
    def refs(self) -> Collection[Ref]:
        """References that resolve when a worker answers."""
        return self._submissions.keys()

    @property
    def busy(self) -> Collection[Worker]:
        """Workers that have something to do."""
        return self._started.keys()

    def __getitem__(self, ref: Ref) -> Submission:
        return self._submissions[ref]

    def has(self, ledger: Ledger, chunk: ChunkKey) -> bool:
        """True if a worker is computing this chunk."""
        return any(s.is_about(ledger, chunk) for s in self._submissions.values())

    def add(self, ref: Ref, submission: Submission) -> None:
        """Note that a worker was given a chunk."""
        self._submissions[ref] = submission
        worker = submission.worker
        if not worker.work:
            self._started[worker] = time.monotonic()
        worker.work.append(ref)

    def call_off(self, is_wanted: Callable[[Submission], bool]) -> None:
        """Ask workers, once for each chunk, to leave what is not wanted any more.

        They answer all the same, as soon as they have left it or are done.
        """
        for ref, submission in self._submissions.items():
            if ref not in self._called_off and not is_wanted(submission):
                self._called_off.add(ref)
                chunk = submission.chunk
                submission.worker.actor.call_off.remote(chunk.step, chunk.index)
        self._called_off &= self._submissions.keys()

    def answered(self, ref: Ref) -> float | None:
        """Remove an answered chunk; return its seconds, None if the worker was at another chunk."""
        worker = self._submissions.pop(ref).worker
        now = time.monotonic()
        seconds = now - self._started[worker] if worker.work[0] == ref else None
        worker.work.remove(ref)
        if worker.work:
            self._started[worker] = now
        else:
            del self._started[worker]
        return seconds

    def lost(self, worker: Worker) -> list[Submission]:
        """Remove all chunks of a lost worker; the worker had begun only the first."""
        submissions = [self._submissions.pop(ref) for ref in worker.work]
        worker.work.clear()
        del self._started[worker]
        return submissions

    def withdraw(self, worker: Worker) -> list[Submission]:
        """Remove the chunks that a worker has not begun.

        It may still begin with it before it is ended; that result belongs to no one.
        """
        later = worker.work[1:]
        del worker.work[1:]
        return [self._submissions.pop(ref) for ref in later]

    def overdue(self, timeout_s: float) -> Mapping[Worker, str]:
        """Workers that take too long for a chunk, each with a text about it."""
        now = time.monotonic()
        return {
            worker: f"no result in {now - started:.1f} s"
            for worker, started in self._started.items()
            if now - started >= timeout_s
        }

    def next_deadline(self, timeout_s: float) -> float:
        """Time at which the first worker is overdue (monotonic seconds)."""
        return min(self._started.values(), default=float("inf")) + timeout_s

    def alone_under_way(self, ledger: Ledger) -> list[tuple[float, Submission]]:
        """(when its worker began, submission) of chunks that one worker has, in that order."""
        under_way = [s for s in self._submissions.values() if s.ledger is ledger]
        attempts = Counter(s.chunk for s in under_way)
        found = [
            (self._started[s.worker], s)
            for s in under_way
            if attempts[s.chunk] == 1 and not ledger.has(s.chunk)
        ]
        return sorted(found, key=lambda pair: pair[0])
