"""Facts of a run for the first and the last parts of its page."""

from collections.abc import Mapping, Sequence
from typing import Any

from metagan.config.algorithms import ALGORITHMS
from metagan.config.load import Config, list_settings
from metagan.config.yaml import YamlError, format_value, parse_document
from metagan.report.headline import leak_sentence
from metagan.report.load import SPLITS, RunFiles, domains_of, texts
from metagan.report.values import (
    count,
    duration,
    finite,
    listing,
    pick,
    plural,
    shorten,
    significant,
)

Cells = list[str | None]
_MAX_NAMES = 40
_MAX_NOTES = 40


def status(run: RunFiles) -> str:
    """State of the run: the steps that it has done."""
    if run.steps_planned is None or run.finished:
        return (
            f"Report of a {'finished ' * run.finished}run: {plural(run.steps_done, 'outer step')}"
        )
    planned = plural(run.steps_planned, "outer step")
    return f"Report of an unfinished run: {count(run.steps_done)} of {planned}"


def stale(run: RunFiles) -> str:
    """A word of caution where the evaluation is of an earlier state of the run."""
    evaluated = finite(pick(run.evaluation.data, "run_step")) if run.evaluation else None
    if evaluated is None or int(evaluated) == run.steps_done or not run.steps:
        return ""
    return (
        f"The evaluation is of outer step {count(evaluated)}; the log has reached step "
        f"{count(run.steps_done)}."
    )


def task(run: RunFiles) -> str:
    """One task: how many samples of how many classes it gives."""
    unit, pooled = run.text("task.unit"), run.is_told_inputs
    ways = f" of {run.text('task.ways')} classes" if unit == "domain" and not pooled else ""
    what = "pairs" if pooled else "samples per class"
    shots, asked = run.text("task.shots"), run.text("task.num_query")
    return f"one {unit}{ways}; {shots} support and {asked} query {what}"


def adapting(run: RunFiles) -> str:
    """How a task is adapted to."""
    name = run.text("algorithm.name")
    solved = "head solved in closed form"
    if name in ALGORITHMS and ALGORITHMS[name].solves:
        return f"{name}: {solved}"
    also = f", then {solved}" if run.settings.get("inner.solve") is True else ""
    return (
        f"{name}: {run.text('inner.steps')} inner steps ({run.text('inner.optimizer')}, lr "
        f"{run.text('inner.lr')}){also}"
    )


def losses(run: RunFiles) -> str:
    """The terms of the generator's loss that have a name."""
    weight = finite(run.settings.get("gan.adversarial_weight", 1.0))
    terms = [f"{run.text('gan.loss')} loss" if weight else "no discriminator"]
    if run.settings.get("gan.reconstruction", "none") != "none":
        terms.append(f"{run.text('gan.reconstruction')} distance from known answers")
    return ", ".join(terms)


def weights(run: RunFiles) -> str:
    """Sizes of the networks, the generator first."""
    found = sorted(run.num_weights.items(), reverse=True)
    return listing(
        plural(number, "learned rate") if part == "rates" else f"{number:,} weights in the {part}"
        for part, number in found
    )


def durations(run: RunFiles) -> str:
    """Durations of training and evaluation."""
    evaluated = finite(pick(run.evaluation.data, "wall_s")) if run.evaluation else None
    parts = [f"training {duration(run.total('wall_s'))}"] if run.steps else []
    return "; ".join(parts + [f"evaluation {duration(evaluated)}"] * (evaluated is not None))


def hardware(run: RunFiles) -> str:
    """Devices and workers that the run was trained on."""
    parts = [f"device {run.text('device')}"]
    workers = finite(run.settings.get("cluster.num_workers"))
    if run.is_local:
        parts.append("one process")
    elif workers is not None:
        gpus = finite(run.settings.get("cluster.gpus_per_worker")) or 0
        each = f"{significant(finite(run.settings.get('cluster.cpus_per_worker')), 2)} cores"
        each += f" and {significant(gpus, 2)} GPUs" if gpus else ""
        parts.append(f"{plural(int(workers), 'Ray worker')} with {each} each")
    if (cores := finite(run.environment.get("cpu_count"))) is not None:
        parts.append(f"driver with {plural(int(cores), 'core')}")
    parts += [str(run.environment[key]) for key in ("cpu", "platform") if run.environment.get(key)]
    return "; ".join(parts)


def versions(run: RunFiles) -> str:
    """Versions of Python and of packages."""
    packages = pick(run.environment, "packages")
    found = {"Python": run.environment.get("python")}
    found |= packages if isinstance(packages, Mapping) else {}
    return ", ".join(f"{name} {version}" for name, version in found.items() if version)


def splits(run: RunFiles) -> list[Cells]:
    """Each split with its numbers of domains and classes, and its first domains by name."""
    rows: list[Cells] = []
    for split in SPLITS if run.splits else ():
        classes = run.splits.get(split, ())
        domains = domains_of(classes)
        numbers = [count(len(domains)), count(len(classes))]
        rows.append([split.capitalize(), *numbers, first(domains) or None])
    return rows


def first(names: Sequence[str]) -> str:
    """The first names, and the number of the others."""
    more = len(names) - _MAX_NAMES
    shown = ", ".join(shorten(name, 60) for name in names[:_MAX_NAMES])
    return shown + f" and {more:,} more" * (more > 0)


def notes(run: RunFiles) -> list[str]:
    """Notes on the data of a run, the first ones of very many."""
    found = [leak_sentence(run.data).strip(), *texts(run.data.get("notes"))]
    shown = [shorten(note, 400) for note in found if note]
    more = len(shown) - _MAX_NOTES
    return shown[:_MAX_NOTES] + [f"{more:,} more are in data.json"] * (more > 0)


def origin(run: RunFiles) -> list[Cells]:
    """Rows on the origin of the data."""
    found = pick(run.data, "origin")
    return [
        [str(key), shorten(_plain(value), 400)]
        for key, value in sorted(found.items() if isinstance(found, Mapping) else ())
        if value not in ({}, [], "", None) and key != "pictures"
    ]


def settings(values: Mapping[str, Any], model: type[Config]) -> tuple[list[Cells], list[Cells]]:
    """Settings by dotted key that are not the model's defaults, and all others."""
    known = {setting.key: setting for setting in list_settings(model)}
    changed: list[Cells] = []
    others: list[Cells] = []
    for key, value in values.items():
        setting = known.get(key)
        default = None if setting is None else setting.default
        cells: Cells = [
            key,
            shorten(format_value(value), 300),
            None if default is None else shorten(default, 300),
            "" if setting is None else setting.description,
        ]
        (others if default is None or _equal(value, default) else changed).append(cells)
    return changed, others


def meanings(model: type[Config]) -> dict[str, str]:
    """The meaning of every setting."""
    return {setting.key: setting.description for setting in list_settings(model)}


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    return value if isinstance(value, str) else format_value(value)


def _equal(value: Any, default: str) -> bool:
    try:
        return bool(parse_document(default).data == value)
    except YamlError:
        return False
