"""Tables of `benchmarks.algorithms`, as Markdown."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from metagan.metrics.intervals import interval


def markdown(measured: Sequence[Mapping[str, Any]], target: str, seeds: Sequence[int]) -> str:
    """A table of rows and adaptation steps; deviation and interval are over training seeds."""
    lines = [
        f"Target: {target}\n",
        "| initialization | steps | KID | coverage | accuracy, % |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows = [m for m in measured if m["target"] == target]
    for name, steps in dict.fromkeys((m["row"], m["adapt_steps"]) for m in rows):
        chosen = [m for m in rows if (m["row"], m["adapt_steps"]) == (name, steps)]
        by_seed = {
            key: [statistics.mean(m[key] for m in chosen if m["seed"] == seed) for seed in seeds]
            for key in ("kid", "coverage", "accuracy")
            if chosen[0][key] is not None
        }
        kid, coverage = (
            spread(by_seed[key], digits) if key in by_seed else ""
            for key, digits in (("kid", 4), ("coverage", 3))
        )
        accuracies = [100 * value for value in by_seed["accuracy"]]
        text = f"{statistics.mean(accuracies):.1f}"
        if len(accuracies) > 1:
            found = interval(accuracies)
            text += f" [{found.low:.1f}, {found.high:.1f}]"
        cells = [name, "" if steps is None else str(steps), kid, coverage, text]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def against(measured: Sequence[Mapping[str, Any]], target: str, baseline: str) -> str:
    """A table of differences from a baseline's, paired by seed and target, at equal steps."""
    lines = [
        f"Target: {target}, less what `{baseline}` has\n",
        "| initialization | steps | KID | accuracy, points |",
        "| --- | --- | --- | --- |",
    ]
    rows = [m for m in measured if m["target"] == target and m["kid"] is not None]
    base = {(m["adapt_steps"], m["seed"], m["repetition"]): m for m in rows if m["row"] == baseline}
    for name, steps in dict.fromkeys((m["row"], m["adapt_steps"]) for m in rows):
        if name == baseline:
            continue
        differences: dict[str, list[float]] = {"kid": [], "accuracy": []}
        chosen = [m for m in rows if (m["row"], m["adapt_steps"]) == (name, steps)]
        for seed in dict.fromkeys(m["seed"] for m in chosen):
            own = [m for m in chosen if m["seed"] == seed]
            for key, found in differences.items():
                pairs = [m[key] - base[steps, seed, m["repetition"]][key] for m in own]
                found.append(statistics.mean(pairs))
        kid = _with_interval(differences["kid"], 4)
        accuracy = _with_interval([100 * value for value in differences["accuracy"]], 1)
        lines.append(f"| {name} | {steps} | {kid} | {accuracy} |")
    return "\n".join(lines)


def _with_interval(values: Sequence[float], digits: int) -> str:
    found = interval(values)
    return f"{found.mean:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"


def spread(values: Sequence[float], digits: int) -> str:
    """Mean +- standard deviation, where there is one."""
    text = f"{statistics.mean(values):.{digits}f}"
    return f"{text} +- {statistics.stdev(values):.{digits}f}" if len(values) > 1 else text


def cost_table(costs: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        "| algorithm | outer steps | inner steps | s/outer step | seconds | memory, MB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row, cost in costs.items():
        lines.append(
            f"| {row} | {cost['outer_steps']} | {cost['inner_steps']} | {cost['step_s']:.2f} | "
            f"{cost['total_s']:.0f} | {cost['memory_mb']:.0f} |"
        )
    return "\n".join(lines)
