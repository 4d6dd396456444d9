"""What is not done on a GPU, and what it would bring: lower precision, sending from GPU memory.

    python -m benchmarks.gpu_options            # about a minute on one H100

Episodes are those of `benchmarks.inner_loop`, replayed from a recording, 64 a chunk. Workers
compute in float32 without TF32; here also with TF32, and with bfloat16 by torch.autocast. The
difference is that of the chunk's sum from float32's. Copies are what a chunk moves between main
memory, from which Ray sends, and the GPU's: the most that a transport out of GPU memory could save
on a node.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from benchmarks.inner_loop import Setup, chunk_of, chunk_sum, make_setup
from metagan.cuda_graphs import Recorder
from metagan.devices import choose_device

PAIRS = (("flow", 12), ("flow", 44), ("dcgan", 36), ("flow", 88))
EPISODES = 64
PRECISIONS = ("float32", "TF32", "bfloat16")


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Convolutions and products in this precision inside the block."""
    tf32 = name == "TF32"
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=name == "bfloat16"):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def timed(ways: dict[str, Callable[[int], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds by way, one per round, interleaved."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for index in range(rounds):
        for name, way in ways.items():
            torch.cuda.synchronize()
            started = time.perf_counter()
            way(index)
            torch.cuda.synchronize()
            times[name].append(time.perf_counter() - started)
    return times


def measure(setup: Setup, rounds: int, device: torch.device) -> list[str]:
    """Cells of a row."""
    recorders = {name: Recorder() for name in PRECISIONS}

    def run(name: str, step: int) -> Tensor:
        with precision(name):
            chunk = chunk_of(setup, EPISODES, step=step)
            return chunk_sum(setup, chunk, device, recorder=recorders[name])

    sums = {name: run(name, 0) for name in PRECISIONS}
    times = timed({name: lambda i, n=name: run(n, 1 + i) for name in PRECISIONS}, rounds)
    cells = []
    for name in PRECISIONS:
        cells.append(f"{1000 * statistics.median(times[name]) / EPISODES:.2f}")
        if name != "float32":
            ratios = [a / b for a, b in zip(times["float32"], times[name], strict=True)]
            error = float((sums[name] - sums["float32"]).norm() / sums["float32"].norm())
            cells += [f"{statistics.median(ratios):.2f}", f"{100 * error:.2f} %"]
    vector = setup.layout.flatten(setup.params)
    there = vector.to(device)
    copies = timed(
        {"up": lambda _: vector.to(device), "down": lambda _: there.cpu()}, max(20, rounds)
    )
    copy_s = sum(statistics.median(times) for times in copies.values())
    share = copy_s / statistics.median(times["float32"])
    return [*cells, f"{1000 * copy_s:.2f}", f"{100 * share:.2f} %"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_options",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5, help="Interleaved rounds.")
    options = parser.parse_args(arguments)
    device = choose_device("cuda")
    torch.set_num_threads(1)
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, "
        f"Python {platform.python_version()}, one CPU thread, {EPISODES} episodes a chunk\n"
    )
    print(
        "| pair | weights | float32, ms/episode | TF32 | times as fast | difference | bfloat16 | "
        "times as fast | difference | copies, ms/chunk | of a chunk |"
    )
    print("|" + " --- |" * 11)
    for family, width in PAIRS:
        setup = make_setup(family, width)
        setup.gan.to(device)
        cells = measure(setup, options.rounds, device)
        print(f"| {family} {width} | {setup.layout.size:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
