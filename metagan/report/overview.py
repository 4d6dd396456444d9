"""First parts of the page about a run: its state, the few numbers that matter most, its facts."""

from collections.abc import Iterable

from metagan.report.commands import missing
from metagan.report.headline import at_reference, sentence, tally
from metagan.report.load import RunFiles
from metagan.report.values import (
    DASH,
    SPACE,
    count,
    duration,
    finite,
    fixed,
    listing,
    pick,
    plural,
    shorten,
    significant,
)

_MAX_DOMAINS = 40


def status(run: RunFiles) -> str:
    """State of the run: the steps that it has done."""
    done = plural(run.steps_done, "outer step")
    if run.steps_planned is None:
        return f"Report of a run: {done}"
    if run.finished:
        return f"Report of a finished run: {done}"
    planned = plural(run.steps_planned, "outer step")
    return f"Report of an unfinished run: {count(run.steps_done)} of {planned}"


def more_results(run: RunFiles) -> str:
    """Sentences on the results that the headline leaves out."""
    if run.evaluation is None:
        return ""
    data = run.evaluation.data
    texts = [
        f"Without classical augmentation: {text[:1].lower()}{text[1:]}"
        for text in map(sentence, at_reference(data)[1:])
    ]
    return " ".join([*texts, tally(data)]).strip()


def tiles(run: RunFiles) -> list[tuple[str, str, str, str]]:
    """Name, value, a few words more and "good" or "bad" of the main numbers."""
    if run.evaluation is None:
        return []
    data, found = run.evaluation.data, []
    for section, name in (("downstream", "from scratch"), ("downstream_pretrained", "fine-tuned")):
        for gain in at_reference(data, section)[:1]:
            ends = gain.difference.text(signed=True).partition(" ")[2]
            found.append(
                (
                    f"Gain over {gain.baseline_name}, {name}, {plural(gain.shots, 'shot')}",
                    "left out"
                    if gain.closed
                    else fixed(100 * gain.difference.mean, 1, signed=True),
                    "the gate chose no generated samples" if gain.closed else f"points, {ends}",
                    {"gain": "good", "loss": "bad"}.get(gain.verdict, ""),
                )
            )
    kid, error, copies = (
        finite(pick(data, "quality", name)) for name in ("kid", "kid_stderr", "copies")
    )
    if kid is not None:
        about = "0 is perfect" if error is None else f"\u00b1 {fixed(error, 4)}; 0 is perfect"
        found.append(("Kernel distance (KID) on unseen domains", fixed(kid, 4), about, ""))
    if copies is not None:
        share = f"{fixed(100 * copies, 1)}{SPACE}%"
        about = f"about 1{SPACE}% is what unseen real samples would show"
        found.append(("Generated samples that are copies of a given one", share, about, ""))
    return found


def stale(run: RunFiles) -> str:
    """A word of caution where the evaluation is of an earlier state of the run."""
    evaluated = finite(pick(run.evaluation.data, "run_step")) if run.evaluation else None
    if evaluated is None or int(evaluated) == run.steps_done or not run.steps:
        return ""
    return (
        f"The evaluation is of outer step {count(evaluated)}; the log has reached step "
        f"{count(run.steps_done)}."
    )


def missing_by_command(run: RunFiles) -> dict[str, str]:
    """Missing parts of the page, by the command that makes them."""
    found: dict[str, str] = {}
    for what, command in missing(run):
        found[command] = f"{found[command]} {what}" if command in found else what
    return found


def weights(run: RunFiles) -> str:
    """Sizes of the networks."""
    return listing(
        f"{run.num_weights[player]:,} weights in the {player}"
        for player in ("generator", "discriminator")
        if player in run.num_weights
    )


def durations(run: RunFiles) -> str:
    """Durations of training and evaluation."""
    seconds = [finite(record.get("wall_s")) or 0.0 for record in run.steps]
    evaluated = finite(pick(run.evaluation.data, "wall_s")) if run.evaluation else None
    texts = [f"training {duration(sum(seconds))}"] if seconds else []
    return "; ".join(texts + [f"evaluation {duration(evaluated)}"] * (evaluated is not None))


def hardware(run: RunFiles) -> str:
    """Devices and workers that the run was trained on."""
    texts = [f"device {run.text('device')}"]
    workers = finite(run.settings.get("cluster.num_workers"))
    if run.command is not None and "--local" in run.command.split():
        texts.append("one process")
    elif workers is not None:
        gpus = finite(run.settings.get("cluster.gpus_per_worker")) or 0
        each = f"{significant(finite(run.settings.get('cluster.cpus_per_worker')), 2)} cores"
        each += f" and {significant(gpus, 2)} GPUs" if gpus else ""
        texts.append(f"{plural(int(workers), 'Ray worker')} with {each} each")
    if (cores := finite(run.environment.get("cpu_count"))) is not None:
        texts.append(f"driver with {plural(int(cores), 'core')}")
    texts += [str(run.environment[key]) for key in ("cpu", "platform") if run.environment.get(key)]
    return "; ".join(texts)


def versions(run: RunFiles) -> str:
    """Versions of Python and of packages."""
    packages = pick(run.environment, "packages")
    found = [("Python", run.environment.get("python"))]
    found += list(packages.items()) if isinstance(packages, dict) else []
    return ", ".join(f"{name} {version}" for name, version in found if version)


def names(domains: Iterable[str]) -> str:
    """The first domains by name."""
    ordered = sorted(domains)
    shown = ", ".join(shorten(name, 60) for name in ordered[:_MAX_DOMAINS])
    rest = len(ordered) - _MAX_DOMAINS
    return f"{shown} and {rest:,} more" if rest > 0 else shown or DASH
