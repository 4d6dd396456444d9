"""The page about a run: its sections in order."""

from metagan.config.load import Config
from metagan.report.appendix import commands_section, data_section, settings_section
from metagan.report.document import Section, document
from metagan.report.gate import gate_section
from metagan.report.headline import headline, tally
from metagan.report.html import Child, el
from metagan.report.load import Evaluation, RunFiles
from metagan.report.overview import result_section, what_was_run
from metagan.report.results import accuracy_section, comparison_section, quality_section
from metagan.report.sheets import adaptation_section, previews
from metagan.report.training import curves_section, failures_section, time_section


def render(run: RunFiles, model: type[Config]) -> str:
    """The page as text.

    Args:
        run: What the run folder holds.
        model: The settings' type, for defaults and meanings.
    """
    title = f"{run.name}: report of a run"
    return document(title, result_section(run), _sections(run, model), _footer(run))


def _sections(run: RunFiles, model: type[Config]) -> list[Section]:
    sections: list[Section] = [
        ("run", "What was run", what_was_run(run)),
        ("adaptation", "Adaptation to unseen domains", adaptation_section(run)),
    ]
    if run.evaluation is not None:
        data = run.evaluation.data
        sections += [
            ("accuracy", "Accuracy on unseen domains", accuracy_section(data)),
            ("initializations", "Comparison of initializations", comparison_section(data)),
            ("gate", "What the gate chose, and why", gate_section(data)),
            ("quality", "Quality of generated samples", quality_section(data)),
        ]
    sections += [
        (f"target-{number}", f"Other target: {_target(other)}", _other_target(other))
        for number, other in enumerate(run.others, 1)
    ]
    sections += [
        ("training", "Training", [curves_section(run), previews(run)]),
        ("time", "Time", time_section(run)),
        ("failures", "Failures and restarts", failures_section(run)),
        ("data", "Notes on the data", data_section(run)),
        ("settings", "Settings", settings_section(run.settings, model)),
        ("repeat", "How to repeat it", commands_section(run)),
    ]
    return sections


def _other_target(evaluation: Evaluation) -> list[Child]:
    """The same results as of the run's own test classes, in brief headings."""
    data = evaluation.data
    return [
        el("p", headline(data)),
        el("p", tally(data)),
        accuracy_section(data),
        el("h3", "Initializations"),
        comparison_section(data),
        el("h3", "Choices"),
        gate_section(data),
        el("h3", "Quality"),
        quality_section(data),
    ]


def _target(evaluation: Evaluation) -> str:
    return str(evaluation.data.get("target", evaluation.file))


def _footer(run: RunFiles) -> str:
    version = ""
    packages = run.environment.get("packages")
    if isinstance(packages, dict) and packages.get("metagan"):
        version = f" {packages['metagan']}"
    return (
        f"Trained with metagan{version}. Accuracies are percentages, gains percentage points; "
        "brackets hold 95 % intervals, \u00b1 a standard error, and a dash stands for a number "
        "that was not measured or is not defined."
    )
