"""Second attempts at chunks whose worker is far slower than the others.

The end of an outer step waits for its slowest chunk. When nothing else is left to do, an idle
worker computes such a chunk a second time; whichever result comes first is counted, and the other
one, which has the same bits, is dropped.

The idea is that of MapReduce's backup tasks (Dean and Ghemawat 2004, section 3.6).
"""

import statistics

# Below this a second attempt costs more than it saves.
_SHORTEST_S = 1.0


class StepTimes:
    """Times of the chunks of one outer step, and the time above which a chunk counts as slow."""

    def __init__(self, factor: float | None, *, shortest_s: float = _SHORTEST_S) -> None:
        """More than `factor` times the median is slow; with None nothing is."""
        self._factor, self._shortest_s = factor, shortest_s
        self._seconds: list[float] = []

    def add(self, seconds: float) -> None:
        """Count a finished chunk."""
        self._seconds.append(seconds)

    @property
    def limit_s(self) -> float:
        """Seconds after which a chunk is slow; infinite before the first one is finished."""
        if self._factor is None or not self._seconds:
            return float("inf")
        return max(self._shortest_s, self._factor * statistics.median(self._seconds))
