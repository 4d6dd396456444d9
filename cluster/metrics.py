"""Metrics of a run for Prometheus, sent through Ray's own.

Ray exports them on every node under `ray_<name>`, counters with `_total` behind; docs/cluster.md
says how to collect and look at them.
"""

from collections.abc import Sequence

from ray.util.metrics import Counter, Gauge, Histogram

from metagan.core.chunks import ChunkResult
from metagan.core.outer_loop import RunnerStats

_CHUNK_SECONDS = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0]
_STEP_SECONDS = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0]

COUNTERS = {
    "metagan_outer_steps": "Outer steps whose chunks are all accounted for.",
    "metagan_chunks_accepted": "Chunks whose result was counted, each once.",
    "metagan_episodes_finite": "Episodes with a finite meta-gradient.",
    "metagan_episodes_failed": "Episodes without one; they are left out.",
    "metagan_events": "Restarts, retries, timeouts, duplicates and the like, by kind.",
    "metagan_driver_seconds": "Seconds of outer steps that the driver spent, by what it did.",
}
GAUGES = {
    "metagan_workers_ready": "Workers that have their data and compute.",
    "metagan_outer_step": "The outer step that was computed last.",
}
HISTOGRAMS = {
    "metagan_chunk_seconds": ("Seconds that a worker computes a chunk.", _CHUNK_SECONDS),
    "metagan_step_seconds": ("Seconds of an outer step, as the driver sees it.", _STEP_SECONDS),
}
_TAGS = {"metagan_events": ("kind",), "metagan_driver_seconds": ("doing",)}


class RunMetrics:
    """Counters, gauges and histograms of a run; the process must have joined Ray."""

    def __init__(self) -> None:
        self._counters = {
            name: Counter(name, text, tag_keys=_TAGS.get(name)) for name, text in COUNTERS.items()
        }
        self._gauges = {name: Gauge(name, text) for name, text in GAUGES.items()}
        self._histograms = {
            name: Histogram(name, text, boundaries=bounds)
            for name, (text, bounds) in HISTOGRAMS.items()
        }

    def record(
        self,
        results: Sequence[ChunkResult],
        stats: RunnerStats,
        *,
        workers_ready: int,
        wall_s: float,
    ) -> None:
        """Count an outer step that is over.

        Args:
            results: Its chunks.
            stats: Its times and events.
            workers_ready: Workers that can compute now.
            wall_s: Seconds it took.
        """
        self._add("metagan_outer_steps", 1)
        self._add("metagan_chunks_accepted", len(results))
        self._add("metagan_episodes_finite", sum(r.report.num_finite for r in results))
        self._add("metagan_episodes_failed", sum(len(r.report.failures) for r in results))
        for event in stats.events:
            self._add("metagan_events", 1, kind=str(event["kind"]))
        other_s = max(0.0, wall_s - stats.transfer_s - stats.wait_s)
        for doing, seconds in (
            ("transfer", stats.transfer_s),
            ("wait", stats.wait_s),
            ("other", other_s),
        ):
            self._add("metagan_driver_seconds", seconds, doing=doing)
        self._gauges["metagan_workers_ready"].set(workers_ready)
        self._gauges["metagan_outer_step"].set(max((r.report.step for r in results), default=0))
        for result in results:
            self._observe("metagan_chunk_seconds", result.report.compute_s)
        self._observe("metagan_step_seconds", wall_s)

    def _add(self, name: str, amount: float, **tags: str) -> None:
        if amount > 0:  # Ray refuses to count nothing.
            self._counters[name].inc(amount, tags)

    def _observe(self, name: str, value: float) -> None:
        # Nor does it take zero in a histogram.
        self._histograms[name].observe(max(value, 1e-6))
