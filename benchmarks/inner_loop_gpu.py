"""Seconds per episode of a chunk on a GPU, against a plain loop of torch modules and optimizers.

    python -m benchmarks.inner_loop_gpu            # about two minutes on one H100
    python -m benchmarks.inner_loop_gpu --quick

The work and the plain loop are those of `benchmarks.inner_loop`. Three ways do the same episodes:

* plain: one episode after the other, `.backward()` and `torch.optim.SGD` on the GPU;
* vmap: `metagan.core.chunk_gradient`, all episodes of the chunk at once, launched anew;
* replay: the same, its kernels recorded once as a CUDA graph; what a worker does.

Times are wall seconds up to the sum in main memory, drawing the episodes included, medians over
interleaved rounds; ratios are medians of the ratios within a round. Deterministic kernels, float32
without TF32. Operations are counted once by torch's counter on the plain loop (convolutions and
products alone), and compared with a matrix product of 8192 x 8192 in the same precision.
"""

import argparse
import gc
import platform
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.inner_loop import Setup, chunk_of, chunk_sum, make_setup, plain_chunk
from metagan.core.chunks import ChunkKey
from metagan.core.cuda_graphs import Recorder
from metagan.devices import choose_device

#: Family and width of both players; about 50 k, 500 k and 2 M weights.
PAIRS = (("flow", 12), ("dcgan", 8), ("flow", 44), ("dcgan", 36), ("flow", 88))
CHUNKS = (1, 8, 64)
WAYS = ("plain", "vmap", "replay")
#: The plain loop's time per episode does not depend on how many there are.
_PLAIN_EPISODES = 4
Way = Callable[[ChunkKey], Tensor]


def ways_of(setup: Setup, device: torch.device) -> dict[str, Way]:
    """Ways to compute a chunk, one for each column of the table."""
    setup.gan.to(device)
    recorder = Recorder()
    return {
        "plain": lambda chunk: plain_chunk(setup, chunk, device),
        "vmap": lambda chunk: chunk_sum(setup, chunk, device),
        "replay": lambda chunk: chunk_sum(setup, chunk, device, recorder=recorder),
    }


def measure(setup: Setup, episodes: int, rounds: int, device: torch.device) -> list[str]:
    """Cells of a row."""
    ways = ways_of(setup, device)
    counter = FlopCounterMode(display=False)
    with counter:
        ways["plain"](chunk_of(setup, 1, step=0))
    few = min(episodes, _PLAIN_EPISODES)
    first = chunk_of(setup, few, step=0)
    expected = ways["plain"](first)
    memory, setup_s = {}, {}
    for name, way in ways.items():
        gc.collect()  # Recordings of earlier rows.
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        started = time.perf_counter()
        if name != "plain":
            way(chunk_of(setup, episodes, step=0))
        setup_s[name] = time.perf_counter() - started
        memory[name] = (torch.cuda.max_memory_allocated() - before) / 2**20
        error = float((way(first) - expected).norm() / expected.norm())
        if error > 0.1:
            raise RuntimeError(f"{name} differs from the plain loop by {error:.1%}")
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for index in range(rounds):
        for name in WAYS:
            count = few if name == "plain" else episodes
            chunk = chunk_of(setup, count, step=1 + index)
            torch.cuda.synchronize()
            started = time.perf_counter()
            ways[name](chunk)
            times[name].append((time.perf_counter() - started) / count)

    def ratio(name: str) -> str:
        ratios = [b / a for a, b in zip(times[name], times["plain"], strict=True)]
        return f"{statistics.median(ratios):.1f}"

    speed = counter.get_total_flops() / statistics.median(times["replay"]) / 1e12
    return [
        *(f"{1000 * statistics.median(times[name]):.2f}" for name in WAYS),
        ratio("vmap"),
        ratio("replay"),
        f"{speed:.2f}",
        f"{setup_s['replay']:.1f}",
        *(f"{memory[name]:.0f}" for name in WAYS),
    ]


def peak_tflops(device: torch.device) -> float:
    """Peak TFLOP/s of a large float32 matrix product without TF32."""
    a, b = (torch.randn(8192, 8192, device=device) for _ in range(2))
    torch.matmul(a, b)
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(5):
        torch.matmul(a, b)
    torch.cuda.synchronize()
    return 5 * 2 * 8192**3 / (time.perf_counter() - started) / 1e12


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inner_loop_gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="One pair, few rounds.")
    parser.add_argument("--rounds", type=int, default=5, help="Interleaved rounds.")
    parser.add_argument("--pairs", nargs="+", metavar="FAMILY:WIDTH", help="Instead of all.")
    parser.add_argument("--chunks", nargs="+", type=int, help="Episodes per chunk.")
    options = parser.parse_args(arguments)
    device = choose_device("cuda")
    torch.set_num_threads(1)
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, "
        f"Python {platform.python_version()}, one CPU thread; float32 matrix product "
        f"{peak_tflops(device):.0f} TFLOP/s\n"
    )
    heads = ["pair", "weights", "chunk", *(f"{name}, ms/episode" for name in WAYS)]
    heads += ["plain / vmap", "plain / replay", "replay, TFLOP/s", "recording, s"]
    heads += [f"{name}, MB" for name in WAYS]
    print("| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
    pairs = PAIRS[:1] if options.quick else PAIRS
    if options.pairs:
        pairs = tuple((p.split(":")[0], int(p.split(":")[1])) for p in options.pairs)
    for family, width in pairs:
        setup = make_setup(family, width)
        for episodes in options.chunks or ((8,) if options.quick else CHUNKS):
            cells = measure(setup, episodes, options.rounds, device)
            size = f"{setup.layout.size:,}".replace(",", " ")
            row = [f"{family} {width}", size, str(episodes), *cells]
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
