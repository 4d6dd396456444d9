"""Times of an outer step that a runner spent, and its events for the failure log."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from metagan.clock import utc_now
from metagan.core.chunks import ChunkResult
from metagan.core.outer_loop import RunnerStats

EventKind = Literal[
    "restart",
    "retry",
    "timeout",
    "backup",
    "drain",
    "duplicate",
    "stale",
    "corrupt",
    "unplaced",
    "waiting",
    "bits",
]
Event = dict[str, object]

_LOG = logging.getLogger(__name__)


class Telemetry:
    """Collects times and events until a step drains them.

    Attributes:
        arithmetic: Of the first worker, once there is one (`metagan.core.arithmetic`).
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._events: list[Event] = []
        self.arithmetic = ""

    @contextmanager
    def timed(self, name: Literal["transfer", "wait"]) -> Iterator[None]:
        """Adds the block's wall-clock seconds to `name`."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name] += time.monotonic() - started

    def event(self, kind: EventKind, **fields: object) -> None:
        """Records something unusual; the fields must be writable as JSON."""
        self._events.append({"kind": kind, "time": utc_now(), **fields})
        described = " ".join(f"{name}={value}" for name, value in fields.items())
        _LOG.warning("%s %s", kind, described)

    def drain(self, results: Sequence[ChunkResult]) -> RunnerStats:
        """Return the statistics of a step with these results, and start afresh."""
        stats = RunnerStats(
            compute_s=sum(result.report.compute_s for result in results),
            transfer_s=self._seconds["transfer"],
            wait_s=self._seconds["wait"],
            events=self.take_events(),
            arithmetic=self.arithmetic,
        )
        self._seconds.clear()
        return stats

    def take_events(self) -> tuple[Event, ...]:
        """The events so far, each once."""
        events = tuple(self._events)
        self._events.clear()
        return events
