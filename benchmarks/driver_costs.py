"""What one chunk costs the driver, measured: Ray's calls, hashing, adding.

All are seconds of a thread of the driver, the least of several tries: what other processes take of
the machine is no cost of the driver's.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import ray

from metagan.aggregate import tree_sum
from metagan.params import Vector, vector_hash

_MB = 2**20
_NUM_WAITED_FOR = (10, 100, 1000, 4000)
_TRIES = 7


@dataclass(frozen=True)
class DriverCosts:
    """Seconds of the driver.

    Attributes:
        submit: To hand a chunk to a worker.
        wait: {number of references: to look which of them are there}.
        fetch: To take over a chunk's report and gradient from the node's own object store.
        hash_mb: To hash a MiB.
        sum_mb: To add a MiB of one part into a sum of many.
        put_mb: To put a MiB of parameters into the object store.
    """

    submit: float
    wait: dict[int, float]
    fetch: float
    hash_mb: float
    sum_mb: float
    put_mb: float

    def wait_for(self, count: int) -> float:
        """Of a look at any number of references: between those measured, in proportion."""
        numbers = sorted(self.wait)
        return float(np.interp(count, numbers, [self.wait[number] for number in numbers]))


class _Answering:
    """An actor with calls that are never begun, and answers that are there."""

    def idle(self, seconds: float) -> None:
        """Occupy the actor."""
        time.sleep(seconds)

    @ray.method(num_returns=2)
    def compute(self, vector: Vector, size: int) -> tuple[dict[str, float], Vector]:
        """A small answer and a large one."""
        return {"loss": 0.0, "pixels": float(vector[0])}, np.zeros(size, np.float32)


def measure_costs() -> DriverCosts:
    """On the Ray that this process has."""
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal(_MB).astype(np.float32) for _ in range(16)]
    megabytes = 4.0
    hash_mb = _least(lambda: vector_hash(parts[0])) / megabytes
    sum_mb = _least(lambda: tree_sum(parts)) / megabytes / len(parts)
    actor = ray.remote(_Answering).remote()
    vector = ray.put(parts[0])
    ray.get(actor.compute.remote(vector, 1))
    put_mb = _least(lambda: ray.put(parts[0])) / megabytes
    answers = [actor.compute.remote(vector, _MB // 4) for _ in range(_TRIES)]
    ray.wait([ref for pair in answers for ref in pair], num_returns=2 * _TRIES)
    fetch = min(_seconds(lambda pair=pair: [ray.get(ref) for ref in pair]) for pair in answers)
    actor.idle.remote(3600.0)
    waited_for: list[object] = []
    submit, wait = float("inf"), {}
    for count in _NUM_WAITED_FOR:
        while len(waited_for) < count:
            before = time.perf_counter()
            report, _ = actor.compute.remote(vector, 1)
            submit = min(submit, time.perf_counter() - before)
            waited_for.append(report)
        wait[count] = _least(lambda: ray.wait(waited_for, timeout=0, fetch_local=False))
    ray.kill(actor)
    return DriverCosts(submit, wait, fetch, hash_mb, sum_mb, put_mb)


def _least(work: Callable[[], object]) -> float:
    return min(_seconds(work) for _ in range(_TRIES))


def _seconds(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before
