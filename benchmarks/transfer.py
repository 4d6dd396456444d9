"""Sending parameters, taking in meta-gradients and adding them, against copying memory.

    python -m benchmarks.transfer            # about a minute

Every row moves or adds so many MiB and takes so many milliseconds; *of a copy* is its rate over
that of `numpy.copyto` between two arrays of the same size, measured in the same rounds. All are on
one machine: workers and driver share Ray's object store, and no network is between them.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import ray
import torch

from benchmarks.scaling import print_hardware
from cluster.config import ClusterConfig
from cluster.connect import ray_session
from cluster.reduction import GROUP, add_up
from cluster.remote import Ref
from metagan.core.aggregate import tree_sum
from metagan.core.params import Vector, vector_hash
from metagan.core.wire import Sent, to_wire

NUM_CHUNKS = 16
NUM_WORKERS = 2


class _Worker:
    """Has parameters, and answers with gradients."""

    def __init__(self, gradient: Sent) -> None:
        self._gradient = np.array(gradient)

    def look(self, vector: Vector) -> float:
        """Reads all of the parameters once."""
        return float(vector.max())

    def gradient(self) -> Sent:
        """Return a gradient, which Ray puts into the object store."""
        return self._gradient


def rows(mb: float) -> Iterator[tuple[str, float, Callable[[], float]]]:
    """(what is done, MiB of it, seconds of doing it once)."""
    size = int(mb * 2**20 / 4)
    rng = np.random.default_rng(0)
    vector = rng.standard_normal(size).astype(np.float32)
    there = np.empty_like(vector)
    yield "copy memory", mb, lambda: seconds(lambda: np.copyto(there, vector))
    yield "hash", mb, lambda: seconds(lambda: vector_hash(vector))
    yield "put parameters", mb, lambda: seconds(lambda: ray.put(vector))
    sent = {
        "float32": vector,
        "bfloat16": to_wire(torch.from_numpy(vector), "bfloat16"),
    }
    actor = ray.remote(num_cpus=0)(_Worker)
    workers = [actor.remote(vector) for _ in range(NUM_WORKERS)]
    yield (
        f"put them, and {NUM_WORKERS} workers read them",
        mb,
        lambda: seconds(lambda: _broadcast(workers, vector)),
    )
    for dtype, gradient in sent.items():
        worker = actor.remote(gradient)
        yield (
            f"a worker's gradient to the driver, {dtype}",
            gradient.nbytes / 2**20,
            lambda worker=worker: seconds(lambda: ray.get(worker.gradient.remote())),  # type: ignore[misc]
        )
    for dtype, gradient in sent.items():
        parts = [np.array(gradient) for _ in range(NUM_CHUNKS)]
        yield (
            f"add {NUM_CHUNKS} in the driver, {dtype}",
            NUM_CHUNKS * gradient.nbytes / 2**20,
            lambda parts=parts: seconds(lambda: tree_sum(parts)),  # type: ignore[misc]
        )
    for dtype, gradient in sent.items():
        refs = [ray.put(np.array(gradient)) for _ in range(NUM_CHUNKS)]
        expected = [vector_hash(gradient)] * NUM_CHUNKS
        yield (
            f"add {NUM_CHUNKS} by tasks of {GROUP}, {dtype}",
            NUM_CHUNKS * gradient.nbytes / 2**20,
            lambda refs=refs, expected=expected: seconds(  # type: ignore[misc]
                lambda: _reduce(refs, expected, size)
            ),
        )


def _broadcast(workers: Sequence[Ref], vector: Vector) -> None:
    ref = ray.put(vector)
    ray.get([worker.look.remote(ref) for worker in workers])


def _reduce(refs: Sequence[Ref], expected: Sequence[str], size: int) -> None:
    task = ray.remote(add_up).options(num_cpus=0, num_returns=2)
    totals = [
        task.remote(size, expected[start : start + GROUP], *refs[start : start + GROUP])[1]
        for start in range(0, len(refs), GROUP)
    ]
    sums = ray.get(totals)
    for total in sums:
        vector_hash(total)
    tree_sum(sums)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.transfer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", nargs="+", type=float, default=[20.0], help="MiB of parameters.")
    parser.add_argument("--rounds", type=int, default=15, help="Interleaved rounds (default 15).")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print_hardware()
    with ray_session(ClusterConfig(num_workers=NUM_WORKERS)):
        for mb in options.sizes:
            measured = list(rows(mb))
            taken: list[list[float]] = [[] for _ in measured]
            for turn in range(options.rounds + 2):
                for values, (_, _, once) in zip(taken, measured, strict=True):
                    second = once()
                    if turn >= 2:
                        values.append(second)
            print(f"{mb:g} MiB of parameters, medians of {options.rounds} rounds\n")
            print("| what | MiB | ms | least | GiB/s | of a copy |")
            print("| --- | --- | --- | --- | --- | --- |")
            copied = statistics.median(taken[0]) / measured[0][1]
            for values, (text, mebibytes, _) in zip(taken, measured, strict=True):
                median = statistics.median(values)
                print(
                    f"| {text} | {mebibytes:g} | {1000 * median:.2f} | {1000 * min(values):.2f} "
                    f"| {mebibytes / 1024 / median:.1f} | {copied * mebibytes / median:.2f} |"
                )


if __name__ == "__main__":
    main()
