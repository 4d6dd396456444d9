"""Are the contenders of `benchmarks.peers` equal, and how far off is a wrong inner loop?

Shapes: P weights of both players.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from benchmarks.peer_libraries import Inner, PeerLoop, installed_peers
from benchmarks.peer_measure import interleaved_seconds, ratios_to
from benchmarks.peer_ours import PlainLoop
from benchmarks.peer_work import ORDERS, REFERENCE, Contender, MakeContender, Work

TOLERANCE = 1e-12


@dataclass(frozen=True)
class Parity:
    """How far a contender is from the plain loop.

    Attributes:
        contender: Its name.
        order: "first" or "second".
        relative: Largest difference over the weights, by the reference's largest weight.
        ok: Whether that is within the tolerance.
    """

    contender: str
    order: str
    relative: float
    ok: bool


def uneven_chunks(num_tasks: int, num_chunks: int) -> list[slice]:
    """Consecutive chunks whose sizes differ by at most one, the larger ones first."""
    sizes = [num_tasks // num_chunks + (i < num_tasks % num_chunks) for i in range(num_chunks)]
    ends = [sum(sizes[:i]) for i in range(num_chunks + 1)]
    return [slice(*ends_of) for ends_of in pairwise(ends)]


def chunk_sums(
    contender: Contender, work: Work, *, num_chunks: int, second_order: bool
) -> list[tuple[Tensor, int]]:
    """(sum of meta-gradients (P,), number of tasks) of each uneven chunk."""
    parts = [work.tasks[where] for where in uneven_chunks(len(work.tasks), num_chunks)]
    return [(contender.sum_over(part, second_order=second_order), len(part)) for part in parts]


def mean_of_sums(sums: Sequence[tuple[Tensor, int]]) -> Tensor:
    """The mean over all tasks, (P,): sums over counts, never a mean of means."""
    return torch.stack([total for total, _ in sums]).sum(0) / sum(count for _, count in sums)


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """Largest absolute difference by the largest absolute value expected."""
    return float((found - expected).abs().max() / expected.abs().max())


def compare(
    makers: Mapping[str, MakeContender], work: Work, *, num_chunks: int = 3
) -> list[Parity]:
    """Every contender in uneven chunks, against the plain loop over all tasks at once."""
    found = []
    for order in ORDERS:
        second_order = order == "second"
        whole = PlainLoop(work).sum_over(work.tasks, second_order=second_order) / len(work.tasks)
        for name, make in makers.items():
            sums = chunk_sums(make(work), work, num_chunks=num_chunks, second_order=second_order)
            relative = relative_difference(mean_of_sums(sums), whole)
            found.append(Parity(name, order, relative, relative <= TOLERANCE))
    return found


def orders_differ(work: Work) -> float:
    """How far the first order is from the second: what a parity check must be able to see."""
    first, second = (
        PlainLoop(work).sum_over(work.tasks, second_order=second_order)
        for second_order in (False, True)
    )
    return relative_difference(first, second)


def mean_of_means_error(work: Work, num_chunks: int = 3) -> float:
    """How far the mean of the uneven chunks' means is from the mean over tasks, second order."""
    sums = chunk_sums(PlainLoop(work), work, num_chunks=num_chunks, second_order=True)
    means = torch.stack([total / count for total, count in sums])
    return relative_difference(means.mean(0), mean_of_sums(sums))


@dataclass(frozen=True)
class Accident:
    """A second-order contender whose inner loop is the wrong one.

    Attributes:
        contender: Its name.
        inner: "unrolled" or "detached", see `peer_libraries.PeerLoop`.
        relative: Largest difference by the reference's largest weight.
        cosine: Of the angle between the two meta-gradients.
        time_ratio: CPU time over that of the plain loop, median of the rounds.
    """

    contender: str
    inner: str
    relative: float
    cosine: float
    time_ratio: float


def accidents(work: Work, *, num_tasks: int, rounds: int) -> list[Accident]:
    """Second-order meta-gradients of the first tasks by inner loops without aliases."""
    tasks = work.tasks[:num_tasks]
    wrong: dict[tuple[str, str], Contender] = {
        (REFERENCE, "unrolled"): PlainLoop(work, aliased=False)
    }
    inners: tuple[Inner, ...] = ("unrolled", "detached")
    for name, player in installed_peers().items():
        for inner in inners:
            wrong[name, inner] = PeerLoop(work, player, inner)
    plain = PlainLoop(work)
    expected = plain.sum_over(tasks, second_order=True)
    every = {REFERENCE: plain} | {" ".join(key): contender for key, contender in wrong.items()}
    seconds = interleaved_seconds(every, tasks, second_order=True, rounds=rounds)
    found = []
    for (name, inner), contender in wrong.items():
        gradient = contender.sum_over(tasks, second_order=True)
        ratios = ratios_to(seconds[REFERENCE], seconds[f"{name} {inner}"])
        cosine = torch.cosine_similarity(gradient, expected, dim=0)
        relative = relative_difference(gradient, expected)
        found.append(Accident(name, inner, relative, float(cosine), statistics.median(ratios)))
    return found
