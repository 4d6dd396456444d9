"""`metagan adapt`: fit a trained initialization to a new domain."""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.config import JobConfig
from metagan.cli.console import Console
from metagan.cli.options import (
    Parser,
    add_command,
    add_output,
    add_overrides,
    load_run,
    said_of_other_data,
    whole,
)
from metagan.cli.outputs import check_out_folder
from metagan.config.load import Loaded
from metagan.exits import EXIT_DONE
from metagan.runs.places import check_exists
from metagan.words import command_line, counted

if TYPE_CHECKING:
    from metagan.workflow.setup import LoadedRun

DESCRIPTION = """\
Adapt a trained initialization to a domain it has never seen, from a handful of
examples: the inner loop of training, started from the run's averaged weights.

The support is one picture, a folder of pictures of one class, or a folder with
one sub-folder per class; of a run on vectors a table or an npz file. It is read
as the run's own data were: where dark and bright were swapped there they are
swapped here, and back again in what is generated (data.invert=true or false
says otherwise); columns are found by their names. The result is a folder that
`metagan generate` draws from.

Settings of the inner loop can be changed, such as inner.lr=1e-3; one that the
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
            "metagan adapt --run runs/plants --support my_plants.csv --out adapted/",
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


def run(args: argparse.Namespace, console: Console) -> int:
    """Adapt; see `metagan.workflow.adapt`."""
    # Mistakes are reported before torch takes seconds to import.
    loaded = load_run(args)
    check_out_folder(args.out)
    check_exists(args.support, "--support")
    from metagan.data.reader import find_reader
    from metagan.kinds.registry import find_kind
    from metagan.workflow.adapt import (
        adapt_run,
        how_to_adapt,
        read_support,
        save_adapted,
        write_preview,
    )

    run, said = _as_told(loaded, args.run)
    kind, reader = find_kind(run.form.kind), find_reader(run.form.kind)
    classes, notes = read_support(args.support, run.form, **said)
    console.notes(notes, reader.warned)
    seed = run.config.seed if args.seed is None else args.seed
    sizes = sorted(len(samples) for samples in classes.values())
    if "input" in run.config.gan.conditioning:
        given = counted(sum(sizes), "pair")
    else:
        given = f"{counted(len(classes), 'class', 'classes')} with " + (
            f"{'-'.join(str(size) for size in {sizes[0]: 0, sizes[-1]: 0})} {reader.word}s each"
        )
    shots = sum(sizes) if "input" in run.config.gan.conditioning else sizes[-1]
    how = how_to_adapt(run, shots=shots, steps=args.steps)
    console.print(f"adapting {args.run} (outer step {run.step}) to {given}: {how.words}")
    if remark := kind.remark(classes.form, "adapt"):
        console.print(remark)
    target = adapt_run(run, classes, steps=args.steps, seed=seed)
    save_adapted(args.out, run, target, list(classes), steps=args.steps, seed=seed)
    write_preview(args.out / "preview.png", run, target, seed=seed)
    console.print(f"wrote {args.out} (preview.png: your {reader.word}s, then generated ones)")
    asked: tuple[object, ...] = ("--num", 64) if target.inputs is None else ("--inputs", "PATH")
    if target.asked is not None:
        asked = ()
    following = command_line(
        "generate", "--adapted", args.out, *asked, "--out", f"{args.out}-samples"
    )
    console.print(f"next: {following}")
    return EXIT_DONE


def _as_told(loaded: "Loaded[JobConfig]", folder: Path) -> tuple["LoadedRun", Mapping[str, object]]:
    """The run with these settings, and those settings that are about the support, not its data."""
    from metagan.workflow.setup import load_run as open_run

    run, settings = open_run(folder, JobConfig), loaded.config
    told = replace(run, config=settings, gan=replace(run.gan, config=settings.gan))
    return told, said_of_other_data(loaded)
