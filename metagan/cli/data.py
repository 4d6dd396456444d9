"""`metagan data`: look at data and bring them into the fast form."""

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from metagan.cli.console import Console
from metagan.cli.options import (
    Parser,
    add_command,
    add_settings,
    is_setting,
    load_data,
    override,
)
from metagan.cli.outputs import check_out_file, check_out_folder
from metagan.config.affects import settings_of
from metagan.config.data import DataConfig
from metagan.config.settings import RunConfig, TaskConfig
from metagan.exits import EXIT_DONE
from metagan.files import expanded
from metagan.words import command_line, counted, printable

if TYPE_CHECKING:
    from metagan.data.dataset import Dataset
    from metagan.data.splits import Splits

DESCRIPTION = """\
Look at data before training on them. Supported layouts: folders
domain/class/picture, Parquet and Arrow files, CSV or JSON-lines manifests,
Omniglot, IDX and NPZ, and fonts (a folder of TTF and OTF files, or NPZ with
pictures of their characters); data.source=auto, the default with a path, finds
out which. With data.kind=vector, samples are rows of numbers in NPZ, CSV,
Parquet or Arrow files."""

INSPECT = """\
Say what is in a data set: domains, classes, samples per class; of every domain
some class names, the darkest, middle and brightest level, and what share of its
pictures is in colour, blank, transparent, deeper than 8 bits or a duplicate;
what was left out and why, the gravest first; and whether there is enough for
the settings' episodes. Look at the names and levels: most mistakes in reading
data show there. Without a PATH, the data of the settings are inspected
(built-in glyphs by default)."""

PREPARE = """\
Read a data set once, with pictures resized as data.image_size and data.channels
say, and write Arrow files that every worker on a machine maps into memory
together. Train on the result with data.path=OUT."""


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


def run(args: argparse.Namespace, console: Console) -> int:
    """Inspect or prepare."""
    if args.part == "inspect":
        _inspect(args, console)
    else:
        _prepare(args, console)
    return EXIT_DONE


def _inspect(args: argparse.Namespace, console: Console) -> None:
    from metagan.data.inspect import format_summary, inspect_dataset
    from metagan.data.pairs import with_reference
    from metagan.data.reader import find_reader
    from metagan.data.registry import load_dataset

    if is_setting(args.path):
        # PATH may be left out, and then a setting stands in its place.
        args.overrides.insert(0, args.path)
        args.path = None
    config = load_data(args, args.path, args.overrides)
    if args.sheet is not None:
        check_out_file(args.sheet, "--sheet")
    dataset = with_reference(load_dataset(config.data), config.data)
    width = shutil.get_terminal_size().columns
    console.print(format_summary(inspect_dataset(dataset), width).rstrip())
    console.print(_enough(dataset, config.task))
    console.print(_division(dataset, config))
    if args.sheet is not None:
        find_reader(dataset.kind).sheet(dataset, args.sheet)
        console.print(f"wrote {args.sheet}")


def _prepare(args: argparse.Namespace, console: Console) -> None:
    from metagan.data.arrow import check_target, prepare
    from metagan.data.dataset import DataError
    from metagan.data.pairs import with_reference
    from metagan.data.registry import load_dataset

    config = load_data(args, args.path, args.overrides)
    args.out = expanded(args.out)
    check_out_folder(args.out, "OUT", new=False)
    check_target(args.out)
    dataset = with_reference(load_dataset(config.data), config.data)
    written = prepare(dataset, args.out)
    for note in dataset.notes:
        console.warn(note)
    console.print(
        f"wrote {counted(len(dataset.samples), 'sample')} of "
        f"{counted(dataset.num_classes, 'class', 'classes')} in "
        f"{counted(len(dataset.domains), 'domain')} to {written}"
    )
    try:
        _, settings = _splits(dataset, config)
    except DataError as error:
        console.print(f"too little to train on: {error}")
        return
    following = command_line(
        "train",
        "data.source=arrow",
        f"data.path={written}",
        *_form_of(config.data),
        *settings,
    )
    console.print(f"train on it: {following}")


def _form_of(data: DataConfig) -> list[str]:
    """The settings that say what a prepared sample is to networks."""
    kind = [f"data.kind={data.kind}"] if "kind" in data.model_fields_set else []
    keys = [key for key in settings_of(type(data), "networks") if key != "kind"]
    said = [override(f"data.{key}", getattr(data, key)) for key in keys if getattr(data, key)]
    return [*kind, *said]


def _splits(dataset: "Dataset", config: RunConfig) -> tuple["Splits", list[str]]:
    """How a training can divide the classes, and the settings that it needs for that.

    Raises:
        DataError: If nothing helps but more data.
    """
    from metagan.data.dataset import DataError
    from metagan.data.splits import make_splits

    try:
        return make_splits(dataset, config.data, seed=config.seed), []
    except DataError:
        by_class = config.data.model_copy(update={"split_by": "class"})
        return make_splits(dataset, by_class, seed=config.seed), ["data.split_by=class"]


def _division(dataset: "Dataset", config: RunConfig) -> str:
    """How a training would divide the classes, in words."""
    from metagan.data.dataset import DataError
    from metagan.data.pairs import reference_domain

    try:
        splits, settings = _splits(dataset, config)
    except DataError as error:
        return f"- too little to train on: {error}"
    given = f", with {' '.join(settings)}" if settings else ""
    reference = reference_domain(dataset)
    if reference is not None:
        given += f"; {printable(reference)} is the input of pairs, and in none of them"
    return (
        f"- a training would learn from {counted(len(splits.train), 'class', 'classes')}, choose "
        f"on {len(splits.validation)} and measure on {len(splits.test)}{given}"
    )


def _enough(dataset: "Dataset", task: TaskConfig) -> str:
    """How many classes have samples for an episode of these settings."""
    need = task.shots + task.num_query
    usable = sum(dataset.count(index) >= need for index in range(dataset.num_classes))
    return (
        f"- {usable} of {dataset.num_classes} classes have the {need} samples of an episode "
        f"(task.shots {task.shots} + task.num_query {task.num_query})"
    )
