"""The comparison of initializations, as a table."""

from collections.abc import Sequence
from typing import Any

from metagan.evaluate.evaluation import ComparisonResult
from metagan.evaluate.intervals import interval, paired_interval


def comparison_row(
    results: Sequence[ComparisonResult], init: str, adapt_steps: int
) -> ComparisonResult | None:
    """The first repetition of an initialization at a number of steps."""
    for result in results:
        if (result.item.init, result.item.adapt_steps) == (init, adapt_steps):
            return result
    return None


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
        for name in (
            "kid",
            "fid",
            "precision",
            "recall",
            "density",
            "coverage",
            "diversity",
            "copies",
        ):
            values = [r.quality[name] for r in chosen if r.quality[name] is not None]
            row[name] = sum(values) / len(values) if values else None
        first = chosen[0].quality
        row |= {name: first.get(name) for name in ("kid_stderr", "fid_n", "extractor_sha256")}
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
