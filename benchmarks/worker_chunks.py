"""Milliseconds that a worker takes for one chunk of a run, by its settings, on a CPU or a GPU.

    python -m benchmarks.worker_chunks -c configs/omniglot.yaml data.path=DATA device=cuda

Drawing the episodes, sending the weights and fetching the sum are part of it. On a GPU the table
also says how long the GPU itself computed and how many kernels ran, by torch's profiler: where the
first is far below the whole, the CPU's part is what to shorten.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from cluster.config import JobConfig
from metagan.chunks import ChunkKey
from metagan.config import load_config
from metagan.devices import choose_device, pinned_threads
from metagan.tasks import meta_batch
from metagan.train import ChunkWorker
from metagan.workflow.setup import TrainSetup, prepare


def measure(
    setup: TrainSetup, worker: ChunkWorker, algorithm: str, episodes: int, rounds: int
) -> list[str]:
    """Median and range of a chunk in ms; on a GPU, its own ms and kernels in one chunk."""
    vector = setup.layout.flatten(setup.initial).numpy()

    def chunk(step: int) -> ChunkKey:
        keys = meta_batch(setup.source.tasks("train"), step=step, size=episodes, seed=0)
        return ChunkKey(step, 0, algorithm, tuple(keys))

    times = []
    for step in range(-2, rounds):
        key = chunk(3 + step)
        started = time.perf_counter()
        worker.compute(vector, key)  # Ends with the sum in main memory.
        if step >= 0:
            times.append(1000 * (time.perf_counter() - started))
    cells = [f"{statistics.median(times):.1f} [{min(times):.1f}-{max(times):.1f}]"]
    if not torch.cuda.is_available() or setup.spec.config.device == "cpu":
        return [*cells, "-", "-"]
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        worker.compute(vector, chunk(4))
    kernels = [event for event in seen.key_averages() if event.self_device_time_total > 0]
    busy = sum(event.self_device_time_total for event in kernels) / 1000
    return [*cells, f"{busy:.1f}", str(sum(event.count for event in kernels))]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.worker_chunks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", type=Path, required=True)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--algorithm", nargs="+", default=["joint", "reptile"])
    parser.add_argument("--episodes", nargs="+", type=int, default=[8, 32])
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_intermixed_args(arguments)
    setup = prepare(load_config(JobConfig, options.config, options.settings).config)
    device = choose_device(setup.spec.config.device)
    name = platform.machine() if device.type == "cpu" else torch.cuda.get_device_name()
    print(f"{name}, torch {torch.__version__}, one CPU thread, {setup.layout.size} weights\n")
    heads = ["algorithm", "episodes", "ms per chunk", "GPU's own ms", "kernels"]
    print("| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
    with pinned_threads(1):
        worker = ChunkWorker(setup.spec, device=device)
        for algorithm in options.algorithm:
            for episodes in options.episodes:
                cells = measure(setup, worker, algorithm, episodes, options.rounds)
                print("| " + " | ".join([algorithm, str(episodes), *cells]) + " |", flush=True)


if __name__ == "__main__":
    main()
