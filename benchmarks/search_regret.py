"""How fast a search finds good settings: ASHA and TPE against random at equal budget.

    python -m benchmarks.search_regret --out runs/regret         # about forty minutes
    python -m benchmarks.search_regret --out runs/regret --image docs/images/regret.png

Each search is a `metagan tune` on the built-in glyphs, trial after trial, with a seed of its own;
all get the same outer steps to spend. Random and TPE train every trial to the end; ASHA starts
more trials and stops most. A search's answer at any time is the best trial that was trained to the
end so far; its regret is how much worse its KID (on validation classes, measured as the search
does) is than the best that any search of the same seed found. Seeds fix the targets, so that values
within a seed can be compared. What is there already is not computed again.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SETTINGS = {
    "data.source": "glyphs",
    "data.image_size": "28",
    "data.max_classes_per_domain": "30",
    "task.unit": "class",
    "gan.conditioning": "sample",
    "gan.family": "dcgan",
    "gan.width": "8",
    "gan.discriminator_width": "8",
    "algorithm.name": "joint",
    "warmup.steps": "0",
    "outer.steps": "90",
    "outer.meta_batch_size": "16",
    "outer.episodes_per_chunk": "16",
    "outer.optimizer": "adam",
    "evaluate.shots": "[5]",
    "evaluate.max_classes": "20",
    "evaluate.test_per_class": "5",
    "evaluate.generated_per_real": "[4]",
    "evaluate.mix": "[0.5]",
    "evaluate.source_steps": "300",
    "tune.objective": "kid",
    "tune.repetitions": "2",
    "tune.grace_steps": "30",
    "tune.max_concurrent": "1",
    "tune.confirm_seeds": "0",
}
SPACE = (
    "{outer.lr: {loguniform: [1e-5, 1e-1]}, gan.mode_seeking: {loguniform: [0.003, 1]}, "
    "gan.r1: {loguniform: [0.03, 30]}}"
)
METHODS = {
    "random": {"tune.searcher": "random", "tune.scheduler": "none", "tune.report_every": "90"},
    "TPE": {"tune.searcher": "optuna", "tune.scheduler": "none", "tune.report_every": "90"},
    "ASHA": {"tune.searcher": "random", "tune.scheduler": "asha", "tune.report_every": "30"},
}
#: Trials of ASHA for each whole one in the budget; what it spends beyond that is not counted.
STOPPED = 2
Curve = list[tuple[int, float]]


def searched(method: str, seed: int, out: Path, trials: int) -> dict[str, Any]:
    """`search.json` of a search, run unless it is there."""
    folder = out / f"{method}-{seed}"
    own = {**METHODS[method], "tune.num_trials": str(trials * (STOPPED if method == "ASHA" else 1))}
    if not (folder / "search.json").exists():
        settings = {**SETTINGS, **own, "seed": str(seed), "tune.space": SPACE}
        command = [
            sys.executable,
            "-m",
            "metagan",
            "tune",
            "--out",
            str(folder),
            "--resume",
            "auto",
        ]
        subprocess.run([*command, *(f"{k}={v}" for k, v in settings.items())], check=True)
    found: dict[str, Any] = json.loads((folder / "search.json").read_text())
    return found


def incumbents(search: Mapping[str, Any], budget: int) -> Curve:
    """(outer steps spent, KID of the best fully trained trial) whenever that changes."""
    end = int(SETTINGS["outer.steps"])
    spent, best, curve = 0, float("inf"), []
    for trial in sorted(search["trials"], key=lambda trial: int(trial["order"])):
        spent += int(trial["step"])
        kid = trial["metrics"].get("kid")
        if spent > budget or kid is None or int(trial["step"]) < end:
            continue
        if kid < best:
            best = float(kid)
            curve.append((spent, best))
    return curve


def value_at(curve: Curve, spent: int) -> float | None:
    """The answer's KID after as many outer steps, or None while there is no answer."""
    values = [value for steps, value in curve if steps <= spent]
    return values[-1] if values else None


def regrets(curves: Mapping[str, Curve], at: Sequence[int]) -> dict[str, list[float | None]]:
    """By method, regret at each budget, against the best of all methods at their ends."""
    least = min(curve[-1][1] for curve in curves.values() if curve)
    found = {}
    for name, curve in curves.items():
        values = (value_at(curve, spent) for spent in at)
        found[name] = [None if value is None else value - least for value in values]
    return found


def table(by_seed: Sequence[Mapping[str, Sequence[float | None]]], at: Sequence[int]) -> str:
    """Means over seeds and, in brackets, every seed's value; every second budget."""
    lines = ["| outer steps | " + " | ".join(METHODS) + " |", "|" + " --- |" * (1 + len(METHODS))]
    for index in range(1, len(at), 2):
        cells = [f"{at[index]:,}"]
        for name in METHODS:
            values = [regret[name][index] for regret in by_seed]
            if any(value is None for value in values):
                cells.append("no answer yet")
                continue
            known = [float(value) for value in values if value is not None]
            each = ", ".join(f"{value:.4f}" for value in known)
            cells.append(f"{statistics.mean(known):.4f} ({each})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(
    by_seed: Sequence[Mapping[str, Sequence[float | None]]], at: Sequence[int], image: Path
) -> None:
    """Every seed thin, the mean thick."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for index, name in enumerate(METHODS):
        color = f"C{index}"
        for regret in by_seed:
            known = [(s, r) for s, r in zip(at, regret[name], strict=True) if r is not None]
            if known:
                axes.step(*zip(*known, strict=True), where="post", color=color, alpha=0.3, lw=1)
        columns = list(zip(*(regret[name] for regret in by_seed), strict=True))
        mean = [
            (spent, statistics.mean(float(v) for v in values if v is not None))
            for spent, values in zip(at, columns, strict=True)
            if None not in values
        ]
        axes.step(*zip(*mean, strict=True), where="post", color=color, lw=2.5, label=name)
    axes.set_xlabel("outer steps spent")
    axes.set_ylabel("regret in KID of the best trial so far")
    axes.set_yscale("symlog", linthresh=0.01)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    image.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(image, dpi=120)


def main(arguments: Sequence[str] | None = None) -> int:
    """Search, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search_regret",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the searches")
    parser.add_argument("--seeds", type=int, default=3, help="searches by each method")
    parser.add_argument("--trials", type=int, default=24, help="whole trials in the budget")
    parser.add_argument("--image", type=Path, help="draw the curves here")
    options = parser.parse_args(arguments)
    budget = options.trials * int(SETTINGS["outer.steps"])
    at = [budget * part // options.trials for part in range(1, options.trials + 1)]
    by_seed = []
    for seed in range(options.seeds):
        curves = {
            name: incumbents(searched(name, seed, options.out, options.trials), budget)
            for name in METHODS
        }
        by_seed.append(regrets(curves, at))
    print("\n" + table(by_seed, at))
    if options.image is not None:
        draw(by_seed, at, options.image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
