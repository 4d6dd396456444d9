"""`metagan demo`: the whole product on built-in data."""

import argparse
import functools
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.config import JobConfig
from metagan.cli.console import Console
from metagan.cli.evaluate import print_tables
from metagan.cli.options import Parser, add_command, add_output, add_overrides
from metagan.config.load import load_config
from metagan.exits import EXIT_DONE, EXIT_INTERRUPTED
from metagan.words import command_line

if TYPE_CHECKING:
    from metagan.evaluate.evaluation import Subject
    from metagan.workflow.setup import LoadedRun

CONFIG = Path(__file__).parent.with_name("workflow") / "glyphs.yaml"

DESCRIPTION = """\
Show everything once, on glyphs that come with the package: train on some
scripts with Ray, adapt to scripts never seen, generate characters, measure
what they are worth to a classifier, and write report.html.

Needs no data and no GPU; takes a few minutes on a laptop. In the run folder an
earlier demo's files are replaced, and all others stay."""


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Register the command."""
    parser = add_command(
        subparsers,
        "demo",
        summary="train, adapt, evaluate and report on built-in data",
        description=DESCRIPTION,
        examples=("metagan demo", "metagan demo --run runs/longer outer.steps=2000"),
    )
    parser.add_argument(
        "--run", type=Path, default=Path("runs/demo"), metavar="DIR", help="default: runs/demo"
    )
    add_output(parser)
    add_overrides(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Train, pre-train jointly, evaluate, report."""
    started = time.perf_counter()
    # Mistakes in settings are reported before torch takes seconds to import.
    config = load_config(JobConfig, CONFIG, args.overrides).config
    from metagan.files import write_json
    from metagan.workflow.adaptation_pictures import write_adaptation_pictures
    from metagan.workflow.demo import claim_folders, joint_config
    from metagan.workflow.evaluate import EVALUATION_FILE
    from metagan.workflow.report import write_report

    joint = args.run / "joint"
    runs = {args.run: config, joint: joint_config(config)}
    claim_folders(runs)
    from cluster.connect import ray_session

    with ray_session(config.cluster):
        titles = (
            f"1/3 meta-learning with {config.algorithm.name}",
            "2/3 the baseline: joint pre-training, equal budget",
        )
        for title, (path, settings) in zip(titles, runs.items(), strict=True):
            console.print(f"\n{title}")
            if not _train(settings, path, console):
                again = command_line("demo", "--run", args.run, program=_program())
                console.print(f"interrupted; start again with: {again}")
                return EXIT_INTERRUPTED
        console.print("\n3/3 adapting to scripts that training never saw, and measuring")
        run, subject, result = _evaluate(args.run, {"joint": joint}, config, console)
    write_json(args.run / EVALUATION_FILE, result)
    write_adaptation_pictures(run, subject)
    report = write_report(args.run, args.run / "report.html", config_model=JobConfig)
    console.print("")
    print_tables(
        result,
        console,
        "accuracy in % on scripts never seen, differences in points with 95 % intervals",
    )
    console.print(
        f"\ndone in {time.perf_counter() - started:.0f} s; open {report} to see the pictures\nnext:"
    )
    for words in (
        ("adapt", "--run", args.run, "--support", "YOUR_PICTURES/", "--out", "adapted"),
        ("generate", "--adapted", "adapted", "--num", 64, "--out", "samples"),
        ("train", "data.path=YOUR_DATA", "--run", "runs/mine"),
    ):
        console.print(f"  {command_line(*words, program=_program())}")
    return EXIT_DONE


def _train(config: JobConfig, path: Path, console: Console) -> bool:
    """Train one of the runs on the Ray that is there; returns whether it was not interrupted."""
    from cluster.opening import open_runner
    from metagan.workflow.train import train_run

    outcome = train_run(
        config,
        path,
        open_runner=functools.partial(open_runner, config=config.cluster),
        reporter=console,
        alone=False,
    )
    return outcome.status != "interrupted"


def _evaluate(
    folder: Path, baselines: Mapping[str, Path], config: JobConfig, console: Console
) -> "tuple[LoadedRun, Subject, dict[str, Any]]":
    from cluster.work import open_map
    from metagan.workflow.evaluate import build_subject, evaluate
    from metagan.workflow.setup import load_run

    with open_map(config.cluster) as work:
        run = load_run(folder, JobConfig)
        subject = build_subject(run, config, reporter=console, baselines=baselines)
        return run, subject, evaluate(run, subject, work=work, reporter=console)


def _program() -> list[str]:
    """Words by which the user can call this command again from the same folder."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return ["python", "-m", "metagan"]
    # `make demo` calls the environment's own, which is not on the user's PATH.
    here = Path.cwd()
    inside = called.is_absolute() and called.is_relative_to(here)
    return [str(called.relative_to(here) if inside else called)]
