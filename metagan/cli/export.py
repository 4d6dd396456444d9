"""`metagan export`: the trained networks for other programs."""

import argparse
from pathlib import Path

from cluster.config import JobConfig
from metagan.cli.console import Console
from metagan.cli.options import Parser, add_command
from metagan.cli.outputs import check_out_file
from metagan.exits import EXIT_DONE
from metagan.runs.places import check_run

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


def run(args: argparse.Namespace, console: Console) -> int:
    """Export; see `metagan.workflow.export`."""
    if args.out is not None:
        check_out_file(args.out)
    check_run(args.run, "--run")
    from metagan.files import write_bytes
    from metagan.kinds.registry import find_kind
    from metagan.workflow.export import EXPORTERS, SUFFIXES
    from metagan.workflow.setup import load_run

    run = load_run(args.run, JobConfig)
    out: Path = args.out or args.run / f"export{SUFFIXES[args.format]}"
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, EXPORTERS[args.format](run))
    console.print(f"wrote {out} ({out.stat().st_size} bytes)")
    if remark := find_kind(run.form.kind).remark(run.form, "export"):
        console.print(remark)
    if args.format == "torch-export":
        console.print("a .pt2 file holds code: load only files that you trust")
    return EXIT_DONE
