"""`EpisodeRunner` on Ray: chunks of an outer step go to whichever worker is free.

A chunk is computed from its key and the parameters alone, so it may be lost, repeated or computed
anywhere; the `Ledger` counts it once. A lost worker is replaced while the others continue. Workers
that would be idle at the end of a step begin with later ones, where those are known already.

Shapes: P weights.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ray.exceptions import RayError, RayTaskError

from cluster.arrivals import Answer, Arrival
from cluster.backup import StepTimes
from cluster.config import ClusterConfig
from cluster.connect import wait_for_some
from cluster.drain import DrainNotices
from cluster.errors import ClusterError
from cluster.heartbeat import Heartbeats
from cluster.in_flight import InFlight, Submission
from cluster.last_words import explain
from cluster.ledger import Ledger, Rejection, Verdict
from cluster.metrics import RunMetrics
from cluster.pool import Worker, WorkerPool
from cluster.reduction import Outcome, Reductions
from cluster.remote import Loss, Ref, fetch, fetch_large, put
from cluster.resources import describe_wait
from cluster.telemetry import Event, Telemetry
from cluster.worker import WorkerFailure
from metagan.core.chunks import ChunkKey, ChunkReport, ChunkResult
from metagan.core.outer_loop import RunnerStats, Upcoming
from metagan.core.params import Vector, vector_hash
from metagan.core.wire import Sent

_EXCEPTION_ATTEMPTS = 2
"""An exception of our own code comes again: a second worker only rules the first one out."""


@dataclass(frozen=True)
class _Account:
    """A step's chunks, and the parameters that they are computed at."""

    ledger: Ledger
    vector: Ref


class RayRunner:
    """Computes chunks on Ray actors; open it with `cluster.opening.open_ray_runner`."""

    def __init__(self, pool: WorkerPool, config: ClusterConfig, telemetry: Telemetry) -> None:
        self.num_workers = config.num_workers
        self._pool, self._config, self._telemetry = pool, config, telemetry
        self._in_flight = InFlight()
        self._exceptions: dict[ChunkKey, int] = {}
        # Steps under way: the one that is waited for, then later ones.
        self._accounts: list[_Account] = []
        # Whether two workers may be at one chunk in this step.
        self._backed_up = False
        self._metrics = RunMetrics()
        self._heartbeats = Heartbeats(config.heartbeat_timeout_s)
        self._drains = DrainNotices()
        self._reductions = Reductions(config)
        self._times = StepTimes(config.backup_factor)
        self._asked_to_stop: Callable[[], bool] = lambda: False

    def run(
        self, vector: Vector, chunks: Sequence[ChunkKey], upcoming: Sequence[Upcoming] = ()
    ) -> tuple[list[ChunkResult], RunnerStats]:
        """See `metagan.core.outer_loop.EpisodeRunner`.

        Raises:
            DataError: If a worker cannot use its data.
            ValueError: What a chunk raised on two workers.
            ClusterError: If no worker comes up, or too many workers or attempts were lost.
        """
        started = time.monotonic()
        known, self._accounts = self._accounts, []
        self._backed_up = False
        self._times = StepTimes(self._config.backup_factor)
        current, *later = accounts = [
            self._account(*step, known) for step in ((vector, chunks), *upcoming)
        ]
        self._accounts = accounts
        self._reductions.keep_only([account.ledger for account in accounts])
        self._in_flight.call_off(lambda submission: self._is_open(submission.ledger))
        try:
            while not current.ledger.complete:
                self._dispatch()
                self._await_one()
        except BaseException:
            self._accounts = []
            raise
        self._accounts = later
        results = current.ledger.results
        stats = self._telemetry.drain(results)
        self._metrics.record(
            results,
            stats,
            workers_ready=len(self._pool.ready),
            wall_s=time.monotonic() - started,
        )
        return results, stats

    def _account(
        self, vector: Vector, chunks: Sequence[ChunkKey], known: Sequence[_Account]
    ) -> _Account:
        """The account of a step, begun now unless it is known already."""
        if vector.dtype != np.float32 or vector.ndim != 1:
            raise ValueError(
                f"parameters of dtype {vector.dtype} and shape {vector.shape}; expected (P,) "
                "float32"
            )
        ledger = Ledger(
            chunks,
            num_weights=len(vector),
            params_hash=vector_hash(vector),
            max_attempts=self._config.max_chunk_attempts,
        )
        for account in known:
            if account.ledger.same_work(ledger):
                return account
        for chunk in chunks:
            self._exceptions.pop(chunk, None)
        self._reductions.consider(ledger, num_bytes=vector.nbytes)
        with self._telemetry.timed("transfer"):
            return _Account(ledger, put(vector, "the parameters"))

    def take_events(self) -> Sequence[Event]:
        """See `metagan.core.outer_loop.EpisodeRunner`."""
        return self._telemetry.take_events()

    def heed(self, asked_to_stop: Callable[[], bool]) -> None:
        """See `metagan.core.outer_loop.EpisodeRunner`."""
        self._asked_to_stop = asked_to_stop

    def wait_until_ready(self, num_workers: int | None = None) -> None:
        """Wait for workers to have their data; `run` does not need it.

        Args:
            num_workers: How many; None: all.

        Raises:
            DataError: If a worker cannot use its data.
            ClusterError: If they do not come up.
        """
        wanted = self.num_workers if num_workers is None else num_workers
        while (num_ready := len(self._pool.ready)) < wanted:
            if self._pool.all_others_unplaced:
                raise ClusterError(
                    f"{num_ready} workers of {wanted} are ready: "
                    f"{describe_wait(self._config, 'cluster.placement_timeout_s')}"
                )
            self._await_one()

    def _dispatch(self) -> None:
        """One chunk to every idle worker; then one more to each, while many wait.

        The last chunks are not sent ahead: they would wait behind a slow worker while others are
        idle.
        """
        ready = self._pool.ready
        alone = len(ready) == 1
        for depth in (0, 1):
            for worker in ready:
                queued = sum(account.ledger.num_queued for account in self._accounts)
                if len(worker.work) != depth or queued <= (len(ready) if depth else 0):
                    continue
                for account in self._accounts:
                    if account.ledger.may_take(worker.index, alone=alone):
                        self._submit(worker, account.ledger.take(worker.index), account)
                        break
        self._back_up(self._accounts[0])

    def _back_up(self, account: _Account) -> None:
        """Give slow chunks to workers that have nothing else to do; each once at a time."""
        idle = [worker for worker in self._pool.ready if not worker.work]
        if not idle:
            return  # As nearly always: what is slow need not be looked for.
        for submission in self._slow(account.ledger)[: len(idle)]:
            worker = idle.pop()
            self._telemetry.event(
                "backup", **submission.place(), reason=f"also given to worker {worker.index}"
            )
            self._submit(worker, submission.chunk, account)
            self._backed_up = True

    def _slow(self, ledger: Ledger) -> list[Submission]:
        """Chunks with one attempt under way that takes far longer than others, slowest first."""
        limit, now = self._times.limit_s, time.monotonic()
        return [
            submission
            for started, submission in self._alone_under_way(ledger)
            if now - started >= limit
        ]

    def _alone_under_way(self, ledger: Ledger) -> list[tuple[float, Submission]]:
        """Chunks of which one attempt is under way and no result has arrived."""
        return [
            (started, submission)
            for started, submission in self._in_flight.alone_under_way(ledger)
            if not self._has(ledger, submission.chunk)
        ]

    def _submit(self, worker: Worker, chunk: ChunkKey, account: _Account) -> None:
        report, gradient = worker.actor.compute.remote(account.vector, chunk)
        self._in_flight.add(report, Submission(worker, chunk, gradient, account.ledger))

    def _await_one(self) -> None:
        """Wait for one thing to happen, at most until the next deadline, and deal with it."""
        self._heed_drains()
        idle = not self._in_flight.busy and not self._reductions.refs
        if idle and self._asked_to_stop():
            raise ClusterError("asked to stop while no worker was up")
        self._heartbeats.ask(self._in_flight.busy)
        deadlines = [
            self._in_flight.next_deadline(self._config.chunk_timeout_s),
            self._reductions.next_deadline(self._config.chunk_timeout_s),
            self._pool.next_deadline(),
            self._heartbeats.next_deadline(),
        ]
        if self._accounts and any(not worker.work for worker in self._pool.ready):
            waiting = [start for start, _ in self._alone_under_way(self._accounts[0].ledger)]
            deadlines.append(min(waiting, default=float("inf")) + self._times.limit_s)
        deadline = min(deadlines)
        with self._telemetry.timed("wait"):
            resolved = wait_for_some(
                [
                    *self._in_flight.refs,
                    *self._pool.refs,
                    *self._heartbeats.refs,
                    *self._reductions.refs,
                ],
                timeout_s=deadline - time.monotonic(),
            )
        for ref in resolved:
            # An earlier one of them may have ended the worker that this one is of.
            if ref in self._in_flight.refs:
                self._receive(ref)
            elif ref in self._reductions.refs:
                self._settle(self._reductions.take(ref))
            elif not self._pool.resolve(ref):
                self._heartbeats.resolve(ref)
        if self._backed_up:
            self._in_flight.call_off(lambda s: not s.ledger.has(s.chunk))
        if time.monotonic() >= deadline:
            self._pool.check_deadlines()
            self._replace_overdue()

    def _heed_drains(self) -> None:
        """Replace workers whose nodes are about to go; they finish what they have begun."""
        for worker in self._pool.leave(self._drains.nodes()):
            for submission in reversed(self._in_flight.withdraw(worker)):
                self._put_back(submission, None)
            if not worker.work:
                self._pool.dismiss(worker)

    def _receive(self, ref: Ref) -> None:
        submission = self._in_flight[ref]
        worker = submission.worker
        home: Ledger | None = None
        gradient: Sent | None = None
        try:
            with self._telemetry.timed("transfer"):
                report: ChunkReport | WorkerFailure = fetch(ref)
                if not isinstance(report, WorkerFailure):
                    home = self._home(submission, report)
                    # What is dropped is not fetched, and what is added up elsewhere stays there.
                    if home and not (self._reductions.takes(home) or self._has(home, report)):
                        gradient = fetch_large(
                            submission.gradient,
                            timeout_s=self._config.chunk_timeout_s,
                            meanwhile=self._drains.nodes,
                        )
        except RayTaskError as error:
            # Raised outside of the worker's own guard, as when the two sides differ in version.
            report = WorkerFailure("error", explain(error), str(error))
        except RayError as error:
            self._lose(worker, Loss.of(error))
            return
        seconds = self._in_flight.answered(ref)
        self._heartbeats.heard(worker)
        if seconds is not None and not isinstance(report, WorkerFailure):
            self._times.add(seconds)
        if worker.leaving and not worker.work:
            self._pool.dismiss(worker)
        if isinstance(report, WorkerFailure):
            self._take_failure(submission, report)
        elif home is None:
            self._drop(submission, "stale")
        elif self._has(home, report):
            self._drop(submission, "duplicate")
        elif gradient is None:
            self._reductions.add(Answer(submission, report))
        else:
            answer = Answer(submission, report)
            self._take_result(Arrival((answer,), gradient, report.gradient_hash))

    def _home(self, submission: Submission, report: ChunkReport) -> Ledger | None:
        """The account of an open step that an answer belongs to, if there is one."""
        for account in self._accounts:
            ledger = account.ledger
            # Sums are made of what was handed out for them: a group waits for all of its own.
            own = ledger is submission.ledger or not self._reductions.takes(ledger)
            if own and ledger.expects(report):
                return ledger
        return None

    def _settle(self, outcome: Outcome) -> None:
        """Take the sum of a group, and queue again the chunks whose gradients were lost."""
        if outcome.arrival is not None:
            self._take_result(outcome.arrival)
        for answer in outcome.lost:
            if outcome.reason is None:
                self._drop(answer.submission, "corrupt")
            else:
                self._put_back(answer.submission, outcome.reason)

    def _has(self, ledger: Ledger, chunk: ChunkKey | ChunkReport) -> bool:
        """True if this chunk's result has arrived, in the ledger or in a group that is added up."""
        return ledger.has(chunk) or self._reductions.has(ledger, chunk)

    def _drop(self, submission: Submission, verdict: Rejection) -> None:
        self._telemetry.event(verdict, **submission.place())
        self._put_back(submission, f"{verdict} result")

    def _is_open(self, ledger: Ledger) -> bool:
        return any(account.ledger is ledger for account in self._accounts)

    def _take_result(self, arrival: Arrival) -> None:
        gradient: Sent | None = arrival.gradient
        found = vector_hash(arrival.gradient)
        for answer in arrival.answers:
            report = answer.report
            # What is in a sum with the right hash was verified before it was added.
            arrived = report.gradient_hash if found == arrival.expected_hash else found
            verdict: Verdict = "stale"
            for account in self._accounts:
                if account.ledger.expects(report):
                    verdict = account.ledger.admit(report, gradient, arrived_hash=arrived)
            if verdict != "accepted":
                self._drop(answer.submission, verdict)
            gradient = None  # The sum counts once.

    def _take_failure(self, submission: Submission, failure: WorkerFailure) -> None:
        if failure.kind == "called_off":
            self._put_back(submission, None)  # Wanted again, as after a step back.
            return
        if not self._is_open(submission.ledger):
            return
        count = self._exceptions.get(submission.chunk, 0) + 1
        self._exceptions[submission.chunk] = count
        if count >= min(_EXCEPTION_ATTEMPTS, self._config.max_chunk_attempts):
            chunk = submission.chunk
            raise failure.to_error(
                f"{submission.worker.where}, chunk {chunk.index} of outer step {chunk.step}, "
                f"attempt {count}"
            )
        self._put_back(submission, failure.message)

    def _replace_overdue(self) -> None:
        overdue = {
            worker: Loss(reason)
            for worker, reason in self._in_flight.overdue(self._config.chunk_timeout_s).items()
        } | {
            worker: Loss(f"no sign of life in {silence:.1f} s", with_node=True)
            for worker, silence in self._heartbeats.silent()
            if worker in self._in_flight.busy
        }
        for outcome in self._reductions.overdue(self._config.chunk_timeout_s):
            self._settle(outcome)
        found = self._pool.probe(overdue) if overdue else {}
        for worker, loss in overdue.items():
            submission = self._in_flight[worker.work[0]]
            probed = replace(loss, reason=f"{loss.reason} ({found[worker]})")
            self._telemetry.event("timeout", **submission.place(), reason=probed.reason)
            self._lose(worker, probed)

    def _lose(self, worker: Worker, loss: Loss) -> None:
        """Replace a worker and queue its chunks again; only the first had been started."""
        lost = self._in_flight.lost(worker)
        for submission in reversed(lost):
            self._put_back(submission, loss.reason if submission is lost[0] else None)
        if worker.leaving:
            self._pool.dismiss(worker)
        else:
            self._pool.replace(worker, loss, during=lost[0].place())

    def _put_back(self, submission: Submission, reason: str | None) -> None:
        ledger = submission.ledger
        if not self._is_open(ledger):
            return
        if self._in_flight.has(ledger, submission.chunk) or self._has(ledger, submission.chunk):
            return  # Another worker is at it, or was faster.
        failed = ledger.put_back(submission.chunk, worker=submission.worker.index, reason=reason)
        if failed is not None and reason is not None:
            self._telemetry.event("retry", **submission.place(), attempt=failed, reason=reason)
