"""`metagan submit`: run a command of this program on a cluster, as a Ray job."""

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

from metagan.cli.console import command_line
from metagan.cli.context import EXIT_INTERRUPTED, EXIT_RESOURCES, Context
from metagan.cli.options import Parser, UsageError, add_command, load, sort_extras
from metagan.jobs import JobRequest, JobState

DESCRIPTION = """\
Run a metagan command on a cluster, as a Ray job, and follow its output.

The working folder is uploaded (without what .gitignore names, runs, .venv and
.git), and the command runs in a copy of it: give paths of settings files
relative to it, and data and run folders as they are called on the cluster.
Mistakes in the command and its settings are told before anything is sent.

The job goes on when this command is interrupted; see `metagan job`. Exits with
the job's own code."""

REMOTE = ("train", "evaluate", "demo", "adapt", "generate", "report", "export", "data", "doctor")


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Register the command."""
    parser = add_command(
        subparsers,
        "submit",
        summary="run a command on a cluster, as a Ray job",
        description=DESCRIPTION,
        examples=(
            "metagan submit --address http://localhost:8265 -- \\\n"
            "      train -c configs/omniglot.yaml --run ~/runs/omniglot --resume auto",
            "metagan submit --driver-label metagan.io/role=driver -- train --run ~/runs/glyphs",
            "metagan submit --env WANDB_API_KEY --env OMP_NUM_THREADS=2 -- train --run ~/runs/mine",
        ),
    )
    add_address(parser)
    parser.add_argument("--name", default="metagan", help="start of the job's id")
    parser.add_argument(
        "--working-dir", type=Path, default=Path(), metavar="DIR", help="uploaded; default: ."
    )
    parser.add_argument(
        "--driver-cpus",
        type=float,
        default=0.0,
        metavar="N",
        help="cores to reserve for the command itself; default 0: it runs on the head node",
    )
    parser.add_argument(
        "--driver-label",
        action="append",
        default=[],
        type=_label,
        metavar="KEY=VALUE",
        help="Ray label that the command's node must have; reserves 1 core unless told otherwise",
    )
    parser.add_argument(
        "--python", default="python", help="interpreter on the cluster; default: its python"
    )
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        type=_variable,
        metavar="KEY[=VALUE]",
        help="environment variable of the command and its workers; without VALUE it has the one "
        "that it has here; Ray keeps it on the cluster and shows it on its dashboard",
    )
    parser.add_argument("--no-follow", action="store_true", help="only print the job's id")
    parser.set_defaults(overrides=[])


def add_address(parser: Parser) -> None:
    """The option that names the cluster."""
    parser.add_argument(
        "--address",
        default="http://127.0.0.1:8265",
        metavar="URL",
        help="the cluster's dashboard; default: http://127.0.0.1:8265, where `ray dashboard` "
        "opens a tunnel",
    )


def run(args: argparse.Namespace, context: Context) -> int:
    """Check the command, submit it, follow it."""
    check_words(args.words, args.working_dir, context)
    labels = dict(args.driver_label)
    request = JobRequest(
        words=args.words,
        name=args.name,
        working_dir=args.working_dir.resolve(),
        driver_cpus=args.driver_cpus or (1.0 if labels else 0.0),
        driver_labels=labels,
        python=args.python,
        environment=dict(args.env),
    )
    jobs = context.jobs(args.address)
    job = jobs.submit(request)
    if args.no_follow:
        context.console.print(job)
        return 0
    context.console.print(f"submitted {job} to {args.address}")
    try:
        state = jobs.follow(job, lambda text: context.console.print(text.rstrip("\n")))
    except KeyboardInterrupt:
        where = ("--address", args.address)
        logs = command_line("job", "logs", job, "--follow", *where)
        context.console.print(
            f"the job goes on; {logs}, or {command_line('job', 'stop', job, *where)}"
        )
        return EXIT_INTERRUPTED
    return tell_end(state, context)


def tell_end(state: JobState, context: Context) -> int:
    """Say how a job ended; returns this command's exit code."""
    if state.status == "succeeded":
        return 0
    context.console.print(f"{state.job} {state.status}: {state.message}")
    return EXIT_INTERRUPTED if state.status == "stopped" else state.exit_code or EXIT_RESOURCES


def check_words(words: Sequence[str], working_dir: Path, context: Context) -> None:
    """Find mistakes in a command line here, not minutes later on the cluster.

    Raises:
        UsageError: If it is no command that can run there, or a file would be missing there.
        ConfigError: For mistakes in its settings.
    """
    from metagan.cli.app import build_parser

    if not words:
        raise UsageError("nothing to run; put a command behind --: metagan submit -- train ...")
    if words[0] not in REMOTE:
        raise UsageError(f"cannot run {words[0]!r} on a cluster; one of: {', '.join(REMOTE)}")
    if not working_dir.is_dir():
        raise UsageError(f"--working-dir {working_dir} is not a folder")
    parser = build_parser()
    inner, extras = parser.parse_known_args(words)
    sort_extras(parser, inner, extras)
    config: Path | None = getattr(inner, "config", None)
    if config is not None:
        if config.is_absolute() or not (working_dir / config).is_file():
            raise UsageError(
                f"-c {config}: the job sees only --working-dir {working_dir}; name a file in it, "
                "relative to it"
            )
        inner.config = working_dir / config
    if words[0] == "train":
        load(inner, context)
        run: Path | None = inner.run
        if run is None or not run.is_absolute():
            named = "the run folder" if run is None else f"--run {run}"
            context.console.warn(
                f"{named} is in the job's own copy of the working directory, where no "
                "other job finds it; give an absolute path that the driver's node keeps"
            )


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _variable(text: str) -> tuple[str, str]:
    """A variable and its value; messages name the variable alone, since values may be secrets."""
    key, equals, value = text.partition("=")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
        raise argparse.ArgumentTypeError("what is before = is no name of an environment variable")
    if equals:
        return key, value
    if key not in os.environ:
        raise argparse.ArgumentTypeError(f"{key} is not set here; set it, or give {key}=VALUE")
    return key, os.environ[key]
