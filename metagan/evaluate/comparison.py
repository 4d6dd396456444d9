"""The comparison of initializations, as a table."""

import statistics
from collections.abc import Sequence
from typing import Any

from metagan.evaluate.evaluation import ComparisonResult
from metagan.metrics.intervals import interval, paired_interval

_IN_TABLE = (
    "kid",
    "kid_stderr",
    "fid",
    "fid_n",
    "precision",
    "recall",
    "density",
    "coverage",
    "diversity",
    "copies",
    "extractor_sha256",
)


def mean_quality(
    results: Sequence[ComparisonResult], init: str, adapt_steps: int
) -> dict[str, Any]:
    """Quality of an initialization's samples after so many steps, mean over repetitions.

    `kid_stderr` is the standard error of the mean over repetitions; of a single one, that
    repetition's own. A measure that is defined in no repetition is None.

    Returns:
        The fields of `metagan.metrics.quality.Quality`; nothing if there is no such repetition.
    """
    found = [r.quality for r in results if (r.item.init, r.item.adapt_steps) == (init, adapt_steps)]
    if not found:
        return {}
    mean = dict(found[0])
    for name, first in mean.items():
        values = [quality[name] for quality in found if quality[name] is not None]
        # Counts and the extractor are the same in all repetitions.
        if values and (first is None or isinstance(first, float)):
            mean[name] = statistics.fmean(values)
    kids = [quality["kid"] for quality in found if quality["kid"] is not None]
    if len(kids) > 1:
        mean["kid_stderr"] = statistics.stdev(kids) / len(kids) ** 0.5
    return mean


def comparison_table(results: Sequence[ComparisonResult]) -> list[dict[str, Any]]:
    """A row per initialization and number of steps: mean quality, accuracy with interval.

    Under `run_minus`, how much better the evaluated run's own initialization did after as many
    steps, paired over repetitions: the same targets, latents and classifier starts.
    """
    rows: list[dict[str, Any]] = []
    accuracy = {(r.item.init, r.item.adapt_steps, r.item.repetition): r.accuracy for r in results}
    for init, steps in dict.fromkeys((r.item.init, r.item.adapt_steps) for r in results):
        chosen = [r for r in results if (r.item.init, r.item.adapt_steps) == (init, steps)]
        row: dict[str, Any] = {"init": init, "adapt_steps": steps, "shots": chosen[0].item.shots}
        mean = mean_quality(results, init, steps)
        row |= {name: mean.get(name) for name in _IN_TABLE}
        accuracies = [r.accuracy for r in chosen]
        if len(accuracies) > 1:
            row["accuracy"] = interval(accuracies).to_json()
        else:  # One repetition has a value but no interval.
            row["accuracy"] = {"mean": accuracies[0], "low": None, "high": None, "seeds": 1}
        pairs = [
            (accuracy["run", steps, r.item.repetition], r.accuracy)
            for r in chosen
            if init != "run" and ("run", steps, r.item.repetition) in accuracy
        ]
        if len(pairs) > 1:
            runs, others = zip(*pairs, strict=True)
            row["run_minus"] = paired_interval(runs, others).to_json()
        rows.append(row)
    return rows
