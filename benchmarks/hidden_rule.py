"""Ways to adapt, under equal budgets, where the rule of a domain is hidden and only pairs show it.

    python -m benchmarks.hidden_rule --out runs/hidden_rule
    python -m benchmarks.hidden_rule --out runs/hidden_rule --budgets 15 --seeds 1    # some minutes

A domain is a sine wave y = a sin(x + p) whose amplitude a in [0.1, 5] and phase p in [0, pi] are
hidden (the task of Finn et al. 2017, arXiv:1703.03400, section 5.1): 300 waves of 40 points, of
which 60 are measured. Every row trains for the same CPU seconds (a short run says how many outer
steps those are), by `metagan train`, and is measured by `metagan evaluate`, which chooses steps,
rate and closed form for each on validation waves. No row has a discriminator.

What is there already is not computed again. Printed is a Markdown table per budget and number of
shots, see `benchmarks.answers`; every seed has its own waves, split and weights.
"""

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.algorithms import metagan, row_costs, train
from benchmarks.answers import table

COMMON = {
    "data.kind": "vector",
    "data.inputs": "[x]",
    "gan.width": "64",
    "task.unit": "domain",
    "task.shots": "10",
    "task.num_query": "10",
    "warmup.pairs_per_episode": "10",
    "outer.lr": "1e-3",
    "outer.meta_batch_size": "16",
    "outer.episodes_per_chunk": "16",
    "checkpoint.every_steps": "1000000",
}
READS = {"gan.conditioning": "[input, support]"}
ROWS: dict[str, dict[str, str]] = {
    "reads+ridge": {"algorithm.name": "ridge", **READS},
    "ridge": {"algorithm.name": "ridge", "gan.conditioning": "[input]"},
    "reads": {"algorithm.name": "joint", **READS},
    "maml": {
        "algorithm.name": "maml",
        "gan.conditioning": "[input]",
        "inner.steps": "5",
        "inner.lr": "1e-2",
    },
    "joint": {"algorithm.name": "joint", "gan.conditioning": "[input]"},
}
"""The first is the run that others are compared with."""
MEASURED = (
    "evaluate.seeds=2",
    "evaluate.validation_seeds=2",
    "evaluate.adapt_steps=[0, 20, 100]",
    "evaluate.adapt_lr=[1e-3, 1e-2]",
)
PROBE_STEPS = 12


def write_waves(file: Path, seed: int, *, waves: int = 300, points: int = 40) -> None:
    """Waves as a table with the columns domain, label, x and y."""
    rng = np.random.default_rng(seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["domain", "label", "x", "y"])
        for wave in range(waves):
            amplitude, phase = rng.uniform(0.1, 5), rng.uniform(0, np.pi)
            for x in rng.uniform(-5, 5, points):
                y = amplitude * np.sin(x + phase)
                writer.writerow([f"wave {wave:03d}", "point", f"{x:.6f}", f"{y:.6f}"])


def measured(folder: Path, seed: int, budget: float, shots: Sequence[int]) -> Path:
    """Train every row of a seed for so many seconds and evaluate them; the file of numbers."""
    waves = folder / f"waves-{seed}.csv"
    if not waves.exists():
        write_waves(waves, seed)
    place = folder / f"{budget:g}s" / f"seed-{seed}"
    for row, own in ROWS.items():
        settings = {**COMMON, **own, "data.path": str(waves), "seed": str(seed)}
        cost = row_costs({**settings, "outer.steps": str(PROBE_STEPS)}, folder / "costs" / row)
        steps = max(1, round(budget / cost["step_s"]))
        train(place / row, {**settings, "outer.steps": str(steps)}, local=True)
    run, *others = ROWS
    baselines = [f"--baseline={row}={place / row}" for row in others]
    found = place / run / "evaluation.json"
    if not found.exists():
        numbers = ",".join(map(str, shots))
        metagan(*("evaluate", "--run", str(place / run), *baselines, "--shots", numbers), *MEASURED)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, evaluate and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--budgets", type=float, nargs="+", default=[15, 60, 240], metavar="S")
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--shots", type=int, nargs="+", default=[5, 10], metavar="K")
    options = parser.parse_args(arguments)
    for budget in options.budgets:
        files = [
            measured(options.out, seed, budget, options.shots) for seed in range(options.seeds)
        ]
        found = [json.loads(file.read_text()) for file in files]
        for shots in options.shots:
            print(f"\n{budget:g} CPU s of training, {shots} shots, {len(files)} seeds\n")
            print("\n".join(table([each["values"][str(shots)]["rmse"] for each in found])))


if __name__ == "__main__":
    main()
