"""Sums of neighbouring chunks' meta-gradients, by tasks on the workers' nodes.

Where an outer step's meta-gradients are large in all, a driver that fetches, hashes and adds every
one of them is what all wait for. Here a task does so with `GROUP` neighbouring chunks, where most
of them are, and the driver takes in the sum. A group is one node of the fixed tree of
`metagan.core.aggregate.tree_sum`, so no bit of the update depends on where sums are made.
"""

import time
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import ray
from ray.exceptions import RayError

from cluster.arrivals import Answer, Arrival
from cluster.config import ClusterConfig
from cluster.last_words import explain
from cluster.ledger import Ledger
from cluster.remote import Ref, fetch
from cluster.resources import placement
from metagan.core.aggregate import tree_sum
from metagan.core.chunks import ChunkKey, ChunkReport
from metagan.core.params import Vector, vector_hash
from metagan.core.wire import Sent, is_sent

# A power of two, or it would be no node of the tree.
GROUP = 8


@dataclass(frozen=True)
class SumReport:
    """The small half of a sum.

    Attributes:
        arrived_hashes: Hashes of the gradients as they arrived, in order; "" for one of wrong size.
        total_hash: Hash of their sum; none was made if one of them is not what it should be.
    """

    arrived_hashes: tuple[str, ...]
    total_hash: str | None


def add_up(
    num_weights: int, expected_hashes: Sequence[str], *gradients: Sent
) -> tuple[SumReport, Vector]:
    """Task that adds up gradients (P,) with these hashes, and hashes the sum."""
    arrived = tuple(
        vector_hash(gradient) if is_sent(gradient, num_weights) else "" for gradient in gradients
    )
    if arrived != tuple(expected_hashes):
        return SumReport(arrived, None), np.empty(0, np.float32)
    total = tree_sum(gradients)
    return SumReport(arrived, vector_hash(total)), total


@dataclass(frozen=True)
class Outcome:
    """The result of a task that adds up a group.

    Attributes:
        arrival: The sum, to be hashed; None if there is none.
        lost: Answers that are to be computed again.
        reason: Why; None if a gradient was not what its report says.
    """

    arrival: Arrival | None
    lost: Sequence[Answer] = ()
    reason: str | None = None


@dataclass(frozen=True)
class _Sum:
    answers: tuple[Answer, ...]
    total: Ref
    started: float


class Reductions:
    """Collects answers in groups and has complete ones added up."""

    def __init__(self, config: ClusterConfig) -> None:
        # Tasks need no core of their own, so nothing else bounds the processes they run in.
        self._most = max(2, config.num_workers // GROUP)
        self._task = ray.remote(add_up).options(
            num_cpus=0, num_returns=2, name="metagan-add-up", **placement(config)
        )
        self._above = config.reduce_above_mb
        self._ledgers: set[Ledger] = set()
        self._groups: defaultdict[tuple[Ledger, int], dict[int, Answer]] = defaultdict(dict)
        self._complete: deque[tuple[Answer, ...]] = deque()
        self._running: dict[Ref, _Sum] = {}
        # (step, index of the chunk) of every answer in a group: looked up for every result.
        self._held: set[tuple[Ledger, int]] = set()

    @property
    def refs(self) -> Collection[Ref]:
        """References that resolve when a sum is there."""
        return self._running.keys()

    def consider(self, ledger: Ledger, *, num_bytes: int) -> None:
        """Add up a step's meta-gradients here if they are large in all, `num_bytes` each."""
        all_mb = num_bytes * ledger.num_chunks / 2**20
        if self._above is not None and all_mb > self._above and ledger.num_chunks > 1:
            self._ledgers.add(ledger)

    def takes(self, ledger: Ledger) -> bool:
        """True if the step's meta-gradients are added up here."""
        return ledger in self._ledgers

    def has(self, ledger: Ledger, chunk: ChunkKey | ChunkReport) -> bool:
        """True if an answer about this chunk is in a group."""
        return (ledger, chunk.index) in self._held

    def keep_only(self, ledgers: Collection[Ledger]) -> None:
        """Forget all other steps; the results of their tasks are ignored."""
        self._ledgers &= set(ledgers)
        for place in [place for place in self._groups if place[0] not in self._ledgers]:
            self._let_go(self._groups.pop(place).values())

    def add(self, answer: Answer) -> None:
        """Put an answer into its group; a complete group is added up."""
        ledger, index = answer.submission.ledger, answer.report.index
        place = (ledger, index // GROUP)
        group = self._groups[place]
        group[index] = answer
        self._held.add((ledger, index))
        first = place[1] * GROUP
        if len(group) == min(GROUP, ledger.num_chunks - first):
            self._complete.append(tuple(group[i] for i in sorted(group)))
            del self._groups[place]
            self._start()

    def take(self, ref: Ref) -> Outcome:
        """Fetch the result of a task that has ended."""
        one = self._running.pop(ref)
        self._let_go(one.answers)
        self._start()
        try:
            report: SumReport = fetch(ref)
            total: Vector = fetch(one.total)
        except RayError as error:
            return Outcome(None, one.answers, explain(error))
        if report.total_hash is not None:
            return Outcome(Arrival(one.answers, total, report.total_hash))
        lost = []
        for answer, arrived in zip(one.answers, report.arrived_hashes, strict=True):
            if arrived != answer.report.gradient_hash:
                lost.append(answer)
            elif self.takes(answer.submission.ledger):
                self.add(answer)
        return Outcome(None, lost)

    def next_deadline(self, timeout_s: float) -> float:
        """Time at which the first task is overdue (monotonic seconds)."""
        started = min((one.started for one in self._running.values()), default=float("inf"))
        return started + timeout_s

    def overdue(self, timeout_s: float) -> Sequence[Outcome]:
        """Give up tasks that take too long."""
        now = time.monotonic()
        late = [ref for ref, one in self._running.items() if now - one.started >= timeout_s]
        given_up = [self._running.pop(ref).answers for ref in late]
        for answers in given_up:
            self._let_go(answers)
        self._start()
        return [Outcome(None, each, f"not added up in {timeout_s:g} s") for each in given_up]

    def _let_go(self, answers: Iterable[Answer]) -> None:
        self._held -= {(answer.submission.ledger, answer.report.index) for answer in answers}

    def _start(self) -> None:
        while self._complete and len(self._running) < self._most:
            answers = self._complete.popleft()
            expected = [answer.report.gradient_hash for answer in answers]
            gradients = [answer.submission.gradient for answer in answers]
            num_weights = answers[0].submission.ledger.num_weights
            report, total = cast(
                "tuple[Ref, Ref]", self._task.remote(num_weights, expected, *gradients)
            )
            self._running[report] = _Sum(answers, total, time.monotonic())
