"""`metagan job`: what was submitted to a cluster."""

import argparse

from metagan.cli.context import EXIT_INTERRUPTED, Context
from metagan.cli.options import Parser, add_command
from metagan.cli.submit import add_address, follow, tell_end

DESCRIPTION = """\
Look at and stop what `metagan submit` has started on a cluster.
`metagan status ID` and `metagan stop ID` are short for two of these."""

_JOB = "metagan-20261126-091500-1f3a"
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
            action.add_argument("--follow", action="store_true", help="go on until the job ends")


def run(args: argparse.Namespace, context: Context) -> int:
    """Do it."""
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
            state = follow(jobs, args.id, context)
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        return tell_end(state, context)
    state = jobs.stop(args.id) if args.action == "stop" else jobs.state(args.id)
    ending = ", ending" if args.action == "stop" and not state.ended else ""
    code = "" if state.exit_code is None else f", exit code {state.exit_code}"
    context.console.print(f"{state.job}: {state.status}{ending}{code}; {state.command}")
    if state.status in ("pending", "failed") and state.exit_code is None:
        context.console.print(f"{state.job} {state.message}")
    return 0
