"""Meta-gradients of one GAN pair by metagan, a plain loop and other libraries: equal? how fast?

    python -m benchmarks.peers                        # everything, about half an hour
    python -m benchmarks.peers --quick --json FILE    # a small version of it, three minutes
    python -m benchmarks.peers --parity-only          # no timing, half a minute

Contenders: a plain loop with `torch.autograd.grad` (the reference), nested `torch.func`, metagan's
two paths (one episode after the other, and vmap), and whichever of higher, torchopt, learn2learn
and torchmeta are installed. They are not dependencies of metagan; without any, the rest runs.

Work: a meta-step of 8 tasks, 5 inner steps (a D update, then a G update), 5 shots, 28 x 28
pictures, an unconditional DCGAN pair, the non-saturating loss, SGD. First order is each player's
query gradient at its adapted weights; second order differentiates through the inner loop.

Parity: in float64, with the tasks in uneven chunks whose sums are added and divided by the number
of tasks. The largest difference over all weights, relative to the reference's largest weight, must
be at most 1e-12, or the exit status is 1.

Unrolled by accident: the generator's fast weights are a function of the discriminator's and the
other way round. Unless a library is given fresh aliases of them before every inner step, it takes
total derivatives where the algorithm says partial ones. How wrong and how expensive that is, is
printed; so is detaching the fakes of D's step, which many GAN programs do, and which is cheap.

The peers in an environment of their own, beside metagan's dependencies:

    pip install higher torchopt
    pip install --no-deps torchmeta     # it pins a torch of 2021
    pip install cython setuptools wheel # learn2learn ships C files that are too old; make new ones
    pip download --no-deps --no-binary :all: --no-build-isolation learn2learn
    tar xzf learn2learn-*.tar.gz && cd learn2learn-*/ && rm learn2learn/data/*.c
    cython -3 learn2learn/data/*.pyx && pip install --no-deps --no-build-isolation .

Speed: CPU seconds on one thread in float32, interleaved rounds, medians, and ratios to the plain
loop within a round; operations of products and convolutions as torch counts them (for vmap those of
the loop), per second and as a share of the best rate of a matrix product in the same run. Memory:
what the peak resident size of a fresh process grows by in a meta-step.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.peer_libraries import PEERS, PeerLoop, installed_peers
from benchmarks.peer_measure import Speed, added_memory_mb, environment, measure
from benchmarks.peer_ours import Metagan, PlainLoop, TorchFunc
from benchmarks.peer_parity import (
    TOLERANCE,
    Accident,
    Parity,
    accidents,
    compare,
    mean_of_means_error,
    orders_differ,
    uneven_chunks,
)
from benchmarks.peer_work import REFERENCE, MakeContender, Size, Work, make_work

#: Channels of the first stages; the printed tables give the numbers of weights.
WIDTHS = (8, 40, 84)
PARITY_SIZE = Size(width=8)
NUM_CHUNKS = 3


def contenders() -> dict[str, MakeContender]:
    """Every way to compute the meta-gradient that can run here, by name; the reference first."""
    ours: dict[str, MakeContender] = {
        REFERENCE: PlainLoop,
        "torch.func": TorchFunc,
        "metagan loop": partial(Metagan, vectorised=False),
        "metagan vmap": partial(Metagan, vectorised=True),
    }
    return ours | {
        name: partial(PeerLoop, player=player) for name, player in installed_peers().items()
    }


# --- what is printed -----------------------------------------------------------------------------


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print("\n| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def print_parity(found: Sequence[Parity], report: Mapping[str, Any]) -> None:
    size = report["parity_size"]
    print(
        f"\nParity in float64: {size['tasks']} tasks in chunks of {report['chunks']}, width "
        f"{size['width']}, {report['parity_weights']} weights. First and second order differ by "
        f"{report['orders_differ']:.0%}, so the check can tell them apart; the mean of the chunks' "
        f"means would be {report['mean_of_means_error']:.1%} off."
    )
    print_table(
        ("contender", "order", "relative difference", f"at most {TOLERANCE:g}"),
        [(p.contender, p.order, f"{p.relative:.1e}", "yes" if p.ok else "NO") for p in found],
    )


def print_accidents(found: Sequence[Accident]) -> None:
    print("\nUnrolled by accident: second order without aliases, against the exact meta-gradient.")
    print_table(
        ("contender", "inner loop", "relative difference", "cosine", "time / plain"),
        [
            (a.contender, a.inner, f"{a.relative:.1%}", f"{a.cosine:.3f}", f"{a.time_ratio:.2f}")
            for a in found
        ],
    )


def print_speed(found: Sequence[Speed]) -> None:
    print(f"\nOne meta-step of the pair with {found[0].weights} weights (width {found[0].width}).")
    heads = ("contender", "order", "CPU s", "/ plain", "range", "GFLOP/s", "of peak", "peak MB")
    print_table(
        heads,
        [
            (
                s.contender + (" (picked)" if s.picked else ""),
                s.order,
                f"{s.seconds:.3f}",
                f"{s.ratio:.2f}",
                f"{s.ratio_low:.2f}-{s.ratio_high:.2f}",
                f"{s.gflop_per_s:.1f}",
                f"{s.peak_share:.0%}",
                "-" if s.memory_mb is None else f"{s.memory_mb:.0f}",
            )
            for s in found
        ],
    )


# --- the run -------------------------------------------------------------------------------------


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="The smallest pair, few rounds.")
    parser.add_argument("--parity-only", action="store_true", help="Compare, but measure nothing.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write all numbers there.")
    parser.add_argument("--rounds", type=int, help="Interleaved rounds (default 5, quick 3).")
    parser.add_argument(
        "--widths",
        type=int,
        nargs="+",
        help=f"Pairs to measure (default {WIDTHS}, quick the first).",
    )
    parser.add_argument(
        "--no-memory", action="store_true", help="Leave out memory, which starts many processes."
    )
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def check(
    makers: Mapping[str, MakeContender], size: Size, report: dict[str, Any]
) -> tuple[Work, bool]:
    """Compare, print and report; returns the work and whether all agree."""
    work = make_work(size, torch.float64)
    found = compare(makers, work, num_chunks=NUM_CHUNKS)
    chunks = uneven_chunks(size.tasks, NUM_CHUNKS)
    report |= {
        "tolerance": TOLERANCE,
        "parity_size": asdict(size),
        "parity_weights": work.layout.size,
        "chunks": [part.stop - part.start for part in chunks],
        "orders_differ": orders_differ(work),
        "mean_of_means_error": mean_of_means_error(work, NUM_CHUNKS),
        "parity": [asdict(parity) for parity in found],
    }
    print_parity(found, report)
    return work, all(parity.ok for parity in found)


def measure_all(
    makers: Mapping[str, MakeContender],
    work: Work,
    options: argparse.Namespace,
    report: dict[str, Any],
) -> None:
    rounds = options.rounds or (3 if options.quick else 5)
    wrong = accidents(work, num_tasks=1 if options.quick else 2, rounds=1 if options.quick else 3)
    report["unrolled"] = [asdict(accident) for accident in wrong]
    print_accidents(wrong)
    report["speed"] = []
    for width in options.widths or (WIDTHS[:1] if options.quick else WIDTHS):
        found = measure(makers, Size(width), rounds=rounds, memory=not options.no_memory)
        report["speed"] += [asdict(speed) for speed in found]
        print_speed(found)
    report["matmul_gflop_per_s"] = max(s["gflop_per_s"] / s["peak_share"] for s in report["speed"])
    print(f"\nBest rate of a matrix product: {report['matmul_gflop_per_s']:.0f} GFLOP/s.")


def main(
    arguments: Sequence[str] | None = None,
    *,
    makers: Mapping[str, MakeContender] | None = None,
    parity_size: Size = PARITY_SIZE,
) -> int:
    """Run the benchmark.

    Args:
        arguments: Of the command line.
        makers: Contenders in place of all that can run here.
        parity_size: The meta-step that they are compared on.

    Returns:
        The exit status: 1 if a contender disagrees with the plain loop; then nothing is timed, as
        the times of different work say nothing.
    """
    options = parse(arguments)
    torch.set_num_threads(1)
    makers = contenders() if makers is None else makers
    if options.memory_of:
        print(*added_memory_mb(makers[options.memory_of], Size(*options.widths)))
        return 0
    report: dict[str, Any] = {"environment": environment(list(installed_peers()))}
    print(", ".join(f"{name} {value}" for name, value in report["environment"].items()))
    missing = [name for name in PEERS if name not in installed_peers()]
    if missing:
        print(f"Not installed, so left out: {', '.join(missing)}.")
    work, agree = check(makers, parity_size, report)
    if agree and not options.parity_only:
        measure_all(makers, work, options, report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if not agree:
        print(f"\nA contender differs from the plain loop by more than {TOLERANCE:g}.")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
