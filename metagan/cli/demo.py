"""`metagan demo`: the whole product on built-in data."""

import argparse
from pathlib import Path

from metagan.cli.context import Context
from metagan.cli.options import Parser, add_command, add_output, add_overrides
from metagan.config import load_config

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


def run(args: argparse.Namespace, context: Context) -> int:
    """Run the demo; see `metagan.workflow.demo`."""
    # Mistakes in settings are told before torch takes seconds to import.
    load_config(context.config_model, CONFIG, args.overrides)
    from metagan.workflow.demo import demo_command

    return demo_command(args, context)
