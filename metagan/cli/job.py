"""`metagan job`: what was submitted to a cluster."""

import argparse

from metagan.cli.context import EXIT_INTERRUPTED, Context
from metagan.cli.options import Parser, UsageError, add_command
from metagan.cli.submit import add_address, tell_end

DESCRIPTION = """\
Look at and stop what `metagan submit` has started on a cluster.

list         every job, the newest first
status ID    one line about it
logs ID      what it has written; --follow goes on until it ends
stop ID      ask it to end; a run in training writes a checkpoint first

`metagan status ID` and `metagan stop ID` are short for two of them."""


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Register the command."""
    parser = add_command(
        subparsers,
        "job",
        summary="list, follow and stop jobs on a cluster",
        description=DESCRIPTION,
        examples=(
            "metagan job list --address http://localhost:8265",
            "metagan job logs metagan-20261126-091500-1f3a --follow",
        ),
    )
    parser.add_argument("action", choices=("list", "status", "logs", "stop"))
    parser.add_argument("id", nargs="?", help="as `metagan submit` printed it")
    add_address(parser)
    parser.add_argument("--follow", action="store_true", help="logs: go on until the job ends")


def run(args: argparse.Namespace, context: Context) -> int:
    """Do it."""
    if (args.action == "list") != (args.id is None):
        raise UsageError(
            "metagan job list takes no id" if args.id else f"metagan job {args.action} needs an id"
        )
    jobs = context.jobs(args.address)
    if args.action == "list":
        rows = [[s.job, s.status, s.started or "-", s.command] for s in jobs.states()]
        context.console.table(rows, header=("job", "status", "started", "command"))
        return 0
    if args.action == "logs":
        if not args.follow:
            context.console.print(jobs.log(args.id).rstrip("\n"))
            return 0
        try:
            state = jobs.follow(args.id, lambda text: context.console.print(text.rstrip("\n")))
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        return tell_end(state, context)
    state = jobs.stop(args.id) if args.action == "stop" else jobs.state(args.id)
    ending = ", ending" if args.action == "stop" and not state.ended else ""
    code = "" if state.exit_code is None else f", exit code {state.exit_code}"
    context.console.print(f"{state.job}: {state.status}{ending}{code}; {state.command}")
    return 0
