"""`metagan generate`: draw samples from an adapted GAN."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from metagan.cli.console import Console
from metagan.cli.options import Parser, UsageError, add_command, add_output, count, whole
from metagan.cli.outputs import check_out_folder
from metagan.exits import EXIT_DONE
from metagan.runs.places import check_adapted
from metagan.words import counted

if TYPE_CHECKING:
    from metagan.workflow.adapt import AdaptedGan

DESCRIPTION = """\
Draw new samples from a GAN that `metagan adapt` has fitted: pictures as files
in one sub-folder per class and a Parquet table, vectors as npz and Parquet.
Equal seeds draw equal samples. A GAN that is told inputs draws the answers to
the inputs in a file, or to every sample of its reference domain. Of one that
fills pictures in (data.input mask) the inputs are pictures whose missing part
is transparent."""


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Register the command."""
    parser = add_command(
        subparsers,
        "generate",
        summary="draw samples from an adapted GAN",
        description=DESCRIPTION,
        examples=(
            "metagan generate --adapted adapted/ --num 64 --out samples/ --seed 1",
            "metagan generate --adapted adapted/ --inputs states.csv --out answers/",
            "metagan generate --adapted adapted/ --inputs with_holes/ --out filled/",
        ),
    )
    parser.add_argument(
        "--adapted", type=Path, required=True, metavar="DIR", help="result of metagan adapt"
    )
    parser.add_argument(
        "--num",
        type=count,
        metavar="N",
        help="samples per class (default: 64; 1 for each input of a reference domain)",
    )
    parser.add_argument(
        "--inputs",
        type=Path,
        metavar="PATH",
        help="inputs to answer, in place of --num (gan.conditioning input)",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where the samples are written"
    )
    parser.add_argument(
        "--best-of",
        type=count,
        metavar="N",
        help="draw N for each sample and keep the one that the discriminator finds most real; "
        "default: what the run evaluates with (evaluate.best_of)",
    )
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="default: 0")
    add_output(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Generate; see `metagan.workflow.generate`."""
    check_out_folder(args.out)
    check_adapted(args.adapted, "--adapted")
    from metagan.data.reader import find_reader
    from metagan.kinds.registry import find_kind
    from metagan.workflow.adapt import load_adapted
    from metagan.workflow.generate import draw_samples, write_samples

    adapted = load_adapted(args.adapted)
    if args.inputs is not None and args.num is not None:
        raise UsageError("--num and --inputs exclude each other: each input has one answer")
    if adapted.target.asked is not None:
        if args.inputs is not None:
            raise UsageError(
                f"{args.adapted} answers the samples of its run's reference domain; leave --inputs "
                "out, and it draws every label"
            )
        return _answer_all(args, adapted, console)
    if (args.inputs is None) == (adapted.target.inputs is not None):
        raise UsageError(
            f"{args.adapted} is not told inputs, so it has no answers to draw; leave --inputs out"
            if args.inputs
            else f"{args.adapted} draws answers to inputs; name a file of inputs by --inputs"
        )
    if args.inputs is not None:
        return _answer(args, adapted, console)
    best_of = adapted.info.get("best_of", 1) if args.best_of is None else args.best_of
    num = 64 if args.num is None else args.num
    samples = draw_samples(adapted, num=num, seed=args.seed, best_of=best_of)
    written = write_samples(args.out, adapted, samples, seed=args.seed)
    word = find_reader(adapted.form.kind).word
    remark = find_kind(adapted.form.kind).remark(adapted.form, "generate")
    console.print(
        f"wrote {counted(num, word)} of each of "
        f"{counted(len(adapted.labels), 'class', 'classes')} to {args.out} ({written})"
        + (f"; {remark}" if remark else "")
    )
    return EXIT_DONE


def _answer_all(args: argparse.Namespace, adapted: "AdaptedGan", console: Console) -> int:
    """Draw answers to every input that there is."""
    from metagan.data.reader import find_reader
    from metagan.workflow.generate import draw_labels, write_labels

    num = 1 if args.num is None else args.num
    labels, samples = draw_labels(adapted, num=num, seed=args.seed)
    written = write_labels(args.out, adapted, labels, samples, seed=args.seed)
    word = find_reader(adapted.form.kind).word
    console.print(
        f"wrote {counted(num, word)} of each of {counted(len(labels), 'label')} to {args.out} "
        f"({written})"
    )
    return EXIT_DONE


def _answer(args: argparse.Namespace, adapted: "AdaptedGan", console: Console) -> int:
    """Draw answers to the inputs in a file."""
    from metagan.data.reader import find_reader
    from metagan.workflow.generate import draw_answers, write_answers

    found = draw_answers(adapted, args.inputs, seed=args.seed)
    console.notes(found.notes, find_reader(adapted.form.kind).warned)
    written = write_answers(args.out, adapted, found, seed=args.seed)
    console.print(f"wrote {counted(len(found.samples), 'answer')} to {args.out} ({written})")
    return EXIT_DONE
