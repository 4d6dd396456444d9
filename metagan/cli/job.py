"""`metagan job`: list, follow and stop jobs on a cluster."""

import argparse
from typing import TYPE_CHECKING

from metagan.cli.console import Console
from metagan.cli.options import Parser, add_command
from metagan.cli.submit import add_address, follow, tell_end
from metagan.exits import EXIT_INTERRUPTED

if TYPE_CHECKING:  # Only what talks to a cluster pays for importing Ray.
    from cluster.jobs import RayJobs

DESCRIPTION = """\
Look at and stop what `metagan submit` has started on a cluster.
`metagan status ID` and `metagan stop ID` are short for two of these."""

_JOB = "metagan-20261126-091500-1f3a"
# Characters of a command that are always shown.
_LEAST_ROOM = 24
# What can be done, in a line, and an example of it.
ACTIONS = {
    "list": ("every job, the newest first", "metagan job list --address http://localhost:8265"),
    "status": ("one line about a job", f"metagan status {_JOB}"),
    "logs": ("what a job has written", f"metagan job logs {_JOB} --follow"),
    "stop": ("ask a job to end; a run in training writes a checkpoint", f"metagan stop {_JOB}"),
}


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Register the command."""
    parser = add_command(
        subparsers,
        "job",
        summary="list, follow and stop jobs on a cluster",
        description=DESCRIPTION,
        examples=[example for _, example in ACTIONS.values()],
    )
    add_address(parser)
    # Each with arguments of its own: argparse takes options between an action and an id that may
    # be missing for the end of them.
    actions = parser.add_subparsers(dest="action", required=True, metavar="|".join(ACTIONS))
    for name, (summary, example) in ACTIONS.items():
        action = add_command(
            actions,
            name,
            summary=summary,
            description=summary[0].upper() + summary[1:] + ".",
            examples=(example,),
        )
        # One before the action stays as it is.
        add_address(action, default=argparse.SUPPRESS)
        if name != "list":
            action.add_argument("id", metavar="ID", help="as `metagan submit` printed it")
        if name == "logs":
            action.add_argument("--follow", action="store_true", help="follow until the job ends")


def _list(jobs: "RayJobs", console: Console) -> None:
    """A line per job, cut where the terminal ends; `job status` has the whole command."""
    rows = [[s.job, s.status, _minute(s.started), _words(s.command)] for s in jobs.states()]
    if not rows:
        console.print(f"no jobs of metagan at {jobs.address}")
        return
    header = ("job", "status", "started (UTC)", "command")
    if console.width is not None:
        taken = sum(max(len(row[i]) for row in (*rows, header)) + 2 for i in range(3))
        room = max(_LEAST_ROOM, console.width - taken)
        for row in rows:
            if len(row[3]) > room:
                row[3] = f"{row[3][: room - 3].rstrip()}..."
    console.table(rows, header=header)


def _minute(started: str | None) -> str:
    return "-" if started is None else started[:16].replace("T", " ")


def _words(command: str) -> str:
    """A command without the interpreter, on one line."""
    return " ".join(command.partition(" -m metagan ")[2].split()) or command


def run(args: argparse.Namespace, console: Console) -> int:
    """List jobs, or show, follow or stop one."""
    from cluster.jobs import RayJobs

    jobs = RayJobs(args.address)
    if args.action == "list":
        _list(jobs, console)
        return 0
    if args.action == "logs":
        if not args.follow:
            console.print(jobs.log(args.id).rstrip("\n"))
            return 0
        try:
            state = follow(jobs, args.id, console)
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        return tell_end(state, console)
    state = jobs.stop(args.id) if args.action == "stop" else jobs.state(args.id)
    ending = ", ending" if args.action == "stop" and not state.ended else ""
    code = "" if state.exit_code is None else f", exit code {state.exit_code}"
    console.print(f"{state.job}: {state.status}{ending}{code}; {state.command}")
    if state.status in ("pending", "failed") and state.exit_code is None:
        console.print(f"{state.job} {state.message}")
    return 0
