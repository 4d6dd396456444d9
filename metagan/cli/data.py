"""`metagan data`: look at data and bring them into the fast form."""

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from metagan.cli.console import command_line
from metagan.cli.context import EXIT_DONE, Context
from metagan.cli.options import Parser, add_command, add_settings, is_setting, load_data
from metagan.cli.outputs import check_out_file, check_out_folder
from metagan.settings import TaskConfig

if TYPE_CHECKING:
    from metagan.dataset import Dataset

DESCRIPTION = """\
Look at data before training on them. Read are folders domain/class/picture,
Parquet and Arrow files, CSV or JSON-lines manifests, Omniglot, IDX and NPZ;
data.source=auto finds out which."""

INSPECT = """\
Say what is in a data set: domains, classes, samples per class, what was left
out and why, and whether there is enough for the settings' episodes. Without a
PATH, the data of the settings are inspected (built-in glyphs by default)."""

PREPARE = """\
Read a data set once, resize its pictures as data.image_size and data.channels
say, and write Arrow files that every worker on a machine maps into memory
together. Train on the result with data.path=OUT data.source=arrow."""


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Register the command and its two parts."""
    parser = add_command(
        subparsers,
        "data",
        summary="inspect and prepare data sets",
        description=DESCRIPTION,
        examples=("metagan data inspect my_letters/",),
    )
    parts = parser.add_subparsers(dest="part", required=True, metavar="inspect|prepare")
    inspect = add_command(
        parts,
        "inspect",
        summary="say what is in a data set",
        description=INSPECT,
        examples=(
            "metagan data inspect my_letters/ data.image_size=32",
            "metagan data inspect my_letters/ --sheet sheet.png",
        ),
    )
    inspect.add_argument("path", nargs="?", metavar="PATH", help="file or folder")
    inspect.add_argument(
        "--sheet", type=Path, metavar="FILE.png", help="also draw samples of some classes"
    )
    add_settings(inspect)
    prepare = add_command(
        parts,
        "prepare",
        summary="convert a data set to Arrow files",
        description=PREPARE,
        examples=("metagan data prepare my_letters/ prepared/ data.image_size=32",),
    )
    prepare.add_argument("path", metavar="PATH", help="file or folder to read")
    prepare.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    add_settings(prepare)


def run(args: argparse.Namespace, context: Context) -> int:
    """Inspect or prepare."""
    if args.part == "inspect":
        _inspect(args, context)
    else:
        _prepare(args, context)
    return EXIT_DONE


def _inspect(args: argparse.Namespace, context: Context) -> None:
    from metagan.sources.inspect import contact_sheet, format_summary, inspect_dataset
    from metagan.sources.registry import load_dataset

    if is_setting(args.path):
        # PATH may be left out, and then a setting stands in its place.
        args.overrides.insert(0, args.path)
        args.path = None
    config = load_data(args, context, args.path, args.overrides)
    if args.sheet is not None:
        check_out_file(args.sheet, "--sheet")
    dataset = load_dataset(config.data)
    width = shutil.get_terminal_size().columns
    context.console.print(format_summary(inspect_dataset(dataset), width).rstrip())
    context.console.print(_enough(dataset, config.task))
    if args.sheet is not None:
        contact_sheet(dataset, args.sheet)
        context.console.print(f"wrote {args.sheet}")


def _prepare(args: argparse.Namespace, context: Context) -> None:
    from metagan.sources.arrow import check_target, prepare
    from metagan.sources.registry import load_dataset

    config = load_data(args, context, args.path, args.overrides)
    args.out = args.out.expanduser()
    check_out_folder(args.out, "OUT", new=False)
    check_target(args.out)
    dataset = load_dataset(config.data)
    written = prepare(dataset, args.out)
    for note in dataset.notes:
        context.console.warn(note)
    following = command_line(
        "train",
        "data.source=arrow",
        f"data.path={written}",
        f"data.image_size={config.data.image_size}",
        f"data.channels={config.data.channels}",
    )
    context.console.print(
        f"wrote {len(dataset.samples)} samples of {dataset.num_classes} classes in "
        f"{len(dataset.domains)} domains to {written}\ntrain on it: {following}"
    )


def _enough(dataset: "Dataset", task: TaskConfig) -> str:
    """How many classes have samples for an episode of these settings."""
    need = task.shots + task.num_query
    usable = sum(dataset.count(index) >= need for index in range(dataset.num_classes))
    return (
        f"- {usable} of {dataset.num_classes} classes have the {need} samples of an episode "
        f"(task.shots {task.shots} + task.num_query {task.num_query})"
    )
