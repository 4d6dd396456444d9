"""`metagan train`: meta-learn an initialization."""

import argparse
import functools
from pathlib import Path

from cluster.config import JobConfig
from metagan.cli.console import Console
from metagan.cli.options import (
    Parser,
    add_command,
    add_output,
    add_resume,
    add_settings,
    count,
    load,
)
from metagan.cli.outputs import check_out_folder
from metagan.config.data import DataConfig
from metagan.config.settings import RunConfig
from metagan.exits import EXIT_DONE, EXIT_INTERRUPTED, EXIT_RESOURCES
from metagan.runs.places import check_run, what_it_is
from metagan.runs.run_folder import RunError, RunFolder
from metagan.words import command_line

DESCRIPTION = """\
Meta-learn one GAN initialization over the training domains.

Every outer step, workers adapt the shared generator and discriminator to a few
tasks each and send back meta-gradients; their sum moves the initialization.
By default Ray starts on this machine; cluster.address joins a running one.

The run folder receives the resolved settings, metrics, samples and checkpoints.
On the same kind of device the trained weights do not depend on the number of
workers, nor on interruptions: --resume continues exactly where the run stopped,
also after the data have moved, with their new place in data.path."""


def check_inputs(config: RunConfig, *, begun: bool = False) -> None:
    """Refuse data and a run to start from that are not there.

    Args:
        config: The run.
        begun: The run has been on these data before.

    Raises:
        ValueError: With the setting, the path and what was most likely meant.
    """
    check_data_there(config.data, begun=begun)
    if config.outer.init_from is not None:
        check_run(config.outer.init_from, "outer.init_from")


def check_data_there(data: DataConfig, *, begun: bool = False) -> None:
    """Refuse data that are not there or that no source reads; see `check_inputs`."""
    from metagan.data.dataset import DataError
    from metagan.data.registry import check_data

    try:
        check_data(data)
    except DataError as error:
        moved = "; if the data have moved, set data.path to where they are now" if begun else ""
        raise DataError(f"{error}{moved}") from None


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Register the command."""
    parser = add_command(
        subparsers,
        "train",
        summary="meta-learn one GAN initialization over many domains",
        description=DESCRIPTION,
        examples=(
            "metagan train --run runs/glyphs outer.steps=500",
            "metagan train --run runs/mine data.path=my_letters/",
            "metagan train -c configs/omniglot.yaml --workers 8 inner.lr=3e-3",
            "metagan train --run runs/glyphs --resume",
            "metagan train -c configs/omniglot.yaml --run runs/omniglot --resume auto",
        ),
    )
    parser.add_argument(
        "--run",
        type=Path,
        metavar="DIR",
        help="run folder; default: runs/NAME of NAME.yaml, runs/default without it",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers", type=count, metavar="N", help="the same as cluster.num_workers=N"
    )
    where.add_argument(
        "--local",
        action="store_true",
        help="one process and no workers, without Ray; equal results",
    )
    add_resume(
        parser,
        "continue from the newest checkpoint in the run folder, with its settings; with auto, or "
        "start a new run if there is none, so that the same command can be repeated",
    )
    add_output(parser)
    add_settings(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Train; see `metagan.workflow.train`."""
    if args.run is None:
        args.run = Path("runs") / (args.config.stem if args.config else "default")
    there = RunFolder(args.run).exists()
    if args.resume != "auto":
        args.resume = bool(args.resume)
    if args.resume and args.config is None and there:
        # What is given now goes over the run's own settings, not over the defaults.
        args.config = args.run / "config.yaml"
    if args.workers is not None:
        args.overrides.append(f"cluster.num_workers={args.workers}")
    # Mistakes are reported before torch takes seconds to import.
    config = load(args).config
    if args.resume is True and not there and config.checkpoint.storage is None:
        raise RunError(
            f"{args.run} is not a run, so there is nothing to resume: {what_it_is(args.run)}; "
            "leave --resume out, or name the run's folder"
        )
    check_out_folder(args.run, "--run", new=False)
    if args.run.is_dir() and not args.resume:
        RunFolder(args.run).check_new()
    check_inputs(config, begun=there and bool(args.resume))
    return _train(args, config, console)


def _train(args: argparse.Namespace, config: JobConfig, console: Console) -> int:
    from metagan.workflow.train import local_runner, train_run

    if args.local:
        runner = local_runner(config, threads=config.cluster.threads_per_worker)
    else:
        from cluster.opening import open_runner

        runner = functools.partial(open_runner, config=config.cluster)
    local = ("--local",) if args.local else ()
    again = command_line("train", "--run", args.run, *local, "--resume")
    try:
        outcome = train_run(
            config,
            args.run,
            open_runner=runner,
            reporter=console,
            resume=args.resume,
        )
    except Exception as error:
        if getattr(error, "exit_code", None) == EXIT_RESOURCES and RunFolder(args.run).has_steps():
            console.print(f"the last whole outer step is kept; continue: {again}")
        raise
    if outcome.status == "interrupted":
        console.print(
            f"interrupted at outer step {outcome.step}, checkpoint written; continue: {again}"
        )
        return EXIT_INTERRUPTED
    console.print(
        f"done: {outcome.step} outer steps in {outcome.wall_s:.0f} s, results in {args.run}"
    )
    following = command_line("evaluate", "--run", args.run)
    console.print(f"next: {following}")
    return EXIT_DONE
