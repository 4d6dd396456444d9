"""`metagan evaluate`: measure how much the generated samples help."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from cluster.config import JobConfig
from metagan.cli.console import Console
from metagan.cli.options import (
    Parser,
    UsageError,
    add_command,
    add_output,
    add_overrides,
    count,
    counts,
    load_run,
    named_run,
    said_of_other_data,
)
from metagan.cli.outputs import check_out_file, check_writable
from metagan.cli.train import check_data_there
from metagan.config.agreement import BUILT_IN
from metagan.config.load import Loaded
from metagan.config.settings import RunConfig
from metagan.config.tree import Kinds, lookup
from metagan.exits import EXIT_DONE
from metagan.runs.places import check_exists, check_run
from metagan.words import command_line

if TYPE_CHECKING:
    from metagan.workflow.evaluate import Target
    from metagan.workflow.setup import LoadedRun

DESCRIPTION = """\
Adapt to domains that training never saw and say, with 95 % intervals over
paired seeds, whether the generated samples make those domains' own classifier
better than classical augmentation does, and how good they look (KID, FID,
precision, recall, density, coverage, diversity, copies).

A run that is told inputs is measured against the truth instead: its answers
beside those of rivals that need no generator, and of other runs (--baseline).

Every choice (how many steps, how many generated samples, or none at all) is
made on validation domains; test domains are only measured.

Settings of the evaluation, the inner loop and the cluster can be changed, and
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
        choices=_sources(),
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


def _sources(kind: str | None = None) -> list[str]:
    """The layouts of files that there are for a kind of data; None: for any."""
    known: Kinds = {} if kind is None else {("data",): kind}
    field = lookup(RunConfig, ("data", "source"), known)
    assert field is not None
    return [name for name in get_args(field.annotation) if name not in BUILT_IN]


def run(args: argparse.Namespace, console: Console) -> int:
    """Evaluate; see `metagan.workflow.evaluate`."""
    if args.shots is not None:
        args.overrides.append(f"evaluate.shots={list(args.shots)}")
    if args.seeds is not None:
        args.overrides.append(f"evaluate.seeds={args.seeds}")
    # Mistakes are reported before torch takes seconds to import.
    loaded = load_run(args)
    config = loaded.config
    check_writable(args.run, f"--run {args.run}")  # The result of every repetition is kept there.
    if args.out is not None:
        check_out_file(args.out)
    if args.data is not None:
        check_exists(args.data, "--data")
        known = _sources(config.data.kind)
        if args.source not in known:
            raise UsageError(
                f"--source is {args.source}, but {args.run} was trained on data.kind "
                f"{config.data.kind}, which has {', '.join(known)}"
            )
        other = {"path": str(args.data), "source": args.source}
        check_data_there(config.data.model_copy(update=other))
    for name, folder in args.baseline or ():
        check_run(folder, f"--baseline {name}:")
    check_data_there(config.data, begun=True)
    return _evaluate(args, loaded, console)


def _evaluate(args: argparse.Namespace, loaded: Loaded[JobConfig], console: Console) -> int:
    from metagan.workflow.adaptation_pictures import write_adaptation_pictures
    from metagan.workflow.evaluate import build_subject, evaluate, open_target
    from metagan.workflow.setup import load_run as open_run

    config, run, target = loaded.config, open_run(args.run, JobConfig), None
    if args.data is not None:
        said = said_of_other_data(loaded)
        target, warning = open_target(
            args.data, args.source, config.data, run.form, said=said, reporter=console
        )
        if warning:
            console.warn(warning)
        # What was said of the target's pictures is not said of the run's own.
        config = config.model_copy(update={"data": run.trained.data})
    baselines = dict(args.baseline or ())
    if "input" in config.gan.conditioning:
        return _evaluate_pairs(args, run, config, target, baselines, console)
    subject = build_subject(run, config, reporter=console, target=target, baselines=baselines)
    from cluster.work import open_map

    with open_map(config.cluster) as work:
        result = evaluate(run, subject, work=work, reporter=console)
    if target is not None:
        _print_own_checks(result, console)
    out = _write(args, result, target)
    if target is None:
        write_adaptation_pictures(run, subject)
    print_tables(result, console, "accuracy in %, differences in points with 95 % intervals")
    console.print(
        "generated samples by initialization: lower KID and higher coverage are better; accuracy "
        "from\nscratch in %, without classical augmentation\n"
    )
    judge = result["source_classifier"]
    console.print(
        f"pre-trained and centroid by the source classifier {judge['sha256'][:12]}, "
        f"{100 * judge['held_out_accuracy']:.1f} % on held-out samples"
    )
    _say_written(args, out, console)
    return EXIT_DONE


def _evaluate_pairs(
    args: argparse.Namespace,
    run: "LoadedRun",
    config: JobConfig,
    target: "Target | None",
    baselines: Mapping[str, Path],
    console: Console,
) -> int:
    """Evaluate a run whose samples answer inputs."""
    from cluster.work import open_map
    from metagan.workflow.adaptation_pictures import write_answer_pictures
    from metagan.workflow.evaluate_pairs import build_pair_subject, evaluate_pairs, ways_chosen

    subject = build_pair_subject(run, config, reporter=console, target=target, baselines=baselines)
    with open_map(config.cluster) as work:
        result = evaluate_pairs(run, subject, work=work, reporter=console)
    out = _write(args, result, target)
    if target is None:
        write_answer_pictures(run, subject, ways_chosen(result))
    print_answers(result, console)
    _say_written(args, out, console)
    return EXIT_DONE


def print_answers(result: Mapping[str, Any], console: Console) -> None:
    """Print what an evaluation of answers to inputs found: every arm, and a verdict."""
    from metagan.workflow.evaluation_tables import (
        READING_HEADER,
        pair_header,
        pair_rows,
        reading_rows,
    )

    for shots in result["arms"]:
        console.print(f"{shots} shots, {len(result['domains'])} domains of {result['target']}:")
        console.table(pair_rows(result, shots), header=pair_header(result, shots))
        console.print("")
        if result["reading"] is not None:
            console.table(reading_rows(result, shots), header=READING_HEADER)
            console.print("")
    for name, about in result["measures"].items():
        console.print(f"{name}: {about['meaning']}; {about['better']} is better")
    for name, meaning in result["plain_arms"].items():
        console.print(f"{name}: {meaning}")
    console.print("means with 95 % intervals over domains; each arm as chosen on validation\n")
    for verdict in result["verdicts"].values():
        console.print(verdict)


def _write(args: argparse.Namespace, result: dict[str, Any], target: "Target | None") -> Path:
    """Write what was found as JSON; where."""
    from metagan.files import write_json
    from metagan.workflow.evaluate import EVALUATION_FILE

    result["baselines"] = {name: str(path) for name, path in args.baseline or ()}
    result["source"] = None if target is None else target.source
    name = EVALUATION_FILE if target is None else f"evaluation-{args.data.stem}.json"
    out: Path = args.out or args.run / name
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, result)
    return out


def _say_written(args: argparse.Namespace, out: Path, console: Console) -> None:
    from metagan.workflow.evaluate import EVALUATION_FILE

    # The report is about the run's own test classes.
    is_own = out == args.run / EVALUATION_FILE
    next_step = f"; next: {command_line('report', '--run', args.run)}" if is_own else ""
    console.print(f"wrote {out}{next_step}")


def print_tables(result: Mapping[str, Any], console: Console, legend: str) -> None:
    """Print what an evaluation found: the target's classifiers, then initializations compared."""
    from metagan.workflow.evaluation_tables import (
        HEADER,
        comparison_header,
        comparison_rows,
        evaluation_rows,
    )

    console.table(evaluation_rows(result), header=HEADER)
    console.print(f"{legend}\n")
    console.table(comparison_rows(result), header=comparison_header(result))


def _print_own_checks(result: Mapping[str, Any], console: Console) -> None:
    """Say what a target from other data found about the choices made on validation."""
    for row in result["own_checks"]:
        console.print(
            f"{row['shots']} shots, {row['classifier']}, {row['arm']}: the target's own samples "
            f"kept the use of generated ones in {row['kept']} of {row['asked']} repetitions"
        )
    if 1 in result["evaluate"]["shots"]:
        console.print("1 shot leaves nothing to check the choices on; they are of other data")
