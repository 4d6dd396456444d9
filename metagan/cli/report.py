"""`metagan report`: one page about a run."""

import argparse
from pathlib import Path

from metagan.cli.context import Context
from metagan.cli.options import Parser, add_command

DESCRIPTION = """\
Write one HTML file about a run: its curves, samples before and after
adaptation, evaluation, failures, and how to repeat it. It opens offline."""


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Register the command."""
    parser = add_command(
        subparsers,
        "report",
        summary="write a run's report.html",
        description=DESCRIPTION,
        examples=("metagan report --run runs/glyphs",),
    )
    parser.add_argument(
        "--run", type=Path, required=True, metavar="DIR", help="folder of a run, finished or not"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="default: report.html in the run folder"
    )


def run(args: argparse.Namespace, context: Context) -> int:
    """Write the report; see `metagan.workflow.report`."""
    from metagan.workflow.report import report_command

    if args.out is None:
        args.out = args.run / "report.html"
    return report_command(args, context)
