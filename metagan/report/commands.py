"""The commands that made a run, that repeat it, and that make what is missing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metagan.config.removed import REMOVED
from metagan.config.yaml import format_value
from metagan.report.load import EVALUATION, Evaluation, RunFiles
from metagan.report.values import count, plural, records
from metagan.words import command_line

# Initializations that need no other run: the run itself and untrained weights.
_OWN_INITS = ("run", "scratch")


def train_command(run: RunFiles, *, again: bool) -> str:
    """Trains the same run `again` in another folder, from its stored settings, or continues it."""
    folder = run.path.parent / f"{run.name}-again" if again else run.path
    words = ["train", "-c", run.path / "config.yaml", "--run", folder]
    return command_line(*words, *["--local"] * run.is_local, *["--resume"] * (not again))


def evaluate_command(run: RunFiles, evaluation: Evaluation | None) -> str:
    """Evaluates the run; with an evaluation, such that it is the same again."""
    words: list[object] = ["evaluate", "--run", run.path]
    if evaluation is None:
        return command_line(*words)
    data, is_other = evaluation.data, evaluation.file != EVALUATION
    if is_other:
        words += ["--data", data.get("target", "PATH")]
    compared = [str(row.get("init")) for row in records(data.get("comparison"))]
    named = data.get("baselines")
    compared += map(str, named) if isinstance(named, Mapping) else ()
    for name in dict.fromkeys(compared):
        if name not in _OWN_INITS:
            words += ["--baseline", f"{name}={_baseline_folder(run, name)}"]
    if is_other:
        words += ["--out", run.path / evaluation.file]
    return command_line(*words, *_changed_settings(run, data))


def to_repeat(run: RunFiles) -> list[tuple[str, str]]:
    """Commands that repeat parts of a run, each with a text that says what it does."""
    target = ("--support", "PATH", "--out", "DIR")
    return [
        ("Train the same run again, from its stored settings", train_command(run, again=True)),
        ("Evaluate it", evaluate_command(run, run.evaluation)),
        *[("Adapt it to a few pairs", command_line("adapt", "--run", run.path, *target))]
        * run.is_told_inputs,
        *(
            (f"Evaluate it on another target ({other.target})", evaluate_command(run, other))
            for other in run.others
        ),
        ("Write this report", command_line("report", "--run", run.path)),
    ]


def missing(run: RunFiles) -> dict[str, str]:
    """Parts that an unfinished run lacks, in words, by the command that makes them."""
    resume, again = train_command(run, again=False), train_command(run, again=True)
    evaluate = evaluate_command(run, None)
    found: dict[str, list[str]] = {resume: [], evaluate: [], again: []}
    if not run.steps:
        found[resume].append("No outer step has been logged.")
    elif not run.finished and run.steps_planned is not None:
        done = f"{count(run.steps_done)} of {plural(run.steps_planned, 'outer step')}"
        found[resume].append(f"Training stopped after {done}.")
    if run.evaluation is None:
        found[evaluate].append("There is no evaluation on unseen domains.")
    if not run.adaptation:
        found[evaluate].append("There are no pictures of adaptation to unseen domains.")
    absent = [p.domain for p in run.adaptation if not all(file.is_file() for file in p.files)]
    if absent:
        found[evaluate].append(f"The pictures of {', '.join(absent)} are gone.")
    for name, there in (("splits.json", run.splits), ("data.json", run.data)):
        if not there:
            found[again].append(f"{name} is missing; training again writes it.")
    return {command: " ".join(texts) for command, texts in found.items() if texts}


def _changed_settings(run: RunFiles, data: Mapping[str, Any]) -> list[str]:
    """Overrides for the settings of an evaluation that are not those of the run.

    What an earlier version set to the value that is always taken now is no setting any more.
    """
    evaluate = data.get("evaluate")
    if not isinstance(evaluate, Mapping):
        return []
    return [
        f"evaluate.{key}={format_value(value)}"
        for key, value in evaluate.items()
        if run.settings.get(name := f"evaluate.{key}") != value
        and value not in REMOVED.get(name, ())
    ]


def _baseline_folder(run: RunFiles, name: str) -> str:
    inside = run.path / name
    plain = Path(name).name == name
    return str(inside) if plain and (inside / "config.yaml").is_file() else "DIR"
