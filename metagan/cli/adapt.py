"""`metagan adapt`: fit a trained initialization to a new domain."""

import argparse
from pathlib import Path

from metagan.cli.context import Context
from metagan.cli.options import (
    Parser,
    add_command,
    add_output,
    add_overrides,
    load_run,
    whole,
)
from metagan.cli.outputs import check_out_folder
from metagan.places import check_exists

DESCRIPTION = """\
Adapt a trained initialization to a domain it has never seen, from a handful of
examples: the inner loop of training, started from the run's averaged weights.

The support is one picture, a folder of pictures of one class, or a folder with
one sub-folder per class. They are read as the run's own pictures were: where
dark and bright were swapped there they are swapped here, and back again in what
is generated; data.invert=true or false says otherwise. The result is a
folder that `metagan generate` draws from.

Settings of the inner loop can be set anew, such as inner.lr=1e-3; one that the
run's weights cannot leave, or that adapting does not read, is an error."""


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Register the command."""
    parser = add_command(
        subparsers,
        "adapt",
        summary="adapt a trained initialization to a few examples",
        description=DESCRIPTION,
        examples=(
            "metagan adapt --run runs/glyphs --support my_letters/ --out adapted/",
            "metagan adapt --run runs/glyphs --support my_letters/ --out adapted/ --steps 50",
        ),
    )
    parser.add_argument(
        "--run", type=Path, required=True, metavar="DIR", help="folder of a trained run"
    )
    parser.add_argument(
        "--support", type=Path, required=True, metavar="PATH", help="the examples to adapt to"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where the adapted GAN is written"
    )
    parser.add_argument(
        "--steps",
        type=whole,
        metavar="N",
        help="inner steps, 0 for none; default: what the run's evaluation chose, else inner.steps",
    )
    parser.add_argument("--seed", type=whole, metavar="N", help="default: the run's seed")
    add_output(parser)
    add_overrides(parser)


def run(args: argparse.Namespace, context: Context) -> int:
    """Adapt; see `metagan.workflow.adapt`."""
    # Mistakes are told before torch takes seconds to import.
    load_run(args, context)
    check_out_folder(args.out)
    check_exists(args.support, "--support")
    from metagan.workflow.adapt import adapt_command

    return adapt_command(args, context)
