"""The result of a search, measured on test classes, which a search itself never looks at.

    metagan tune -c configs/omniglot-search.yaml data.path=DATA --out runs/search
    python -m benchmarks.search_on_test runs/search --path DATA

The runs that the search trained with fresh seeds at its end, of the best settings and of the given
ones, are adapted to the same targets drawn from the test classes, each by its own inner loop.
Accuracy is that of a classifier trained from scratch on the target's few samples with generated
ones, without and with classical augmentation; the baseline has classical augmentation alone. The
table has means over targets, seed by seed, and the difference of the settings over seeds with its
95 % interval (Student's t). On two cores about a minute a target and run.
"""

import argparse
import json
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.config import JobConfig
from metagan.cli.console import Console
from metagan.config.algorithms import ALGORITHMS
from metagan.config.load import load_config
from metagan.evaluate.downstream import Mix, arm_accuracy
from metagan.evaluate.evaluation import Subject, measure_quality
from metagan.metrics.intervals import interval
from metagan.workflow.evaluate import build_subject
from metagan.workflow.setup import LoadedRun, load_run

COLUMNS = {"kid": 4, "coverage": 3, "generated, %": 1, "both, %": 1, "both - classical": 1}


def subject_of(search: Path, loaded: LoadedRun, given: JobConfig) -> Subject:
    """A run's initialization with the targets and the classifiers of the given settings."""
    kept, own = search / "source_classifier", loaded.folder.path / "source_classifier"
    if kept.is_dir() and not own.exists():
        shutil.copytree(kept, own)
    values: dict[str, Any] = {
        "seed": given.seed,
        "device": given.device,
        "data": given.data,
        "evaluate": given.evaluate,
    }
    return build_subject(loaded, loaded.config.model_copy(update=values), reporter=Console())


def measure(subject: Subject, repetition: int, classical: dict[int, float]) -> dict[str, float]:
    """Metrics on one target, by column.

    The baseline depends on the target alone; `classical` has it by repetition, once computed.
    """
    config, evaluate = subject.config, subject.config.evaluate
    task = subject.draw("test", repetition, evaluate.shots[0])
    steps = config.inner.steps if ALGORITHMS[config.algorithm.name].adapts else 0
    mix = Mix(max(evaluate.mix), max(evaluate.generated_per_real))
    generated = subject.generate(task, init="run", adapt_steps=steps, per_real=mix.per_real)
    quality = measure_quality(subject, task, generated)

    def accuracy(arm: Any) -> float:
        return 100 * arm_accuracy(
            task, "scratch", arm, evaluate, subject.source, generated=generated, mix=mix
        )

    if repetition not in classical:
        classical[repetition] = accuracy("classical")
    both = accuracy("both")
    return {
        "kid": quality["kid"],
        "coverage": quality["coverage"],
        "generated, %": accuracy("generated"),
        "both, %": both,
        "both - classical": both - classical[repetition],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search_on_test",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("search", type=Path, help="folder of the search")
    parser.add_argument("--path", help="the data, if they are not where the search found them")
    parser.add_argument("--repetitions", type=int, default=3, help="targets")
    options = parser.parse_args(arguments)
    search: Path = options.search
    moved = [] if options.path is None else [f"data.path={options.path}"]
    given = load_config(JobConfig, search / "given.yaml", ["device=auto", *moved]).config
    best = load_config(JobConfig, search / "best.yaml", ["device=auto", *moved]).config
    classical: dict[int, float] = {}
    means: dict[str, dict[int, dict[str, float]]] = {"best": {}, "given": {}}
    for run in sorted(path for path in (search / "confirm").iterdir() if path.is_dir()):
        loaded = load_run(run, JobConfig)
        subject, trained = subject_of(search, loaded, given), loaded.config
        name = "best" if trained.inner == best.inner and trained.gan == best.gan else "given"
        found = [measure(subject, index, classical) for index in range(options.repetitions)]
        mean = {key: statistics.mean(row[key] for row in found) for key in COLUMNS}
        means[name][trained.seed] = mean
        print(json.dumps({"settings": name, "seed": trained.seed, **mean}), flush=True)
    print(f"\n| settings | seed | {' | '.join(COLUMNS)} |\n|{' --- |' * (2 + len(COLUMNS))}")
    for name, by_seed in means.items():
        for seed, row in sorted(by_seed.items()):
            cells = [f"{row[key]:.{digits}f}" for key, digits in COLUMNS.items()]
            print(f"| {name} | {seed} | {' | '.join(cells)} |")
    cells = []
    for key, digits in COLUMNS.items():
        both = sorted(means["best"].keys() & means["given"].keys())
        spread = interval([means["best"][seed][key] - means["given"][seed][key] for seed in both])
        cells.append(
            f"{spread.mean:+.{digits}f} [{spread.low:.{digits}f}, {spread.high:.{digits}f}]"
        )
    print(f"| best - given | | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
