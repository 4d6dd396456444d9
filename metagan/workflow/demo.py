"""Everything once, on built-in data: train, pre-train jointly, evaluate, report."""

import argparse
import functools
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metagan.checkpoint import MANIFEST, delete_checkpoint, list_checkpoints
from metagan.cli.console import command_line
from metagan.cli.context import EXIT_INTERRUPTED, Context
from metagan.config import load_config, to_yaml
from metagan.files import sha256_of, write_bytes, write_json
from metagan.run_folder import RunError, RunFolder
from metagan.settings import RunConfig
from metagan.workflow.adaptation_pictures import write_adaptation_pictures
from metagan.workflow.evaluate import EVALUATION_FILE, build_subject, evaluate
from metagan.workflow.evaluation_tables import (
    HEADER,
    comparison_header,
    comparison_rows,
    evaluation_rows,
)
from metagan.workflow.report import write_report
from metagan.workflow.setup import load_run
from metagan.workflow.train import train_run

MARKER = "demo.txt"
CONFIG = Path(__file__).with_name("glyphs.yaml")

# What a demo writes besides checkpoints; whatever else lies in its folder is the user's. What it
# keeps of evaluations stays as well: hashes name it, so that it is found again or not at all.
_WRITTEN = (
    "config.yaml",  # First: from then on the folder is no run.
    "splits.json",
    "data.json",
    "environment.json",
    "command.txt",
    "metrics.jsonl",
    "failures.jsonl",
    "events.out.tfevents.*",
    "checkpoints/LATEST",
    "checkpoints/BEST",
    "samples/step-*.png",
    "samples/adaptation/index.json",
    "samples/adaptation/[0-9][0-9]-*.png",
    EVALUATION_FILE,
    "report.html",
)


def joint_config(config: RunConfig) -> RunConfig:
    """Joint pre-training at the same budget: as many samples through the networks.

    An inner step shows `inner.batch_size` samples to every episode; a joint step shows
    `warmup.pairs_per_episode` samples of each of its episodes.
    """
    meta_steps = config.outer.steps - config.warmup.steps
    meta_samples = (
        meta_steps * config.outer.meta_batch_size * config.inner.steps * config.inner.batch_size
    )
    joint_samples = config.warmup.episodes * config.warmup.pairs_per_episode
    steps = config.warmup.steps + round(meta_samples / joint_samples)
    values: dict[str, Any] = config.model_dump()
    values["algorithm"]["name"] = "joint"
    values["warmup"]["steps"] = steps
    values["outer"]["steps"] = steps
    values["checkpoint"]["every_steps"] = steps
    return type(config).model_validate(values)


def demo_command(args: argparse.Namespace, context: Context) -> int:
    """`metagan demo`."""
    started = time.perf_counter()
    console = context.console
    config: RunConfig = load_config(context.config_model, CONFIG, args.overrides).config
    stages = (
        (f"1/3 meta-learning with {config.algorithm.name}", config, args.run),
        (
            "2/3 the baseline: joint pre-training, equal budget",
            joint_config(config),
            args.run / "joint",
        ),
    )
    claim_folders({path: settings for _, settings, path in stages})
    with context.session(config):
        outcomes = []
        for title, settings, path in stages:
            console.print(f"\n{title}")
            outcome = train_run(
                settings,
                path,
                open_runner=functools.partial(context.open_runner, settings),
                reporter=console,
                alone=False,
            )
            if outcome.status == "interrupted":
                again = command_line("demo", "--run", args.run, program=_program())
                console.print(f"interrupted; start again with: {again}")
                return EXIT_INTERRUPTED
            outcomes.append(outcome)
        console.print("\n3/3 adapting to scripts that training never saw, and measuring")
        with context.open_map(config) as work:
            run = load_run(args.run, context.config_model)
            subject = build_subject(
                run, config, reporter=console, baselines={"joint": args.run / "joint"}
            )
            result = evaluate(run, subject, work=work, reporter=console)
    write_json(args.run / EVALUATION_FILE, result)
    write_adaptation_pictures(run, subject)
    report = write_report(args.run, args.run / "report.html", config_model=context.config_model)
    console.print("")
    console.table(evaluation_rows(result), header=HEADER)
    console.print(
        "accuracy in % on scripts never seen, differences in points with 95 % intervals\n"
    )
    console.table(comparison_rows(result), header=comparison_header(result))
    console.print(
        f"\ndone in {time.perf_counter() - started:.0f} s; open {report} to see the pictures\nnext:"
    )
    for words in (
        ("adapt", "--run", args.run, "--support", "YOUR_PICTURES/", "--out", "adapted"),
        ("generate", "--adapted", "adapted", "--num", 64, "--out", "samples"),
        ("train", "data.path=YOUR_DATA", "--run", "runs/mine"),
    ):
        console.print(f"  {command_line(*words, program=_program())}")
    return 0


def _program() -> list[str]:
    """How the user can call this command again from the same folder, as words."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return ["python", "-m", "metagan"]
    # `make demo` calls the environment's own, which is not on the user's PATH.
    here = Path.cwd()
    inside = called.is_absolute() and called.is_relative_to(here)
    return [str(called.relative_to(here) if inside else called)]


def claim_folders(runs: Mapping[Path, RunConfig]) -> None:
    """Mark the folders of a demo's runs; an earlier demo's files in them go, and no others.

    Args:
        runs: The settings of the run that each folder is for.

    Raises:
        RunError: If one holds something and no demo, or a demo's run that went on since.
    """
    for path in runs:
        if (path / MARKER).is_file() or RunFolder(path).exists():
            _check_as_written(path)
        elif path.exists():
            RunFolder(path).check_new()
    for path, config in runs.items():
        folder = RunFolder(path)
        with folder.lock():
            _clear(folder)
            # Before the run: a demo that is killed at any time can be started again.
            sha256 = sha256_of(to_yaml(config).encode())
            text = f"written by metagan demo, config.yaml with sha256 {sha256}\n"
            write_bytes(path / MARKER, text.encode())


def _check_as_written(path: Path) -> None:
    marker, config = path / MARKER, RunFolder(path).config_file
    marked = marker.read_text() if marker.is_file() else ""
    # A run that was resumed with other settings, such as more steps, is the user's now.
    if config.is_file() and sha256_of(config.read_bytes()) not in marked:
        raise RunError(
            f"{path} holds a run that the demo did not write, or that went on since; choose "
            "another --run folder"
        )


def _clear(folder: RunFolder) -> None:
    for pattern in _WRITTEN:
        for file in folder.path.glob(pattern):
            file.unlink()
    for checkpoint in list_checkpoints(folder.checkpoints):
        if (checkpoint / MANIFEST).is_file():
            delete_checkpoint(checkpoint)
