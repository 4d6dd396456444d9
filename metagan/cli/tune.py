"""`metagan tune`: search the meta-hyperparameters."""

import argparse
from pathlib import Path
from typing import Any

from cluster.config import JobConfig
from metagan.cli.console import Console
from metagan.cli.options import Parser, add_command, add_output, add_resume, add_settings, count
from metagan.cli.outputs import check_out_folder
from metagan.cli.train import check_inputs
from metagan.config.load import load_config
from metagan.runs.places import folder_in_data
from metagan.words import command_line
from tune.config import SearchJobConfig

DESCRIPTION = """\
Try many settings at once with Ray Tune, each a run of `metagan train` that is
judged on validation classes, stop those that fall behind, and write the best
settings as a file for `metagan train -c`. A section of the settings says what
is searched:

  tune:
    num_trials: 24
    space:
      inner.lr: {loguniform: [1e-4, 3e-3]}
      inner.steps: {randint: [2, 12]}
      algorithm.name: {choice: [reptile, fomaml]}
      gan.r1: {loguniform: [0.1, 10], when: {gan.loss: [hinge]}}

Without tune.space one that fits algorithm.name and outer.optimizer is
searched. At the end the best settings and the given ones are trained with
fresh seeds: that comparison is the result, not the best value of the search.
All of it is put on one page, report.html in --out; `metagan report --search
DIR` writes it again.

A population (tune.scheduler: pbt) changes settings while trials train, and
tune.trackers logs to TensorBoard, MLflow or W&B. `metagan config explain tune`
lists every setting of the section."""

# Trials of seconds: to see everything work.
SMOKE = (
    "data.kind=image",
    "data.source=glyphs",
    "data.path=null",
    "data.image_size=20",
    "gan.width=8",
    "gan.discriminator_width=8",
    "task.unit=class",
    "outer.steps=6",
    "outer.meta_batch_size=4",
    "evaluate.max_classes=20",
    "evaluate.shots=[3]",
    "evaluate.source_steps=60",
    "evaluate.classifier_steps=40",
    "evaluate.quality_samples=100",
    "evaluate.generated_per_real=[5]",
    "tune.num_trials=4",
    "tune.report_every=2",
    "tune.grace_steps=2",
    "tune.repetitions=1",
    "tune.confirm_seeds=1",
)


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Register the command."""
    parser = add_command(
        subparsers,
        "tune",
        summary="search the meta-hyperparameters with Ray Tune",
        description=DESCRIPTION,
        examples=(
            "metagan tune --smoke",
            "metagan tune -c configs/omniglot-search.yaml data.path=DATA --out runs/search",
            "metagan tune -c configs/omniglot-search.yaml --out runs/search --resume",
            "metagan train -c runs/search/best.yaml --run runs/best",
        ),
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the search; default: runs/tune"
    )
    parser.add_argument("--trials", type=count, metavar="N", help="the same as tune.num_trials=N")
    add_resume(
        parser,
        "continue an interrupted search (with auto: if there is one); Ray Tune's own files in "
        "--out are pickles, so only with a folder that you trust",
    )
    parser.add_argument(
        "--smoke", action="store_true", help="four tiny trials on the built-in glyphs"
    )
    add_output(parser)
    add_settings(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Search; see `tune.search`."""
    config = search_settings(args)
    out = args.out or Path("runs") / ("tune-smoke" if args.smoke else "tune")
    check_out_folder(out, new=False)
    started = (out / "tune").is_dir()
    if started and not args.resume and not args.smoke:
        raise SearchExists(
            f"{out} holds a search already; continue it with --resume, or choose another --out"
        )
    if args.resume == "always" and not started:
        raise SearchExists(f"{out} is not a search, so there is nothing to resume")
    check_inputs(config, begun=started)
    if inside := folder_in_data(out, config.data.path):
        console.print(f"note: --out {inside}")
    from tune.search import search

    result = search(config, out, resume=bool(args.resume), reporter=console)
    _show(result, console)
    from metagan.workflow.report import write_search_report

    page = write_search_report(out, out / "report.html", config_model=JobConfig)
    console.print(f"wrote {page}; it opens offline")
    for line in recommendation(out):
        console.print(line)
    return 0


def search_settings(args: argparse.Namespace) -> SearchJobConfig:
    """The settings of a search.

    Raises:
        ConfigError: With every problem found.
    """
    overrides = [*(SMOKE if args.smoke else ()), *args.overrides]
    if args.trials is not None:
        overrides.append(f"tune.num_trials={args.trials}")
    return load_config(SearchJobConfig, args.config, overrides).config


class SearchExists(ValueError):
    """The folder of the search cannot be used as asked."""

    exit_code = 2


def recommendation(out: Path) -> list[str]:
    """Result of the fresh seeds, as on the page, and the settings that it speaks for."""
    from metagan.report.search_load import load_search
    from metagan.report.search_words import advice, headline, outcome_of

    search = load_search(out)
    texts = (headline(search), advice(search, commands="commands on the page"))
    outcome = outcome_of(search)
    kept = outcome.verdict in ("worse", "unclear")
    if outcome.verdict == "one seed" and outcome.change is not None:
        kept = search.sign * outcome.change <= 0
    file, run = ("given.yaml", "runs/given") if kept else ("best.yaml", "runs/best")
    return [
        *(" ".join(text.split()) for text in texts),  # A page breaks no line before a unit.
        f"next: {command_line('train', '-c', out / file, '--run', run)}",
    ]


def _show(result: Any, console: Console) -> None:
    objective, trials = result["objective"], result["trials"]
    keys = sorted({key for trial in trials for key in trial["sample"]})
    rows = [
        [
            trial["id"],
            _number(trial["metrics"].get(objective)),
            str(trial["step"]),
            _ended(trial),
            *(_number(trial["sample"].get(key)) for key in keys),
        ]
        for trial in trials
    ]
    console.table(rows, header=("trial", objective, "steps", "status", *keys))
    for name, values in result["confirmation"].items():
        shown = ", ".join(_number(value) for value in values)
        console.print(f"{name} settings, fresh seeds: {objective} {shown}")


def _ended(trial: Any) -> str:
    times = len(trial["retries"])
    return f"{trial['status']}, {times} x again" if times else str(trial["status"])


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
