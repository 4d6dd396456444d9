"""Efficiency of Ray workers, and overhead of an outer step beside its work.

    python -m benchmarks.scaling            # about five minutes
    python -m benchmarks.scaling --quick    # about two minutes, noisier

Efficiency: the same outer step (first-order Reptile, flow generator, 28 x 28 pictures, chunks of 8
episodes) on W workers takes t(W) seconds; efficiency is t(1) / (W t(W)), 1 if W workers are W times
as fast as one. `local` is the same step in the driver's process, without Ray. All runners are open
at the same time and take turns within a round, so that other load on the machine hits all alike;
the ratios are medians of the ratios within a round. Every worker uses one thread. Ray gives its
workers a lower priority than other processes; here it does not (RAY_worker_niceness=0), because
`local` has none either. `busy` is the share of their time that workers compute, whatever other
processes take of the cores; efficiency needs a machine that is otherwise idle.

Overhead: outer steps whose chunks compute nothing, so that all the time is the driver's and Ray's:
sending parameters, handing out chunks, fetching, checking and counting results; and adding them up.
Then the same with chunks that take a while in which nobody computes, as on other machines or a GPU:
what is left of the overhead when the driver works while it waits. Then both with meta-gradients
sent as bfloat16.
"""

import argparse
import math
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import ray
import torch

from cluster.config import ClusterConfig
from cluster.connect import ray_session
from cluster.opening import open_ray_runner
from cluster.worker import EpisodeWorker, WorkerReady
from metagan.config.learning import WireDtype
from metagan.config.settings import RunConfig
from metagan.core.aggregate import tree_sum
from metagan.core.chunks import ChunkKey, ChunkReport
from metagan.core.outer_loop import EpisodeRunner, RunnerStats, WorkerSpec, plan_step
from metagan.core.params import Vector, vector_hash
from metagan.core.wire import Sent, to_wire
from metagan.data.arrow import prepare as prepare_arrow
from metagan.data.dataset import ClassRecord, Dataset
from metagan.data.tasks import EpisodeKey
from metagan.workflow.setup import TrainSetup, prepare
from metagan.workflow.worker import ChunkWorker, LocalRunner

CPU = torch.device("cpu")
EPISODES_PER_CHUNK = 8
NUM_EMPTY_CHUNKS = 16


class EmptyWorker(EpisodeWorker):
    """Answers with a gradient of zeros, after a while."""

    pause_s = 0.0

    def load(self) -> WorkerReady:
        """Nothing to load."""
        self._hashes: dict[str, str] = {}
        return WorkerReady(os.getpid(), platform.node(), "", "cpu", torch.__version__)

    @ray.method(num_returns=2)
    def compute(self, vector: Vector, chunk: ChunkKey) -> tuple[ChunkReport, Sent]:
        """Zeros and their report."""
        time.sleep(self.pause_s)
        zeros = to_wire(torch.zeros(len(vector)), self._spec.config.outer.wire_dtype)
        # Hashing is a worker's work, so it is done once per size and not timed.
        for name, array in (("zeros", zeros), ("vector", vector)):
            if (key := f"{name} {len(array)}") not in self._hashes:
                self._hashes[key] = vector_hash(array)
        report = ChunkReport(
            step=chunk.step,
            index=chunk.index,
            num_finite=len(chunk.episodes),
            metric_sums={},
            failures=(),
            compute_s=0.0,
            gradient_hash=self._hashes[f"zeros {len(vector)}"],
            params_hash=self._hashes[f"vector {len(vector)}"],
        )
        return report, zeros


class PausingWorker(EmptyWorker):
    """Answers with a gradient of zeros after a tenth of a second."""

    pause_s = 0.1


def noise_run(folder: Path, *, num_chunks: int, width: int) -> TrainSetup:
    """A run on pictures of noise; the time of a step does not depend on what they show."""
    rng = np.random.default_rng(0)
    records = [ClassRecord(f"domain{d}", f"class{c}") for d in range(10) for c in range(10)]
    pictures = {r: rng.integers(0, 256, (20, 1, 28, 28), dtype=np.uint8) for r in records}
    prepare_arrow(Dataset.from_classes(pictures), folder)
    config = RunConfig.model_validate(
        {
            "device": "cpu",
            "data": {"source": "arrow", "path": str(folder)},
            "gan": {"width": width, "discriminator_width": width},
            "outer": {
                "meta_batch_size": num_chunks * EPISODES_PER_CHUNK,
                "episodes_per_chunk": EPISODES_PER_CHUNK,
            },
        }
    )
    return prepare(config)


def seconds(
    runner: EpisodeRunner, vector: Vector, chunks: Sequence[ChunkKey]
) -> tuple[float, RunnerStats]:
    started = time.perf_counter()
    results, stats = runner.run(vector, chunks)
    wall_s = time.perf_counter() - started
    assert len(results) == len(chunks)
    assert not stats.events, stats.events
    return wall_s, stats


def seconds_to_add(
    runner: EpisodeRunner, vector: Vector, chunks: Sequence[ChunkKey]
) -> tuple[float, RunnerStats, float]:
    started = time.perf_counter()
    results, stats = runner.run(vector, chunks)
    wall_s = time.perf_counter() - started
    assert not stats.events, stats.events
    tree_sum([result.gradient_sum for result in results])
    return wall_s, stats, time.perf_counter() - started - wall_s


def print_efficiency(run: TrainSetup, workers: Sequence[int], rounds: int) -> None:
    vector = run.layout.flatten(run.initial).numpy().copy()
    tasks, weights = run.source.tasks("train"), run.source.task_weights("train")
    times: dict[str, list[float]] = {}
    computes: dict[str, list[float]] = {}
    with ExitStack() as stack:
        runners: dict[str, EpisodeRunner] = {
            "local": LocalRunner(ChunkWorker(run.spec, device=CPU))
        }
        for num_workers in workers:
            config = ClusterConfig(num_workers=num_workers)
            runner = stack.enter_context(open_ray_runner(run.spec, config))
            runner.wait_until_ready()
            runners[f"{num_workers}"] = runner
        # The first chunk of a process pays for what torch loads then; every worker gets some.
        for runner in runners.values():
            seconds(runner, vector, plan_step(run.spec.config, tasks, weights, 0))
        for step in range(1, rounds + 1):
            chunks = plan_step(run.spec.config, tasks, weights, step)
            for name, runner in runners.items():
                wall_s, stats = seconds(runner, vector, chunks)
                times.setdefault(name, []).append(wall_s)
                computes.setdefault(name, []).append(stats.compute_s)
    print(
        f"Efficiency: {len(chunks)} chunks of {EPISODES_PER_CHUNK} episodes in an outer step, "
        f"{run.layout.size} weights, {rounds} rounds\n"
    )
    print("| workers | s/step, median | min | sum of compute, s | busy | speed-up | efficiency |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, values in times.items():
        num_workers = 1 if name == "local" else int(name)
        speedup = median_ratio(times["1"], values)
        busy = median_ratio(computes[name], values) / num_workers
        print(
            f"| {name} | {statistics.median(values):.3f} | {min(values):.3f} "
            f"| {statistics.median(computes[name]):.3f} | {busy:.3f} | {speedup:.3f} "
            f"| {speedup / num_workers:.3f} |"
        )


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def print_overhead(
    spec: WorkerSpec,
    sizes_mb: Sequence[float],
    num_workers: int,
    rounds: int,
    worker_class: type[EmptyWorker],
) -> None:
    episodes = tuple(EpisodeKey("domain0/class0", seed) for seed in range(EPISODES_PER_CHUNK))
    vectors = {mb: np.ones(max(1, int(mb * 2**20 / 4)), np.float32) for mb in sizes_mb}
    samples: dict[float, list[tuple[float, RunnerStats, float]]] = {mb: [] for mb in sizes_mb}
    # A second attempt, where other work holds a chunk up, would be measured as overhead.
    config = ClusterConfig(num_workers=num_workers, backup_factor=None)
    with open_ray_runner(spec, config, worker_class=worker_class) as runner:
        runner.wait_until_ready()
        for step in range(rounds + 3):
            for mb, vector in vectors.items():
                chunks = [
                    ChunkKey(step, index, "reptile", episodes) for index in range(NUM_EMPTY_CHUNKS)
                ]
                sample = seconds_to_add(runner, vector, chunks)
                if step >= 3:
                    samples[mb].append(sample)
    # Chunks that pause take this long with a driver that takes no time.
    least_s = worker_class.pause_s * math.ceil(NUM_EMPTY_CHUNKS / num_workers)
    print(
        f"\nOverhead of an outer step of {NUM_EMPTY_CHUNKS} chunks that take "
        f"{worker_class.pause_s:g} s, {num_workers} workers, medians of {rounds} rounds; "
        f"ms/step is beyond {1000 * least_s:g} ms; sent as {spec.config.outer.wire_dtype}\n"
    )
    print("| parameters | ms/step | waiting | sending and fetching | the rest | adding | least |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for mb, taken in samples.items():
        wall = milliseconds(taken, lambda wall_s, *_: wall_s - least_s)
        wait = milliseconds(taken, lambda _, stats, __: stats.wait_s)
        transfer = milliseconds(taken, lambda _, stats, __: stats.transfer_s)
        rest = milliseconds(
            taken, lambda wall_s, stats, _: wall_s - stats.wait_s - stats.transfer_s
        )
        adding = milliseconds(taken, lambda *sample: sample[2])
        least = 1000 * min(wall_s - least_s for wall_s, *_ in taken)
        print(
            f"| {mb:g} MiB | {wall:.1f} | {wait:.1f} | {transfer:.1f} | {rest:.1f} "
            f"| {adding:.1f} | {least:.1f} |"
        )


def milliseconds(
    samples: Sequence[tuple[float, RunnerStats, float]],
    pick: Callable[[float, RunnerStats, float], float],
) -> float:
    return 1000 * statistics.median(pick(*sample) for sample in samples)


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def print_hardware() -> None:
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"{cpu_name()}, {os.cpu_count()} cores; load average before: {load}")
    print(f"ray {ray.__version__}, torch {torch.__version__}, Python {platform.python_version()}\n")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="Fewer rounds, two minutes.")
    parser.add_argument("--overhead", action="store_true", help="Only the overhead.")
    parser.add_argument("--rounds", type=int, help="Interleaved rounds (default 9, quick 3).")
    parser.add_argument(
        "--workers", nargs="+", type=int, default=[1, 2], help="Numbers of workers (default 1 2)."
    )
    parser.add_argument("--chunks", type=int, default=8, help="Chunks per outer step (default 8).")
    parser.add_argument("--width", type=int, default=16, help="Of both networks (default 16).")
    parser.add_argument(
        "--sizes", nargs="+", type=float, default=[0.2, 2.0, 20.0], help="MiB of parameters."
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    rounds = options.rounds or (3 if options.quick else 9)
    workers = sorted({1, *options.workers})
    torch.set_num_threads(1)
    os.environ.setdefault("RAY_worker_niceness", "0")
    print_hardware()
    room = ClusterConfig(num_workers=sum(workers))
    with tempfile.TemporaryDirectory() as folder, ray_session(room):
        run = noise_run(Path(folder) / "noise", num_chunks=options.chunks, width=options.width)
        if not options.overhead:
            print_efficiency(run, workers, rounds)
        for dtype in get_args(WireDtype):
            outer = run.spec.config.outer.model_copy(update={"wire_dtype": dtype})
            config = run.spec.config.model_copy(update={"outer": outer})
            spec = replace(run.spec, config=config)
            print_overhead(spec, options.sizes, max(workers), 10 * rounds, EmptyWorker)
            print_overhead(spec, options.sizes, max(workers), 2 * rounds, PausingWorker)
    print(f"\nload average after: {', '.join(f'{value:.2f}' for value in os.getloadavg())}")


if __name__ == "__main__":
    main()
