"""What a fixed delay (`outer.staleness`) saves where chunks take unequally long.

    python -m benchmarks.staleness            # about two minutes

Workers sleep instead of computing, so that more of them than cores can be told apart: a chunk takes
a time that is drawn from a log-normal distribution by its step and index, with the given spread
(the standard deviation of its logarithm; 0.5 means that one in six takes 1.6 times the median or
more). An outer step waits for its slowest chunk, and for the last round where the number of chunks
is no multiple of the number of workers. Utilisation is the sum of all chunks' times over workers
times wall seconds.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import ray

from benchmarks.scaling import EPISODES_PER_CHUNK, EmptyWorker, noise_run, print_hardware
from cluster.config import ClusterConfig
from cluster.connect import ray_session
from cluster.opening import open_ray_runner
from metagan.chunks import ChunkKey, ChunkReport
from metagan.params import Vector
from metagan.tasks import EpisodeKey
from metagan.workflow.setup import TrainSetup

MEDIAN_S = 0.25
EPISODES = tuple(EpisodeKey("domain0/class0", seed) for seed in range(EPISODES_PER_CHUNK))


def seconds_of(chunk: ChunkKey, spread: float) -> float:
    """How long a chunk takes, whoever has it."""
    return MEDIAN_S * random.Random(f"{chunk.step} {chunk.index}").lognormvariate(0, spread)


def sleeping_worker(spread: float) -> type[EmptyWorker]:
    """Its chunks take time and nothing else."""

    class SleepingWorker(EmptyWorker):
        @ray.method(num_returns=2)
        def compute(self, vector: Vector, chunk: ChunkKey) -> tuple[ChunkReport, Vector]:
            time.sleep(seconds_of(chunk, spread))
            return super().compute(vector, chunk)

    return SleepingWorker


def utilisation(
    run: TrainSetup, *, workers: int, chunks: int, spread: float, staleness: int, steps: int
) -> tuple[float, float]:
    """(seconds per step, utilisation) of some outer steps."""
    plans = [
        [ChunkKey(step, index, "reptile", EPISODES) for index in range(chunks)]
        for step in range(steps)
    ]
    vector = np.zeros(1000, np.float32)
    # Second attempts would be work that nobody asked for.
    config = ClusterConfig(num_workers=workers, backup_factor=None)
    with open_ray_runner(run.spec, config, worker_class=sleeping_worker(spread)) as runner:
        runner.wait_until_ready()
        started = time.perf_counter()
        for step, plan in enumerate(plans):
            upcoming = [(vector, later) for later in plans[step + 1 : step + 1 + staleness]]
            runner.run(vector, plan, upcoming)
        wall_s = time.perf_counter() - started
    work_s = sum(seconds_of(chunk, spread) for plan in plans for chunk in plan)
    return wall_s / steps, work_s / (workers * wall_s)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.staleness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workers", type=int, default=4, help="Workers (default 4).")
    parser.add_argument("--steps", type=int, default=12, help="Outer steps (default 12).")
    options = parser.parse_args(arguments)
    print_hardware()
    print("| workers | chunks | spread | staleness | s/step | utilisation |")
    print("| --- | --- | --- | --- | --- | --- |")
    workers = options.workers
    room = ClusterConfig(num_workers=workers)
    with tempfile.TemporaryDirectory() as folder, ray_session(room):
        run = noise_run(Path(folder) / "noise", num_chunks=1, width=4)
        for chunks in (workers, workers + workers // 2, 4 * workers):
            for spread in (0.0, 0.5):
                for staleness in (0, 1, 2):
                    step_s, busy = utilisation(
                        run,
                        workers=workers,
                        chunks=chunks,
                        spread=spread,
                        staleness=staleness,
                        steps=options.steps,
                    )
                    print(
                        f"| {workers} | {chunks} | {spread:g} | {staleness} | {step_s:.3f} "
                        f"| {busy:.2f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
