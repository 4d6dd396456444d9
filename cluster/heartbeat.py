"""Signs of life: a frozen process or a cut link raises nothing, so busy workers are asked.

A worker answers from a thread of its own, whatever it computes. Silence is told apart from a long
chunk this way, minutes before `cluster.chunk_timeout_s`.
"""

import time
from collections.abc import Collection, Sequence
from typing import Any

from ray.exceptions import RayError

from cluster.pool import Worker
from cluster.remote import Ref, fetch

# How long a worker may say nothing before it is asked, as a share of the time it then has.
_ASKED_AFTER = 1 / 3


class Heartbeats:
    """Asks busy workers, and says which have stopped answering."""

    def __init__(self, timeout_s: float) -> None:
        """`timeout_s` is how long a worker may be silent."""
        self._timeout_s = timeout_s
        # The actor is kept too: an answer of one that was replaced is nobody's.
        self._asked: dict[Worker, tuple[Ref, Any, float]] = {}
        self._heard: dict[Worker, float] = {}

    @property
    def refs(self) -> list[Ref]:
        """References that resolve when a worker answers."""
        return [ref for ref, _, _ in self._asked.values()]

    def ask(self, busy: Collection[Worker]) -> None:
        """Ask those whose last sign of life is a while ago; forget those that are idle."""
        now = time.monotonic()
        self._asked = {
            worker: question
            for worker, question in self._asked.items()
            if worker in busy and worker.actor is question[1]
        }
        self._heard = {worker: at for worker, at in self._heard.items() if worker in busy}
        for worker in busy:
            heard = self._heard.setdefault(worker, now)
            if worker not in self._asked and now - heard >= self._timeout_s * _ASKED_AFTER:
                self._asked[worker] = (worker.actor.ping.remote(), worker.actor, now)

    def resolve(self, ref: Ref) -> bool:
        """Take note of one of `refs` that has resolved; False if it is none of them."""
        for worker, (asked, _, _) in self._asked.items():
            if asked == ref:
                del self._asked[worker]
                try:
                    fetch(ref)
                except RayError:
                    return True  # The chunk that it was at also says so.
                self.heard(worker)
                return True
        return False

    def heard(self, worker: Worker) -> None:
        """Note a sign of life that a worker gave by itself."""
        self._heard[worker] = time.monotonic()

    def silent(self) -> Sequence[tuple[Worker, float]]:
        """Workers that have not answered in time, with the seconds since they were asked."""
        now = time.monotonic()
        return [
            (worker, now - asked)
            for worker, (_, _, asked) in self._asked.items()
            if now - asked >= self._timeout_s
        ]

    def next_deadline(self) -> float:
        """Time at which a worker is to be asked or given up (monotonic seconds)."""
        gives_up = [asked + self._timeout_s for _, _, asked in self._asked.values()]
        asks = [
            heard + self._timeout_s * _ASKED_AFTER
            for worker, heard in self._heard.items()
            if worker not in self._asked
        ]
        return min([*gives_up, *asks], default=float("inf"))
