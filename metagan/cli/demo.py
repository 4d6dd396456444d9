"""`metagan demo`: the whole product on built-in data."""

import argparse
import functools
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cluster.config import JobConfig
from metagan.cli.console import Console
from metagan.cli.evaluate import print_answers, print_tables
from metagan.cli.options import Parser, UsageError, add_command, add_output, add_overrides
from metagan.config.load import load_config
from metagan.exits import EXIT_DONE, EXIT_INTERRUPTED
from metagan.words import command_line

_CONFIGS: Final = Path(__file__).parent.with_name("workflow")
DEMOS: Final = ("styles", "glyphs")
"""What can be shown, the first by default; each has a file of settings of its name."""
_RIVALS: Final[Mapping[str, str]] = {
    "closed form": "the same in closed form, without a library of the training styles",
    "joint": "joint pre-training",
}

DESCRIPTION = """\
Show everything once, on data that come with the package, and write report.html.

styles (the default): letters and digits in styles whose rule is hidden. Train
on some styles with Ray; take ten letters of styles never seen, and draw the
others in their manner, in milliseconds; measure that against the truth, and
against simpler rivals.

glyphs: characters of 24 scripts. Train on some, adapt to scripts never seen,
generate characters, and measure what they are worth to a classifier.

Needs no data and no GPU; takes a few minutes on a laptop. In the run folder an
earlier demo's files are replaced, and all others stay."""


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Register the command."""
    parser = add_command(
        subparsers,
        "demo",
        summary="train, adapt, evaluate and report on built-in data",
        description=DESCRIPTION,
        examples=(
            "metagan demo",
            "metagan demo glyphs",
            "metagan demo --run runs/longer outer.steps=2000",
        ),
    )
    parser.add_argument(
        "--run",
        type=Path,
        metavar="DIR",
        help="default: runs/demo; runs/demo-glyphs of glyphs",
    )
    add_output(parser)
    add_overrides(parser)
    parser.usage = "metagan demo [styles|glyphs] [--run DIR] [key.path=value ...]"


def run(args: argparse.Namespace, console: Console) -> int:
    """Train, train the rivals, evaluate, report."""
    started = time.perf_counter()
    name, overrides = _told(args.overrides)
    # Mistakes in settings are reported before torch takes seconds to import.
    config = load_config(JobConfig, _CONFIGS / f"{name}.yaml", overrides).config
    folder: Path = args.run or Path("runs", "demo" if name == DEMOS[0] else f"demo-{name}")
    from metagan.workflow.demo import answer_rivals, claim_folders, joint_config
    from metagan.workflow.report import write_report

    answers = "input" in config.gan.conditioning
    rivals = answer_rivals(config) if answers else {"joint": joint_config(config)}
    places = {rival: folder / rival.replace(" ", "-") for rival in rivals}
    runs = {folder: config} | {places[rival]: rivals[rival] for rival in rivals}
    claim_folders(runs)
    titles = [
        f"meta-learning with {config.algorithm.name}",
        *(f"a rival: {_RIVALS[rival]}" for rival in rivals),
        f"adapting to {name if answers else 'scripts'} that training never saw, and measuring",
    ]
    titles = [f"\n{number}/{len(titles)} {title}" for number, title in enumerate(titles, 1)]
    from cluster.connect import ray_session

    with ray_session(config.cluster):
        for title, (path, settings) in zip(titles[:-1], runs.items(), strict=True):
            console.print(title)
            if not _train(settings, path, console):
                words = () if name == DEMOS[0] else (name,)
                again = command_line("demo", *words, "--run", folder, program=_program())
                console.print(f"interrupted; start again with: {again}")
                return EXIT_INTERRUPTED
        console.print(titles[-1])
        measure = _measure_answers if answers else _measure_use
        measure(folder, places, config, console)
    report = write_report(folder, folder / "report.html", config_model=JobConfig)
    console.print(
        f"\ndone in {time.perf_counter() - started:.0f} s; open {report} to see the pictures\nnext:"
    )
    mine = "YOUR_LETTERS/" if answers else "YOUR_PICTURES/"
    more = () if answers else ("--num", 64)
    for words in (
        ("adapt", "--run", folder, "--support", mine, "--out", "adapted"),
        ("generate", "--adapted", "adapted", *more, "--out", "samples"),
        ("train", "data.path=YOUR_DATA", "--run", "runs/mine"),
    ):
        console.print(f"  {command_line(*words, program=_program())}")
    return EXIT_DONE


def _told(words: Sequence[str]) -> tuple[str, list[str]]:
    """The demo that is asked for, and settings."""
    names = [word for word in words if "=" not in word]
    if len(names) > 1 or not set(names) <= set(DEMOS):
        wrong = next((name for name in names if name not in DEMOS), names[-1])
        raise UsageError(f"demo {wrong}: expected one of {', '.join(DEMOS)}, or key.path=value")
    return (names or DEMOS)[0], [word for word in words if "=" in word]


def _train(config: JobConfig, path: Path, console: Console) -> bool:
    """Train one of the runs on the Ray that is there; returns whether it was not interrupted."""
    from cluster.opening import open_runner
    from metagan.workflow.train import train_run

    outcome = train_run(
        config,
        path,
        open_runner=functools.partial(open_runner, config=config.cluster),
        reporter=console,
        alone=False,
    )
    return outcome.status != "interrupted"


def _measure_answers(
    folder: Path, rivals: Mapping[str, Path], config: JobConfig, console: Console
) -> None:
    """Measure answers to inputs, draw them and time them."""
    from cluster.work import open_map
    from metagan.workflow.adaptation_pictures import write_answer_pictures
    from metagan.workflow.demo import time_to_answer
    from metagan.workflow.evaluate_pairs import build_pair_subject, evaluate_pairs, ways_chosen
    from metagan.workflow.setup import load_run

    run = load_run(folder, JobConfig)
    subject = build_pair_subject(run, config, reporter=console, baselines=rivals)
    with open_map(config.cluster) as work:
        result = evaluate_pairs(run, subject, work=work, reporter=console)
    _write(folder, rivals, result)
    ways = ways_chosen(result)
    write_answer_pictures(run, subject, ways)
    console.print("")
    print_answers(result, console)
    seconds, shots, drawn = time_to_answer(subject, ways["run"])
    console.print(f"adapting to {shots} letters and drawing {drawn} others took {seconds:.2f} s")


def _measure_use(
    folder: Path, rivals: Mapping[str, Path], config: JobConfig, console: Console
) -> None:
    """Measure what generated samples are worth to classifiers, and draw some."""
    from cluster.work import open_map
    from metagan.workflow.adaptation_pictures import write_adaptation_pictures
    from metagan.workflow.evaluate import build_subject, evaluate
    from metagan.workflow.setup import load_run

    with open_map(config.cluster) as work:
        run = load_run(folder, JobConfig)
        subject = build_subject(run, config, reporter=console, baselines=rivals)
        result = evaluate(run, subject, work=work, reporter=console)
    _write(folder, rivals, result)
    write_adaptation_pictures(run, subject)
    console.print("")
    print_tables(
        result,
        console,
        "accuracy in % on scripts never seen, differences in points with 95 % intervals",
    )


def _write(folder: Path, rivals: Mapping[str, Path], result: dict[str, Any]) -> None:
    from metagan.files import write_json
    from metagan.workflow.evaluate import EVALUATION_FILE

    result["baselines"] = {name: str(path) for name, path in rivals.items()}
    write_json(folder / EVALUATION_FILE, result)


def _program() -> list[str]:
    """Words by which the user can call this command again from the same folder."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return ["python", "-m", "metagan"]
    # `make demo` calls the environment's own, which is not on the user's PATH.
    here = Path.cwd()
    inside = called.is_absolute() and called.is_relative_to(here)
    return [str(called.relative_to(here) if inside else called)]
