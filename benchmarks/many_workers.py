"""Where the driver's time goes with a thousand workers: the real driver, simulated workers.

    python -m benchmarks.many_workers        # about three minutes

The code that runs is `cluster.runner`'s own, with its queue and ledger. What is simulated is all
beyond it: a worker takes as long for a chunk as one of the recorded durations, scaled to a mean;
Ray's calls take what they were measured to take just before (`benchmarks.driver_costs`), and so do
hashing and adding. The driver's own Python is timed as it runs. A gradient arrives over a network
link of the driver that carries one at a time.

The simulated clock jumps to the next event where the driver would wait. Efficiency is the time of
the same step with a driver that takes no time, over its time; *saturated* is where the driver is
busy for more than 0.9 of a step; *least s/chunk* is how long chunks must take for it not to be.

`reduced by 8` is the same with a reduction by tasks on the workers' nodes: eight gradients of
neighbouring chunks, which are one node of the fixed tree, are hashed and added there, so that the
driver fetches, hashes and adds an eighth (`cluster.reduce_above_mb`). What the tasks take is not
simulated: they run where nothing waits for them but the driver.
"""

import argparse
import heapq
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch

from benchmarks.driver_costs import DriverCosts, measure_costs
from benchmarks.scaling import CPU, noise_run, print_hardware
from cluster import runner as runner_module
from cluster.config import ClusterConfig
from cluster.connect import ray_session
from cluster.pool import Worker
from cluster.runner import RayRunner
from cluster.telemetry import Telemetry
from cluster.worker import WorkerReady
from metagan.chunks import ChunkKey, ChunkReport
from metagan.params import vector_hash
from metagan.tasks import EpisodeKey
from metagan.train import ChunkWorker, plan_step

LINK_GBIT = 10.0
SATURATED = 0.9
TREE = 8


@dataclass(frozen=True)
class Case:
    """What is simulated.

    Attributes:
        workers: How many.
        chunk_s: Mean seconds of a chunk.
        mb: MiB of parameters, and of each gradient.
        reduced: Gradients that are added up before they reach the driver; 1: none.
        chunks_per_worker: In an outer step.
    """

    workers: int
    chunk_s: float
    mb: float
    reduced: int = 1
    chunks_per_worker: int = 4


class World:
    """Simulated time, and all that is beyond the driver."""

    def __init__(
        self, case: Case, costs: DriverCosts, spread: Sequence[float], *, free: bool = False
    ) -> None:
        """`spread` are recorded durations with a mean of one; `free`: the driver takes no time."""
        self.case, self.costs, self.free = case, costs, free
        self.now = self.waited = self.python = 0.0
        self.spent: dict[str, float] = dict.fromkeys(
            ("put", "submit", "wait", "fetch", "hash"), 0.0
        )
        self._spread = spread
        self._answers: list[tuple[float, int, object]] = []
        self._done: dict[object, ChunkReport | None] = {}
        self._number = itertools.count()
        self._mark = time.thread_time()
        # One element stands for all; what its size would cost is added to the clock.
        self.gradient = np.zeros(1, np.float32)
        self.hash = vector_hash(self.gradient)

    def start(self) -> None:
        """What the driver's code takes counts from now on."""
        self._mark = time.thread_time()

    def count_python(self) -> None:
        """Add what the driver's own code has taken since the last call to the clock."""
        mark = time.thread_time()
        if not self.free:
            self.now += mark - self._mark
            self.python += mark - self._mark
        self._mark = mark

    def spend(self, name: str, seconds: float) -> None:
        """The driver's thread is busy with a call of Ray's."""
        self.count_python()
        if not self.free:
            self.now += seconds
            self.spent[name] += seconds
        self._mark = time.thread_time()

    def jump(self, until: float) -> None:
        """The driver waits."""
        self.waited += max(0.0, until - self.now)
        self.now = max(self.now, until)

    def answer_at(self, at: float, chunk: ChunkKey) -> object:
        """The reference of a result that is there from some moment on."""
        ref = object()
        heapq.heappush(self._answers, (at, next(self._number), ref))
        self._done[ref] = ChunkReport(
            step=chunk.step,
            index=chunk.index,
            num_finite=len(chunk.episodes),
            metric_sums={"loss_d": 0.0, "loss_g": 0.0},
            failures=(),
            compute_s=self.case.chunk_s,
            gradient_hash=self.hash,
            params_hash=self.hash,
        )
        return ref

    def duration(self, chunk: ChunkKey) -> float:
        """Seconds that a worker takes for it."""
        return self.case.chunk_s * self._spread[chunk.index % len(self._spread)]

    def wait_for_some(self, refs: Sequence[object], *, timeout_s: float) -> list[object]:
        """As `cluster.connect.wait_for_some`."""
        self.spend("wait", self.costs.wait_for(len(refs)))
        if timeout_s > 0 and self._answers:
            self.jump(self._answers[0][0])
        found = []
        while self._answers and self._answers[0][0] <= self.now:
            found.append(heapq.heappop(self._answers)[2])
        if found:
            self.spend("wait", self.costs.wait_for(len(refs)))
        self._mark = time.thread_time()
        return found

    def fetch(self, ref: object, **_: object) -> Any:
        """As `cluster.remote.fetch`: the small half by its reference, the large one as it is."""
        if ref in self._done:
            self.spend("fetch", self.costs.fetch / 2)
            return self._done.pop(ref)
        link_s = self.case.mb * 2**20 * 8 / (LINK_GBIT * 1e9)
        self.spend("fetch", (self.costs.fetch / 2 + link_s) / self.case.reduced)
        return self.gradient

    def hash_sent(self, _: object) -> str:
        """As `metagan.params.vector_hash`."""
        self.spend("hash", self.costs.hash_mb * self.case.mb / self.case.reduced)
        return self.hash


class SimulatedActor:
    """Takes what `compute` is given one after the other."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._free_at = 0.0
        self.compute = SimpleNamespace(remote=self._compute)

    def _compute(self, _: object, chunk: ChunkKey) -> tuple[object, object]:
        self._world.spend("submit", self._world.costs.submit)
        self._free_at = max(self._free_at, self._world.now) + self._world.duration(chunk)
        return self._world.answer_at(self._free_at, chunk), object()


class SimulatedPool:
    """As `cluster.pool.WorkerPool`, with workers that are ready and stay so."""

    def __init__(self, world: World) -> None:
        ready = WorkerReady(0, "simulated", "", "cpu", torch.__version__, 0.0)
        self.workers = [
            Worker(index, SimulatedActor(world), None, None, 0.0, pid=index, ready=ready)
            for index in range(world.case.workers)
        ]
        self.refs: list[object] = []

    @property
    def ready(self) -> list[Worker]:
        """All, found as the real one finds them."""
        return [worker for worker in self.workers if worker.ready is not None]

    def leave(self, _: object) -> list[Worker]:
        """No node is drained."""
        return []

    def next_deadline(self) -> float:
        """None."""
        return float("inf")

    def check_deadlines(self) -> None:
        """None has passed."""


@contextmanager
def simulated(world: World) -> Iterator[RayRunner]:
    """The runner, with this world around it."""
    config = ClusterConfig(
        num_workers=world.case.workers,
        backup_factor=None,
        heartbeat_timeout_s=1e9,
        chunk_timeout_s=1e9,
    )
    changes = {
        "put": lambda vector, _: vector,
        "wait_for_some": world.wait_for_some,
        "fetch": world.fetch,
        "fetch_large": world.fetch,
        "vector_hash": world.hash_sent,
        "RunMetrics": mock.Mock,
        "DrainNotices": mock.Mock,
    }
    with mock.patch.multiple(runner_module, **changes):
        yield RayRunner(SimulatedPool(world), config, Telemetry())  # type: ignore[arg-type]


def simulate(case: Case, costs: DriverCosts, spread: Sequence[float]) -> str:
    """A row of the table."""
    count = case.workers * case.chunks_per_worker
    ideal = step(World(case, costs, spread, free=True), count).now
    world = step(World(case, costs, spread), count)
    adding = costs.sum_mb * case.mb * count / case.reduced
    seconds = world.now + adding
    busy = (seconds - world.waited) / seconds
    taken = [world.python, *world.spent.values(), adding]
    parts = " | ".join(f"{1000 * part / count:.2f}" for part in taken)
    # The driver's time for a chunk of each worker.
    least = case.workers * sum(taken) / count / SATURATED
    held_mb = case.mb * count / case.reduced
    note = " saturated" if busy > SATURATED else ""
    return (
        f"| {case.workers} | {case.chunk_s:g} | {case.mb:g} | {case.reduced} | {seconds:.1f} "
        f"| {ideal / seconds:.3f} | {busy:.2f}{note} | {least:.2f} "
        f"| {parts} | {held_mb:.0f} |"
    )


def step(world: World, count: int) -> World:
    """An outer step of so many chunks in this world."""
    episodes = (EpisodeKey("domain0/class0", 0),)
    chunks = [ChunkKey(0, index, "reptile", episodes) for index in range(count)]
    case, costs = world.case, world.costs
    with simulated(world) as runner:
        world.start()
        world.spend("put", costs.put_mb * case.mb)
        results, _ = runner.run(world.gradient, chunks)
        world.count_python()
    assert len(results) == count
    return world


def recorded_spread(folder: Path, count: int) -> list[float]:
    """Durations of real chunks of this machine, with a mean of one."""
    run = noise_run(folder / "noise", num_chunks=count, width=8)
    vector = run.layout.flatten(run.initial).numpy().copy()
    tasks, weights = run.source.tasks("train"), run.source.task_weights("train")
    worker = ChunkWorker(run.spec, device=CPU)
    chunks = plan_step(run.spec.config, tasks, weights, 0)
    worker.compute(vector, chunks[0])
    seconds = []
    for chunk in chunks:
        before = time.thread_time()
        worker.compute(vector, chunk)
        seconds.append(time.thread_time() - before)
    mean = statistics.mean(seconds)
    return [value / mean for value in seconds]


def print_costs(costs: DriverCosts, spread: Sequence[float]) -> None:
    print("| of the driver | measured |")
    print("| --- | --- |")
    for text, seconds in (
        ("hand out a chunk", costs.submit),
        *((f"look at {count} references", value) for count, value in costs.wait.items()),
        ("take over a report and a gradient", costs.fetch),
        ("hash a MiB", costs.hash_mb),
        ("add a MiB", costs.sum_mb),
        ("put a MiB", costs.put_mb),
    ):
        print(f"| {text} | {1000 * seconds:.3f} ms |")
    print(
        f"\nrecorded durations of {len(spread)} chunks: {min(spread):.2f} to {max(spread):.2f} of "
        f"their mean; link {LINK_GBIT:g} Gbit/s\n"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.many_workers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workers", nargs="+", type=int, default=[10, 100, 1000])
    parser.add_argument("--seconds", nargs="+", type=float, default=[10.0, 60.0])
    parser.add_argument("--sizes", nargs="+", type=float, default=[0.3, 20.0], help="MiB.")
    parser.add_argument("--recorded", type=int, default=32, help="Chunks whose time is recorded.")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print_hardware()
    with tempfile.TemporaryDirectory() as folder:
        spread = recorded_spread(Path(folder), options.recorded)
    with ray_session(ClusterConfig(num_workers=1)):
        costs = measure_costs()
    print_costs(costs, spread)
    print("| workers | s/chunk | MiB | reduced by | s/step | efficiency | driver busy ", end="")
    print(
        "| least s/chunk | ms/chunk: Python | put | submit | wait | fetch | hash | add | MiB held |"
    )
    print("|" + " --- |" * 16)
    for mb, chunk_s, workers in itertools.product(options.sizes, options.seconds, options.workers):
        case = Case(workers, chunk_s, mb)
        print(simulate(case, costs, spread), flush=True)
        if mb >= 1 and workers >= 100:
            print(simulate(replace(case, reduced=TREE), costs, spread), flush=True)
    print(f"\nload average after: {', '.join(f'{value:.2f}' for value in os.getloadavg())}")


if __name__ == "__main__":
    main()
