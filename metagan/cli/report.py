"""`metagan report`: one page about a run or a search."""

import argparse
from pathlib import Path

from cluster.config import JobConfig
from metagan.cli.console import Console
from metagan.cli.options import Parser, add_command
from metagan.cli.outputs import check_out_file
from metagan.exits import EXIT_DONE
from metagan.runs.places import check_run

DESCRIPTION = """\
Write one HTML file about a run: its curves, samples before and after
adaptation, evaluation, failures, and how to repeat it. Or about a search of
`metagan tune`: the best settings against the given ones with fresh seeds, every
trial, and which settings go along with the result. It opens offline."""


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Register the command."""
    parser = add_command(
        subparsers,
        "report",
        summary="write the report.html of a run or a search",
        description=DESCRIPTION,
        examples=("metagan report --run runs/glyphs", "metagan report --search runs/tune"),
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", type=Path, metavar="DIR", help="folder of a run, finished or not")
    what.add_argument(
        "--search", type=Path, metavar="DIR", help="folder of a search (metagan tune --out)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="default: report.html in that folder"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Write the report; see `metagan.workflow.report`."""
    if args.out is not None:
        check_out_file(args.out)
    if args.run is not None:
        check_run(args.run, "--run")
    from metagan.workflow.report import write_report, write_search_report

    write, folder = (
        (write_report, args.run) if args.search is None else (write_search_report, args.search)
    )
    path = write(folder, args.out or folder / "report.html", config_model=JobConfig)
    console.print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB); it opens offline")
    return EXIT_DONE
