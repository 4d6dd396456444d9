"""How long an outer step is held up when a worker's process dies.

    python -m benchmarks.recovery            # about four minutes
    python -m benchmarks.recovery --quick    # about two

Two workers with real data and networks; a chunk takes a second, whatever else the machine does
(it waits). Each round computes a step of four chunks undisturbed, and one in which a worker is
killed (SIGKILL) in the middle of its first chunk. Told are

* noticed: from the kill to the driver's hearing of it,
* replaced: from the kill to the next worker's having its data and networks,
* held up: by how much the step took longer than the undisturbed one of its round.

A killed chunk is computed again from its beginning, by whoever is free first; so a step is held up
by a part of a chunk even if the loss were known at once and nothing had to start.
"""

import argparse
import os
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import ray
import torch

from benchmarks.scaling import EmptyWorker, noise_run, print_hardware
from cluster.config import ClusterConfig
from cluster.connect import ray_session
from cluster.opening import open_ray_runner
from cluster.runner import RayRunner
from cluster.worker import EpisodeWorker, WorkerFailure, WorkerReady
from metagan.chunks import ChunkKey, ChunkReport
from metagan.params import Vector
from metagan.train import plan_step

CHUNK_S = 1.0
NUM_CHUNKS = 4
KILLED_AFTER_S = 0.5


class WaitingWorker(EmptyWorker):
    """Loads what a worker loads, and then waits instead of computing."""

    def load(self) -> WorkerReady | WorkerFailure:
        """As a real worker does."""
        super().load()
        return EpisodeWorker.load(self)

    @ray.method(num_returns=2)
    def compute(self, vector: Vector, chunk: ChunkKey) -> tuple[ChunkReport, Vector]:
        """Zeros, after a second."""
        time.sleep(CHUNK_S)
        return super().compute(vector, chunk)


def step(runner: RayRunner, vector: Vector, chunks: Sequence[ChunkKey]) -> float:
    started = time.monotonic()
    results, _ = runner.run(vector, chunks)
    assert len(results) == len(chunks)
    return time.monotonic() - started


def killed_step(
    runner: RayRunner, vector: Vector, chunks: Sequence[ChunkKey]
) -> tuple[float, float, float]:
    """(seconds to notice, seconds until the next worker was ready, seconds of the step)."""
    pool = runner._pool
    victim = pool.ready[0]
    killed: list[float] = []
    noticed: list[float] = []
    replace = pool.replace

    def noting(*arguments: object, **named: object) -> None:
        noticed.append(time.monotonic())
        replace(*arguments, **named)  # type: ignore[arg-type]

    def kill() -> None:
        assert victim.pid is not None
        killed.append(time.monotonic())
        os.kill(victim.pid, signal.SIGKILL)

    pool.replace = noting  # type: ignore[method-assign]
    threading.Timer(KILLED_AFTER_S, kill).start()
    try:
        seconds = step(runner, vector, chunks)
        runner.wait_until_ready()
    finally:
        pool.replace = replace  # type: ignore[method-assign]
    return noticed[0] - killed[0], time.monotonic() - killed[0], seconds


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recovery",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="Fewer rounds.")
    rounds = 5 if parser.parse_args(arguments).quick else 15
    torch.set_num_threads(1)
    print_hardware()
    config = ClusterConfig(num_workers=2, backup_factor=None, max_worker_restarts=rounds)
    with tempfile.TemporaryDirectory() as folder, ray_session(config):
        run = noise_run(Path(folder) / "noise", num_chunks=NUM_CHUNKS, width=16)
        vector = run.layout.flatten(run.initial).numpy().copy()
        tasks, weights = run.source.tasks("train"), run.source.task_weights("train")
        measured: dict[str, list[float]] = {"noticed": [], "replaced": [], "held up": []}
        with open_ray_runner(run.spec, config, worker_class=WaitingWorker) as runner:
            runner.wait_until_ready()
            for number in range(rounds):
                chunks = plan_step(run.spec.config, tasks, weights, number)
                undisturbed = step(runner, vector, chunks)
                noticed, replaced, seconds = killed_step(runner, vector, chunks)
                for name, value in (
                    ("noticed", noticed),
                    ("replaced", replaced),
                    ("held up", seconds - undisturbed),
                ):
                    measured[name].append(value)
    print(f"{rounds} kills; chunks of {CHUNK_S:g} s, {NUM_CHUNKS} in a step, 2 workers\n")
    print("| after a worker's death | median, s | min | max |")
    print("| --- | --- | --- | --- |")
    for name, values in measured.items():
        print(
            f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |"
        )
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"\nload average after: {load}")


if __name__ == "__main__":
    main()
