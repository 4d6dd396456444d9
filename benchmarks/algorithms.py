"""Every row of the table of algorithms under one compute budget, compared on unseen classes.

    python -m benchmarks.algorithms --out runs/algorithms                          # built-in glyphs
    python -m benchmarks.algorithms --out runs/algorithms --source omniglot --path DATA/omniglot \
        --target mnist=DATA/mnist --target fashion=DATA/fashion-mnist
    python -m benchmarks.algorithms --out runs/quick --quick                       # some minutes

For every training seed, all rows start from the same joint pre-training and then spend the same
seconds of worker compute (a short run of each row says how many outer steps that is; `average`
spends it on inner steps). Then all initializations, the common start and an untrained one are
adapted to the same unseen classes, each by its own inner loop, with the same numbers of steps. The
share of generated samples in a classifier's batches is the same for all, and 0 % is measured too.
Nothing is chosen by what is measured here: rates are those of `ROWS`, the same for every data set.

What is there already is not computed again, so a broken-off benchmark goes on where it stopped; a
budget is in seconds, so measure on a machine that does nothing else, and look at what was spent.
Printed is a Markdown table per target; means are over training seeds and repetitions, +- is the
standard deviation of the seeds' means, the interval (95 %, Student's t) is over training seeds.
Memory is that of one process which trains two outer steps, beyond what it holds before.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from cluster.config import JobConfig
from cluster.work import open_map
from metagan.algorithms import ALGORITHMS
from metagan.cli.console import Console
from metagan.config import load_config
from metagan.evaluate.downstream import arm_accuracy
from metagan.evaluate.evaluation import ComparisonItem, run_comparison_item, serial_map
from metagan.evaluate.intervals import interval
from metagan.evaluate.kept import KeptResults
from metagan.files import write_json
from metagan.run_folder import RunFolder, environment
from metagan.settings import GanConfig, SourceName
from metagan.sources.cache import open_dataset
from metagan.workflow.evaluate import ITEMS_FOLDER, Target, build_subject
from metagan.workflow.setup import load_run

BASE = {
    "data.image_size": "28",
    "task.unit": "class",
    "gan.conditioning": "sample",
    "gan.family": "flow",
    "inner.steps": "8",
    "inner.optimizer": "adam",
    "inner.lr": "3e-4",
    "outer.optimizer": "adam",
    "outer.lr": "1e-4",
    "outer.anneal": "linear",
    "outer.meta_batch_size": "8",
    "outer.episodes_per_chunk": "4",
    "checkpoint.every_steps": "1000000",
}
ROWS: dict[str, dict[str, str]] = {
    "joint": {"outer.lr": "4e-4", "outer.anneal": "none", "outer.meta_batch_size": "16"},
    # A task is a source domain.
    "average": {"task.unit": "domain", "task.ways": "20", "task.shots": "10"},
    "reptile": {"outer.optimizer": "sgd", "outer.lr": "0.5"},
    "fomaml": {},
    "maml": {},
    "anil": {},
    "meta_sgd": {},
    "imaml": {},
}
PROBE_STEPS = 4
SHARE = 0.5
# The common start among the rows, and what a classifier learns from real samples alone.
START, REAL_ONLY = "start", {"none": "real samples", "classical": "real, augmented"}


def metagan(*arguments: str) -> None:
    """Run the command line, its output in this one."""
    subprocess.run([sys.executable, "-m", "metagan", *arguments], check=True)


def train(run: Path, settings: Mapping[str, str], *, local: bool) -> float:
    """Train unless it is done; returns seconds of worker compute per outer step, without the first.

    The first step of a process pays for what torch loads then.
    """
    wanted = int(settings["outer.steps"])
    folder = RunFolder(run)
    lines = folder.read_lines("metrics.jsonl") if folder.exists() else []
    if len(lines) < wanted:
        resume = ["--resume"] if lines else []
        where = ["--run", str(run), *(["--local"] if local else [])]
        metagan("train", *(f"{k}={v}" for k, v in settings.items()), *where, *resume)
        lines = folder.read_lines("metrics.jsonl")
    spent = [float(line["compute_s"]) for line in lines]
    return statistics.mean(spent[1:] or spent)


def row_settings(row: str, common: Mapping[str, str], start: Path) -> dict[str, str]:
    own = {"algorithm.name": row, "outer.init_from": str(start), "warmup.steps": "0"}
    return {**common, **ROWS[row], **own}


def train_row(
    row: str,
    common: Mapping[str, str],
    start: Path,
    folder: Path,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """A row's run under the budget, with what it cost."""
    settings, budget_s = row_settings(row, common, start), options.budget_s
    run = folder / row
    timed = partial(train, local=options.local)
    # Joint training pays for penalties at every so many outer steps, so it is timed over as many.
    probed = PROBE_STEPS if ALGORITHMS[row].adapts else 1 + GanConfig().penalty_every
    if row == "average":  # One outer step; its inner loops are as long as the budget allows.
        probe = timed(folder / f"probe-{row}", {**settings, "outer.steps": "1"})
        steps = max(1, round(budget_s / probe * int(settings["inner.steps"])))
        settings |= {"inner.steps": str(steps), "outer.steps": "1"}
    else:
        probe = timed(folder / f"probe-{row}", {**settings, "outer.steps": str(probed)})
        settings |= {"outer.steps": str(max(1, round(budget_s / probe)))}
    started = time.perf_counter()
    per_step = timed(run, settings)
    lines = RunFolder(run).read_lines("metrics.jsonl")
    return {
        "outer_steps": len(lines),
        "inner_steps": int(settings["inner.steps"]),
        "compute_s_per_step": per_step,
        "compute_s": sum(float(line["compute_s"]) for line in lines),
        "wall_s": time.perf_counter() - started,
        "memory_mb": training_memory(row, settings, folder / f"memory-{row}"),
    }


def training_memory(row: str, settings: Mapping[str, str], run: Path) -> float:
    """MB that training adds to what a process holds with everything imported and built."""
    kept = run.with_suffix(".json")
    if not kept.exists():
        shutil.rmtree(run, ignore_errors=True)
        steps = "1" if row == "average" else "2"
        overrides = {**settings, "outer.steps": steps}
        command = [sys.executable, "-m", "benchmarks.algorithm_memory", str(run)]
        command += [f"{key}={value}" for key, value in overrides.items()]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        write_json(kept, json.loads(done.stdout.splitlines()[-1]))
    measured = json.loads(kept.read_text(encoding="utf-8"))
    return float(measured["peak_mb"] - measured["idle_mb"])


def compare(
    runs: Mapping[str, Path], target: tuple[str, str] | None, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Quality and accuracy of every initialization on every repetition of a target.

    `runs` has the start, whose settings are those of the comparison: no row's place matters.
    """
    run = load_run(runs[START], JobConfig)
    evaluate = {
        "shots": [options.shots],
        "seeds": max(2, options.repetitions),
        "adapt_steps": options.adapt_steps,
        "mix": [SHARE],
        "generated_per_real": [20],
        "max_classes": options.max_classes,
        "test_per_class": 5,
        "classifier_steps": options.classifier_steps,
        "source_steps": options.source_steps,
    }
    values = run.config.model_dump()
    values["evaluate"] |= evaluate
    config = JobConfig.model_validate(values, strict=False)
    console = Console()
    other = None
    if target is not None:
        name, path = target
        data = type(config.data).model_validate(
            {**config.data.model_dump(), "path": path, "source": "auto"}, strict=False
        )
        opened = open_dataset(data)
        other = Target(opened, tuple(range(opened.num_classes)), name)
    subject = build_subject(
        run,
        config,
        reporter=console,
        target=other,
        baselines={name: path for name, path in runs.items() if name != START},
    )
    items = [
        ComparisonItem(init, steps, repetition, options.shots, SHARE)
        for repetition in range(options.repetitions)
        for init in subject.inits
        for steps in options.adapt_steps
    ]
    rows: list[dict[str, Any]] = []
    for repetition in range(options.repetitions):
        task = subject.draw("test", repetition, options.shots)
        for arm, row in REAL_ONLY.items():
            accuracy = arm_accuracy(task, "scratch", arm, config.evaluate, subject.source)
            found = {"row": row, "adapt_steps": None, "repetition": repetition}
            rows.append({**found, "accuracy": accuracy, "kid": None, "coverage": None})
    measured = len(rows)
    with nullcontext(serial_map) if options.local else open_map(config.cluster) as work:
        kept = KeptResults(work, subject, run.folder.path / ITEMS_FOLDER, tell=console.print)
        for result in kept(run_comparison_item, subject, items):
            item = result.item
            rows.append(
                {
                    "row": START if item.init == "run" else item.init,
                    "adapt_steps": item.adapt_steps,
                    "repetition": item.repetition,
                    "accuracy": result.accuracy,
                    **result.quality,
                }
            )
            console.progress(
                {"stage": f"comparing on {subject.target_name}", "step": len(rows) - measured}
                | {"steps": len(items)}
            )
    return rows


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


def spread(values: Sequence[float], digits: int) -> str:
    """Mean +- standard deviation, where there is one."""
    text = f"{statistics.mean(values):.{digits}f}"
    return f"{text} +- {statistics.stdev(values):.{digits}f}" if len(values) > 1 else text


def cost_table(costs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    lines = [
        "| algorithm | outer steps | inner steps | compute, s/step | compute, s | memory, MB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row, runs in costs.items():
        means = {key: statistics.mean(run[key] for run in runs) for key in runs[0]}
        lines.append(
            f"| {row} | {means['outer_steps']:.0f} | {means['inner_steps']:.0f} | "
            f"{means['compute_s_per_step']:.2f} | {means['compute_s']:.0f} | "
            f"{means['memory_mb']:.0f} |"
        )
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.algorithms",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of runs and results")
    parser.add_argument("--source", default="glyphs", help="layout of the source data")
    parser.add_argument("--path", help="the source data; not needed for glyphs")
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        type=_target,
        metavar="NAME=PATH",
        help="a far target besides the source's own unseen classes; may be repeated",
    )
    parser.add_argument("--rows", default=",".join(ROWS), help="algorithms, by comma")
    parser.add_argument("--start-steps", type=int, default=4000, help="joint steps before all rows")
    parser.add_argument("--budget-s", type=float, default=400.0, help="worker seconds of each row")
    parser.add_argument("--seeds", type=int, default=3, help="training seeds")
    parser.add_argument("--repetitions", type=int, default=2, help="targets drawn per seed")
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--adapt-steps", type=_numbers, default=[0, 1, 5, 10, 40], metavar="LIST")
    parser.add_argument("--max-classes", type=int, default=100)
    parser.add_argument("--classifier-steps", type=int, default=600)
    parser.add_argument("--source-steps", type=int, default=3000)
    parser.add_argument("--local", action="store_true", help="one process at a time, no Ray")
    parser.add_argument("--quick", action="store_true", help="small numbers of everything")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.rows.split(",")) - set(ROWS))
    if unknown:
        parser.error(f"--rows: no algorithm {unknown[0]!r}; there are {', '.join(ROWS)}")
    if options.quick:
        options.start_steps, options.budget_s, options.seeds = 100, 10.0, 1
        options.adapt_steps, options.max_classes, options.repetitions = [0, 5], 20, 1
        options.classifier_steps, options.source_steps = 100, 200
    return options


def made_by(options: argparse.Namespace) -> dict[str, Any]:
    """Commit, machine, versions and options: what a table has to name."""
    here = Path(__file__).resolve().parent
    git = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    found = subprocess.run(git, check=False, capture_output=True, text=True)
    used = {name: str(value) for name, value in vars(options).items()}
    return {"commit": found.stdout.strip() or None, "options": used, **environment()}


def _target(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    if not name or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, path


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    source: SourceName = options.source
    data = {"data.source": source} | ({"data.path": options.path} if options.path else {})
    rows = options.rows.split(",")
    measured: list[dict[str, Any]] = []
    costs: dict[str, list[dict[str, Any]]] = {}
    for seed in range(options.seeds):
        folder = options.out / f"seed-{seed}"
        common = {**BASE, **data, "seed": str(seed)}
        load_config(JobConfig, None, [f"{k}={v}" for k, v in common.items()])  # Before any work.
        start = folder / "start"
        steps = str(options.start_steps)
        train(
            start,
            {**common, "algorithm.name": "joint", "warmup.steps": steps, "outer.steps": steps}
            | {"outer.episodes_per_chunk": "8"},
            local=options.local,
        )
        for row in rows:
            cost = train_row(row, common, start, folder, options)
            costs.setdefault(row, []).append(cost)
        runs = {START: start} | {row: folder / row for row in rows}
        for target in [None, *options.target]:
            name = f"unseen classes of {source}" if target is None else target[0]
            results = compare(runs, target, options)
            measured += [{"seed": seed, "target": name, **result} for result in results]
            written = {"measured": measured, "costs": costs, "made_by": made_by(options)}
            write_json(options.out / "results.json", written)
    print("\n" + cost_table(costs) + "\n")
    for name in dict.fromkeys(m["target"] for m in measured):
        print(markdown(measured, name, range(options.seeds)) + "\n")
    print(json.dumps({"seeds": options.seeds, "budget_s": options.budget_s} | made_by(options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
