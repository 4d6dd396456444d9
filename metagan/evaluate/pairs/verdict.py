"""Words for people on what was decided and measured: use the answers or not, because of what."""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from metagan.evaluate.pairs.measures import gain
from metagan.evaluate.pairs.tables import PairGate, bounded, estimate


def gate_json(gate: PairGate, measure: str) -> dict[str, Any]:
    """The gate's decision, as the documents have it."""
    compared = f"{gate.gain:+.4g} ± {gate.stderr:.2g} in {measure}, above 0 is better"
    return {
        "verdict": "use" if gate.opened else "do not use",
        "best_plain_arm": gate.best_plain_arm,
        "measure": measure,
        "gain": gate.gain,
        "stderr": gate.stderr,
        "reason": f"on validation domains, against {gate.best_plain_arm}: {compared}",
    }


def verdict(
    shots: int,
    measure: str,
    gate: PairGate,
    values: Mapping[tuple[int, str, str], Mapping[str, float]],
    *,
    others: int,
) -> str:
    """One sentence: use the answers or do not, because of what, with the numbers on test.

    Args:
        shots: Pairs that were shown.
        measure: What is gone by.
        gate: The decision on validation.
        values: The numbers on test, see `metagan.evaluate.pairs.tables.chosen_values`.
        others: Trained runs that were compared.
    """
    plain, ours = gate.best_plain_arm, values[shots, measure, "run"]
    theirs = values[shots, measure, plain]
    less = estimate([ours[unit] - theirs[unit] for unit in theirs])
    low, high = less["low"], less["high"]
    compared = (
        f"{measure} {fmean(ours.values()):.4f} against {fmean(theirs.values()):.4f} of {plain}, "
        f"{bounded(less, signed=True)}"
    )
    alone = "" if others else "; not compared with other training: --baseline joint=DIR"
    if not gate.opened:
        return (
            f"{shots} shots: do not use it: on validation it was not better than {plain}, which "
            f"needs no generator ({compared} on test)"
        )
    if low is None or low <= 0 <= high:
        shown = "a gain is not shown on test, where the interval holds 0"
        return f"{shots} shots: use it, as validation says, but {shown}: {compared}{alone}"
    if gain(measure, less["mean"], 0.0) > 0:
        return f"{shots} shots: use it: {compared}{alone}"
    return (
        f"{shots} shots: do not use it: validation was for it, but on test it is worse: {compared}"
    )
