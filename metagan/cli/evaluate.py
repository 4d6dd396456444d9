"""`metagan evaluate`: what the generated samples are worth."""

import argparse
from pathlib import Path
from typing import get_args

from metagan.cli.context import Context
from metagan.cli.options import (
    Parser,
    add_command,
    add_output,
    add_overrides,
    count,
    counts,
    load_run,
    named_run,
)
from metagan.cli.outputs import check_out_file, check_writable
from metagan.cli.train import check_data_there
from metagan.places import check_exists, check_run
from metagan.settings import RunConfig, SourceName

DESCRIPTION = """\
Adapt to domains that training never saw and say, with 95 % intervals over
paired seeds, whether the generated samples make those domains' own classifier
better than classical augmentation does, and how good they look (KID, FID,
precision, recall, density, coverage, diversity, copies).

Every choice (how many steps, how many generated samples, or none at all) is
made on validation domains; test domains are only measured.

Settings of the evaluation, the inner loop and the cluster can be set anew, and
data.path where the run's data have moved; any other is an error."""


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Register the command."""
    parser = add_command(
        subparsers,
        "evaluate",
        summary="measure the gain on unseen domains, with intervals",
        description=DESCRIPTION,
        examples=(
            "metagan evaluate --run runs/glyphs --shots 5,10 --seeds 10 --out E.json",
            "metagan evaluate --run runs/omniglot --data my_letters/",
        ),
    )
    parser.add_argument(
        "--run", type=Path, required=True, metavar="DIR", help="folder of a trained run"
    )
    parser.add_argument(
        "--data", type=Path, metavar="PATH", help="target domains; default: the run's test domains"
    )
    parser.add_argument(
        "--source",
        default="auto",
        choices=[name for name in get_args(SourceName) if name != "glyphs"],
        help="layout of --data (default: auto)",
    )
    parser.add_argument(
        "--shots", type=counts, metavar="LIST", help="the same as evaluate.shots=[LIST]"
    )
    parser.add_argument(
        "--seeds", type=count, metavar="N", help="the same as evaluate.seeds=N; at least 2"
    )
    parser.add_argument(
        "--baseline",
        type=named_run,
        action="append",
        metavar="NAME=DIR",
        help="another run to compare with at equal adaptation steps; may be repeated",
    )
    parser.add_argument("--out", type=Path, metavar="E.json", help="where the numbers are written")
    add_output(parser)
    add_overrides(parser)


def run(args: argparse.Namespace, context: Context) -> int:
    """Evaluate; see `metagan.workflow.evaluate`."""
    if args.shots is not None:
        args.overrides.append(f"evaluate.shots={list(args.shots)}")
    if args.seeds is not None:
        args.overrides.append(f"evaluate.seeds={args.seeds}")
    # Mistakes are told before torch takes seconds to import.
    config: RunConfig = load_run(args, context).config
    check_writable(args.run, f"--run {args.run}")  # The result of every repetition is kept there.
    if args.out is not None:
        check_out_file(args.out)
    if args.data is not None:
        check_exists(args.data, "--data")
        other = {"path": str(args.data), "source": args.source}
        check_data_there(config.data.model_copy(update=other))
    for name, folder in args.baseline or ():
        check_run(folder, f"--baseline {name}:")
    check_data_there(config.data, begun=True)
    from metagan.workflow.evaluate import evaluate_command

    return evaluate_command(args, context)
