"""Time, arithmetic and memory of the contenders of `benchmarks.peers`, on one thread."""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.memory import peak_mb
from benchmarks.peer_work import ORDERS, REFERENCE, Contender, MakeContender, Size, make_work
from metagan.algorithms import EpisodeInputs
from metagan.chunk_gradient import prefers_vmap

#: Whose operations are counted in place of a contender's own. Vectorised convolutions are grouped,
#: and torch counts the gradient of a grouped weight as many times over as there are groups.
COUNTED_AS = {"metagan vmap": "metagan loop"}


@dataclass(frozen=True)
class Speed:
    """What a meta-step costs.

    Attributes:
        width: Of the pair.
        weights: Of both players.
        order: "first" or "second".
        contender: Its name.
        picked: Whether metagan takes this path for such a chunk on a CPU.
        seconds: CPU seconds, median of the rounds.
        ratio: To the plain loop in the same round, median.
        ratio_low: The smallest of them.
        ratio_high: The largest of them.
        gflop: 1e9 operations of products and convolutions in it.
        gflop_per_s: Those by `seconds`.
        peak_share: That by the best rate of a matrix product.
        memory_mb: What it adds to the peak of a fresh process; None if not measured.
    """

    width: int
    weights: int
    order: str
    contender: str
    picked: bool
    seconds: float
    ratio: float
    ratio_low: float
    ratio_high: float
    gflop: float
    gflop_per_s: float
    peak_share: float
    memory_mb: float | None


def interleaved_seconds(
    contenders: Mapping[str, Contender],
    tasks: Sequence[EpisodeInputs],
    *,
    second_order: bool,
    rounds: int,
) -> dict[str, list[float]]:
    """CPU seconds of the process for one meta-step by contender, one per round.

    CPU seconds and ratios within a round, because other programs may use the machine meanwhile.
    """
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for index in range(rounds):
        # Another one starts each round, so that none always runs on a cache the last one warmed.
        first = index % len(names)
        for name in names[first:] + names[:first]:
            started = time.process_time()
            contenders[name].sum_over(tasks, second_order=second_order)
            seconds[name].append(time.process_time() - started)
    return seconds


def ratios_to(reference: Sequence[float], times: Sequence[float]) -> list[float]:
    """Round by round."""
    return [time / base for time, base in zip(times, reference, strict=True)]


def measure(
    makers: Mapping[str, MakeContender], size: Size, *, rounds: int, memory: bool
) -> list[Speed]:
    """Every contender in both orders on one pair, in float32."""
    work = make_work(size, torch.float32)
    running = {name: make(work) for name, make in makers.items()}
    megabytes = {name: peak_memory_mb(name, size) for name in makers if memory}
    by_vmap = prefers_vmap(work.config.gan, size.side, size.tasks, torch.device("cpu"))
    peak = matmul_gflop_per_s()
    found = []
    for order in ORDERS:
        second_order = order == "second"
        gflop = {
            name: counted_gflop(contender, work.tasks, second_order=second_order)
            for name, contender in running.items()
        }
        gflop |= {
            name: gflop[other]
            for name, other in COUNTED_AS.items()
            if name in gflop and other in gflop
        }
        times = interleaved_seconds(running, work.tasks, second_order=second_order, rounds=rounds)
        # The better of before and after: other programs can only slow a product down.
        peak = max(peak, matmul_gflop_per_s())
        for name in running:
            seconds = statistics.median(times[name])
            ratios = ratios_to(times[REFERENCE], times[name])
            found.append(
                Speed(
                    width=size.width,
                    weights=work.layout.size,
                    order=order,
                    contender=name,
                    picked=name == ("metagan vmap" if by_vmap else "metagan loop"),
                    seconds=seconds,
                    ratio=statistics.median(ratios),
                    ratio_low=min(ratios),
                    ratio_high=max(ratios),
                    gflop=gflop[name],
                    gflop_per_s=gflop[name] / seconds,
                    peak_share=gflop[name] / seconds / peak,
                    memory_mb=megabytes[name][order] if memory else None,
                )
            )
    return found


def counted_gflop(
    contender: Contender, tasks: Sequence[EpisodeInputs], *, second_order: bool
) -> float:
    """1e9 operations of matrix products and convolutions in a meta-step; it also warms up."""
    with FlopCounterMode(display=False) as counter:
        contender.sum_over(tasks, second_order=second_order)
    return counter.get_total_flops() / 1e9


def matmul_gflop_per_s(side: int = 1024, repetitions: int = 12) -> float:
    """The best rate of a square float32 matrix product: the machine's practical peak."""
    a, b = (torch.rand(side, side) for _ in range(2))
    best = float("inf")
    for _ in range(repetitions):
        started = time.process_time()
        torch.mm(a, b)
        best = min(best, time.process_time() - started)
    return 2 * side**3 / best / 1e9


def peak_memory_mb(name: str, size: Size) -> dict[str, float]:
    """Peak resident memory that a meta-step adds to a fresh process, MB, by order."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", "--memory-of", name, f"--widths={size.width}"],
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(zip(ORDERS, map(float, done.stdout.split()), strict=True))


def added_memory_mb(make: MakeContender, size: Size) -> list[float]:
    """What `peak_memory_mb` measures, in this process: for the first order, then the second.

    A meta-step of the smallest networks comes first, as imports and libraries take memory at their
    first use. The peak never sinks; the second order needs more than the first, so its is its own.
    """
    for second_order in (False, True):
        tiny = make_work(Size(width=4, tasks=1, steps=1), torch.float32)
        make(tiny).sum_over(tiny.tasks, second_order=second_order)
    work = make_work(size, torch.float32)
    contender = make(work)
    before = peak_mb()
    peaks = []
    for second_order in (False, True):
        contender.sum_over(work.tasks, second_order=second_order)
        peaks.append(peak_mb() - before)
    return peaks


def environment(peers: Sequence[str]) -> dict[str, str | int | float]:
    """Hardware, versions, day and load, as results are reported with."""
    found: dict[str, str | int | float] = {
        "date": date.today().isoformat(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    for name in peers:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def _cpu_name() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
