"""Every row of the table of algorithms under one compute budget, compared on unseen classes.

    python -m benchmarks.algorithms --out runs/algorithms                          # built-in glyphs
    python -m benchmarks.algorithms --out runs/algorithms --source omniglot --path DATA/omniglot \
        --target mnist=DATA/mnist --target fashion=DATA/fashion-mnist
    python -m benchmarks.algorithms --out runs/quick --quick                       # some minutes

For every training seed, all rows start from the same joint pre-training and then spend the same
seconds of compute: a short run of each row, once for all seeds, says how many outer steps those are
(`average` spends them on inner steps). Then all initializations, the common start and an untrained
one are adapted to the same unseen classes, each by its own inner loop, with the same numbers of
steps. The share of generated samples in a classifier's batches is the same for all, and 0 % is
measured too. Nothing is chosen by what is measured here: rates are those of `ROWS`, the same for
every data set.

What is there already is not computed again, so a broken-off benchmark goes on where it stopped, and
several processes can share one folder, each with some of the seeds, once costs are in it.
Printed is a Markdown table per target; means are over training seeds and repetitions, +- is the
standard deviation of the seeds' means, the interval (95 %, Student's t) is over training seeds.
Costs are those of one process on one core: what benchmarks.algorithm_costs measures.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.algorithm_tables import against, cost_table, markdown
from cluster.config import JobConfig
from cluster.work import open_map
from metagan.cli.console import Console
from metagan.config.algorithms import ALGORITHMS
from metagan.config.image import SourceName
from metagan.config.learning import GanConfig
from metagan.config.load import load_config
from metagan.data.cache import open_dataset
from metagan.evaluate.downstream import arm_accuracy
from metagan.evaluate.evaluation import ComparisonItem, run_comparison_item, serial_map
from metagan.evaluate.kept import KeptResults
from metagan.files import write_json
from metagan.runs.run_folder import RunFolder, environment
from metagan.workflow.evaluate import ITEMS_FOLDER, Target, build_subject
from metagan.workflow.setup import load_run

BASE = {
    "data.image_size": "28",
    "task.unit": "class",
    "gan.conditioning": "sample",
    "gan.family": "flow",
    "gan.width": "12",
    "gan.discriminator_width": "16",
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
COST_ROUNDS = 3
SHARE = 0.5
# The common start among the rows, and what a classifier learns from real samples alone.
START, REAL_ONLY = "start", {"none": "real samples", "classical": "real, augmented"}


def metagan(*arguments: str) -> None:
    """Run the command line, its output in this one."""
    subprocess.run([sys.executable, "-m", "metagan", *arguments], check=True)


def train(run: Path, settings: Mapping[str, str], *, local: bool) -> None:
    """Train unless it is done."""
    folder = RunFolder(run)
    lines = folder.read_lines("metrics.jsonl") if folder.exists() else []
    if len(lines) < int(settings["outer.steps"]):
        where = ["--run", str(run), "--resume", "auto", *(["--local"] if local else [])]
        metagan("train", *(f"{k}={v}" for k, v in settings.items()), *where)


def row_settings(row: str, common: Mapping[str, str], start: Path) -> dict[str, str]:
    own = {"algorithm.name": row, "outer.init_from": str(start), "warmup.steps": "0"}
    return {**common, **ROWS[row], **own}


def budgeted(
    row: str, common: Mapping[str, str], start: Path, options: argparse.Namespace
) -> tuple[dict[str, str], dict[str, Any]]:
    """A row's settings under the budget, and what it costs.

    Costs are measured once, with the start of whichever seed comes first, and kept.
    """
    settings = row_settings(row, common, start)
    # Joint training pays for penalties at every so many outer steps, so it is timed over as many.
    probed = PROBE_STEPS if ALGORITHMS[row].adapts else 1 + GanConfig().penalty_every
    if row == "average":  # One outer step; its inner loops are as long as the budget allows.
        probed = 1
    measured = row_costs({**settings, "outer.steps": str(probed)}, options.out / "costs" / row)
    step_s, inner_steps = measured["step_s"], int(settings["inner.steps"])
    outer_steps = max(1, round(options.budget_s / step_s))
    if row == "average":
        inner_steps, outer_steps = max(1, round(options.budget_s / step_s * inner_steps)), 1
        step_s *= inner_steps / int(settings["inner.steps"])
    settings |= {"inner.steps": str(inner_steps), "outer.steps": str(outer_steps)}
    return settings, {
        "outer_steps": outer_steps,
        "inner_steps": inner_steps,
        "step_s": step_s,
        "total_s": step_s * outer_steps,
        "memory_mb": measured["peak_mb"] - measured["idle_mb"],
    }


def row_costs(settings: Mapping[str, str], run: Path) -> dict[str, float]:
    """The least that `benchmarks.algorithm_costs` finds, each time in a process of its own.

    Other work on the machine makes a step dearer, never cheaper.
    """
    kept = run.with_suffix(".json")
    found = []
    for _ in range(0 if kept.exists() else COST_ROUNDS):
        shutil.rmtree(run, ignore_errors=True)
        command = [sys.executable, "-m", "benchmarks.algorithm_costs", str(run)]
        command += [f"{key}={value}" for key, value in settings.items()]
        # A core of its own, as a worker has.
        alone = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=alone)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    if found:
        write_json(kept, min(found, key=lambda costs: costs["step_s"]))
        shutil.rmtree(run)
    measured: dict[str, float] = json.loads(kept.read_text(encoding="utf-8"))
    return measured


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
    parser.add_argument("--budget-s", type=float, default=400.0, help="seconds of each row")
    parser.add_argument(
        "--seeds", type=_numbers, default=[0, 1, 2], metavar="LIST", help="training seeds, by comma"
    )
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
        options.start_steps, options.budget_s, options.seeds = 100, 10.0, [0]
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
    costs: dict[str, dict[str, Any]] = {}
    for seed in options.seeds:
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
            settings, costs[row] = budgeted(row, common, start, options)
            train(folder / row, settings, local=options.local)
        runs = {START: start} | {row: folder / row for row in rows}
        for target in [None, *options.target]:
            name = f"unseen classes of {source}" if target is None else target[0]
            results = compare(runs, target, options)
            measured += [{"seed": seed, "target": name, **result} for result in results]
            written = {"measured": measured, "costs": costs, "made_by": made_by(options)}
            listed = "-".join(map(str, options.seeds))
            write_json(options.out / f"results-{listed}.json", written)
    print("\n" + cost_table(costs) + "\n")
    for name in dict.fromkeys(m["target"] for m in measured):
        print(markdown(measured, name, options.seeds) + "\n")
        if "joint" in rows and len(options.seeds) > 1:
            print(against(measured, name, "joint") + "\n")
    print(json.dumps({"seeds": options.seeds, "budget_s": options.budget_s} | made_by(options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
