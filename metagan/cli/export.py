"""`metagan export`: the trained networks for other programs."""

import argparse
from pathlib import Path

from metagan.cli.context import Context
from metagan.cli.options import Parser, add_command
from metagan.cli.outputs import check_out_file
from metagan.places import check_run

DESCRIPTION = """\
Write a run's averaged initialization in a form that other programs read:
  safetensors   weights alone; loads with torch and safetensors
  torch-export  the generator as a torch.export program (.pt2)
  onnx          the generator as an ONNX graph (needs the extra metagan[onnx])"""


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Register the command."""
    parser = add_command(
        subparsers,
        "export",
        summary="write trained networks for other programs",
        description=DESCRIPTION,
        examples=("metagan export --run runs/glyphs --format onnx --out generator.onnx",),
    )
    parser.add_argument(
        "--run", type=Path, required=True, metavar="DIR", help="folder of a trained run"
    )
    parser.add_argument(
        "--format",
        required=True,
        choices=("safetensors", "torch-export", "onnx"),
        help="see above",
    )
    parser.add_argument("--out", type=Path, metavar="PATH", help="default: in the run folder")


def run(args: argparse.Namespace, context: Context) -> int:
    """Export; see `metagan.workflow.export`."""
    if args.out is not None:
        check_out_file(args.out)
    check_run(args.run, "--run")
    from metagan.workflow.export import export_command

    return export_command(args, context)
