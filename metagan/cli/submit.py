"""`metagan submit`: run a command of this program on a cluster, as a Ray job."""

import argparse
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.job_request import JobRequest, JobState
from metagan.cli.console import Console
from metagan.cli.options import Parser, UsageError, add_command, is_setting, load, sort_extras
from metagan.cli.tune import search_settings
from metagan.config.settings import RunConfig
from metagan.exits import EXIT_INTERRUPTED, EXIT_RESOURCES
from metagan.words import command_line

if TYPE_CHECKING:  # Only what talks to a cluster pays for importing Ray.
    from cluster.jobs import RayJobs

DESCRIPTION = """\
Run a metagan command on a cluster, as a Ray job, and follow its output.

The working folder is uploaded (without what .gitignore and .rayignore name,
those .gitignore files included that lie above it in a git repository, and
without runs, .venv and .git), and the command runs in a copy of it: paths to
settings files are relative to it; data and run folders are paths on the
cluster. The file of -c is always sent. Mistakes in the command and its
settings, and files that would be missing there, are reported before the upload.

The job continues when this command is interrupted; see `metagan job`. Exits
with the job's own code."""

REMOTE = (
    "train",
    "tune",
    "evaluate",
    "demo",
    "adapt",
    "generate",
    "report",
    "export",
    "data",
    "doctor",
)
# Options of commands that name what is read.
_READ = {
    "adapt": ("run", "support"),
    "generate": ("adapted",),
    "evaluate": ("run", "data"),
    "report": ("run", "search"),
    "export": ("run",),
    "data": ("path",),
}
# What Ray, its dashboard's pages and file names take.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


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
    parser.add_argument("--name", default="metagan", type=_name, help="start of the job's id")
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
        help="Ray label that the command's node must have; without --driver-cpus it "
        "reserves 1 core",
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


def add_address(parser: Parser, default: str | None = None) -> None:
    """The option that names the cluster."""
    parser.add_argument(
        "--address",
        default=default,
        metavar="URL",
        help="the cluster's dashboard; default: what RAY_API_SERVER_ADDRESS names, else "
        "http://127.0.0.1:8265, where `ray dashboard` opens a tunnel",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Check the command, submit it, follow it."""
    files, inputs = check_words(args.words, args.working_dir, console)
    labels = dict(args.driver_label)
    request = JobRequest(
        words=args.words,
        name=args.name,
        working_dir=args.working_dir.resolve(),
        driver_cpus=args.driver_cpus or (1.0 if labels else 0.0),
        driver_labels=labels,
        python=args.python,
        files=files,
        inputs=inputs,
        environment=dict(args.env),
    )
    from cluster.jobs import RayJobs

    jobs = RayJobs(args.address)
    if not args.no_follow:
        console.print(f"uploading {request.working_dir}")
    job = jobs.submit(request)
    if args.no_follow:
        console.print(job)
        return 0
    console.print(f"submitted {job} to {jobs.address}")
    try:
        state = follow(jobs, job, console)
    except KeyboardInterrupt:
        where = ("--address", jobs.address)
        logs = command_line("job", "logs", job, "--follow", *where)
        console.print(f"the job continues; {logs}, or {command_line('job', 'stop', job, *where)}")
        return EXIT_INTERRUPTED
    return tell_end(state, console)


def follow(jobs: "RayJobs", job: str, console: Console) -> JobState:
    """Print a job's output as it comes; returns its state when it has ended."""
    return jobs.follow(job, lambda text: console.print(text.rstrip("\n")), console.warn)


def tell_end(state: JobState, console: Console) -> int:
    """Say how a job ended; returns this command's exit code."""
    if state.status == "succeeded":
        return 0
    console.print(f"{state.job} {state.status}: {state.message}")
    return EXIT_INTERRUPTED if state.status == "stopped" else state.exit_code or EXIT_RESOURCES


def check_words(
    words: Sequence[str], working_dir: Path, console: Console
) -> tuple[Sequence[Path], Mapping[str, Path]]:
    """Find mistakes in a command line here, not minutes later on the cluster.

    Returns:
        Settings files that have to be sent, and what else of the working folder the command reads,
        by what names it; all of them relative to the folder.

    Raises:
        UsageError: If it is no command that can run there, or a file would be missing there.
        ConfigError: For mistakes in its settings.
    """
    from metagan.cli.app import build_parser

    if not words:
        raise UsageError("nothing to run; put a command behind --: metagan submit -- train ...")
    if words[0] not in REMOTE:
        fix = f"one of: {', '.join(REMOTE)}"
        if words[0] == "metagan":
            fix = "leave the program's name out, as in metagan submit -- train ..."
        raise UsageError(f"cannot run {words[0]!r} on a cluster; {fix}")
    if not os.path.isdir(working_dir):
        raise UsageError(f"--working-dir {working_dir} is not a folder")
    parser = build_parser()
    inner, extras = parser.parse_known_args(words)
    sort_extras(parser, inner, extras)
    config: Path | None = getattr(inner, "config", None)
    files = []
    if config is not None:
        if not _is_inside(config) or not (working_dir / config).is_file():
            raise UsageError(
                f"-c {config}: the job sees only --working-dir {working_dir}; name a file in it, "
                "relative to it"
            )
        files.append(config)
        inner.config = working_dir / config
    inputs = dict(_inputs(inner))
    if words[0] == "train":
        inputs |= _named_in(load(inner).config)
        _check_kept("--run", inner.run, console)
    elif words[0] == "tune":
        inputs |= _named_in(search_settings(inner))
        _check_kept("--out", inner.out, console)
    elif words[0] == "doctor":
        load(inner)
    return files, {name: path for name, path in inputs.items() if not _is_elsewhere(path)}


def _inputs(inner: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    """Files and folders that a command reads, by the option that names them."""
    for option in _READ.get(inner.command, ()):
        path = getattr(inner, option, None)
        if path is not None and not is_setting(str(path)):
            yield (option.upper() if option == "path" else f"--{option}"), Path(path)
    for name, path in getattr(inner, "baseline", None) or ():
        yield f"--baseline {name}", path


def _named_in(config: RunConfig) -> dict[str, Path]:
    """Paths that a training reads, by the settings that name them."""
    named = {"data.path": config.data.path, "outer.init_from": config.outer.init_from}
    return {key: Path(path) for key, path in named.items() if path is not None}


def _is_inside(path: Path) -> bool:
    return not path.is_absolute() and ".." not in path.parts


def _is_elsewhere(path: Path) -> bool:
    """True if a path means the same on the cluster, wherever the command runs there."""
    return path.is_absolute() or str(path).startswith("~") or ":/" in str(path)


def _check_kept(option: str, folder: Path | None, console: Console) -> None:
    """Warn of results that end with the job's copy of the working directory."""
    if folder is None or not folder.is_absolute():
        named = f"the folder of {option}" if folder is None else f"{option} {folder}"
        console.warn(
            f"{named} is in the job's own copy of the working directory, where no "
            "other job finds it; give an absolute path that the driver's node keeps"
        )


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} has to begin with a letter or digit and to have at most 64 of "
            "A-Z a-z 0-9 . _ -"
        )
    return text


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
