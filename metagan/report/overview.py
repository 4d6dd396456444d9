"""First parts of the page about a run: its state, the few numbers that matter most, its facts."""

from collections.abc import Iterable
from typing import Any

from metagan.report.commands import missing
from metagan.report.headline import at_reference, sentence, tally
from metagan.report.load import SPLITS, RunFiles, domains_of
from metagan.report.values import (
    DASH,
    SPACE,
    Row,
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
    """How far the run got."""
    done = plural(run.steps_done, "outer step")
    if run.steps_planned is None:
        return f"Report of a run: {done}"
    if run.finished:
        return f"Report of a finished run: {done}"
    planned = plural(run.steps_planned, "outer step")
    return f"Report of an unfinished run: {count(run.steps_done)} of {planned}"


def more_results(run: RunFiles) -> str:
    """What the headline leaves out."""
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
    """For each command that makes something what it would make."""
    found: dict[str, str] = {}
    for what, command in missing(run):
        found[command] = f"{found[command]} {what}" if command in found else what
    return found


def facts(run: RunFiles) -> list[tuple[str, str]]:
    """Data, algorithm, networks, machine, versions and hashes."""
    return [
        ("Data", _data(run)),
        ("Task", _task(run)),
        ("Algorithm", _algorithm(run)),
        ("Networks", _networks(run)),
        ("Outer steps", _steps(run)),
        ("Duration", _durations(run)),
        ("Hardware", _hardware(run)),
        ("Versions", _versions(run)),
        ("Seed", _text(run, "seed")),
        ("Data hash", _hash(pick(run.data, "sha256"))),
        ("Settings hash", _hash(run.config_sha256)),
    ]


def _data(run: RunFiles) -> str:
    names = [name for split in run.splits.values() for name in split]
    source = run.settings.get("data.source", pick(run.data, "origin", "source"))
    path = run.settings.get("data.path")
    name = "" if source is None else str(source)
    words = [f"{name} at {path}" if path is not None else name]
    if names:
        domains = plural(len(domains_of(tuple(names))), "domain")
        words.append(f"{domains}, {plural(len(names), 'class', 'classes')}")
    size = finite(run.settings.get("data.image_size"))
    if size is not None:
        colour = "colour" if run.settings.get("data.channels") == 3 else "grey"
        words.append(f"{size:.0f}{SPACE}\u00d7{SPACE}{size:.0f} pixels, {colour}")
    return ", ".join(word for word in words if word)


def _task(run: RunFiles) -> str:
    unit = run.settings.get("task.unit")
    if unit is None:
        return ""
    ways = f" of {_text(run, 'task.ways')} classes" if unit == "domain" else ""
    return (
        f"one {unit}{ways}; {_text(run, 'task.shots')} support and "
        f"{_text(run, 'task.num_query')} query samples per class"
    )


def _algorithm(run: RunFiles) -> str:
    name = run.settings.get("algorithm.name")
    if name is None:
        return ""
    text = (
        f"{name}: {_text(run, 'inner.steps')} inner steps ({_text(run, 'inner.optimizer')}, lr "
        f"{_text(run, 'inner.lr')}); outer {_text(run, 'outer.optimizer')}, lr "
        f"{_text(run, 'outer.lr')}, meta-batch {_text(run, 'outer.meta_batch_size')}"
    )
    warmup = finite(run.settings.get("warmup.steps"))
    if warmup:
        text += f"; the first {plural(int(warmup), 'outer step')} joint pre-training (warm-up)"
    return text


def _networks(run: RunFiles) -> str:
    family = run.settings.get("gan.family")
    if family is None:
        return ""
    weights = listing(
        f"{run.num_weights[player]:,} weights in the {player}"
        for player in ("generator", "discriminator")
        if player in run.num_weights
    )
    return (
        f"{family} family, conditioning: {_text(run, 'gan.conditioning')}, width "
        f"{_text(run, 'gan.width')} (discriminator {_text(run, 'gan.discriminator_width')}), "
        f"latent dimension {_text(run, 'gan.latent_dim')}; {_text(run, 'gan.loss')} loss"
        + (f"; {weights}" if weights else "")
    )


def _steps(run: RunFiles) -> str:
    planned = f" of {count(run.steps_planned)}" if run.steps_planned is not None else ""
    episodes = sum(finite(record.get("episodes")) or 0 for record in run.steps)
    return f"{count(run.steps_done)}{planned}; {count(episodes)} episodes"


def _durations(run: RunFiles) -> str:
    seconds = [finite(record.get("wall_s")) or 0.0 for record in run.steps]
    texts = [f"training {duration(sum(seconds))}"] if seconds else []
    evaluated = finite(pick(run.evaluation.data, "wall_s")) if run.evaluation else None
    texts += [f"evaluation {duration(evaluated)}"] if evaluated is not None else []
    return "; ".join(texts)


def _hardware(run: RunFiles) -> str:
    cores = finite(run.environment.get("cpu_count"))
    texts = [f"device {_text(run, 'device')}"]
    if run.command is not None and "--local" in run.command.split():
        texts.append("one process")
    elif (workers := finite(run.settings.get("cluster.num_workers"))) is not None:
        gpus = finite(run.settings.get("cluster.gpus_per_worker")) or 0
        each = f"{significant(finite(run.settings.get('cluster.cpus_per_worker')), 2)} cores"
        each += f" and {significant(gpus, 2)} GPUs" if gpus else ""
        texts.append(f"{plural(int(workers), 'Ray worker')} with {each} each")
    if cores is not None:
        texts.append(f"driver with {plural(int(cores), 'core')}")
    texts += [str(run.environment[key]) for key in ("cpu", "platform") if run.environment.get(key)]
    return "; ".join(texts)


def _versions(run: RunFiles) -> str:
    packages = pick(run.environment, "packages")
    found = [("Python", run.environment.get("python"))]
    found += list(packages.items()) if isinstance(packages, dict) else []
    return ", ".join(f"{name} {version}" for name, version in found if version)


def _hash(value: Any) -> str:
    return value if isinstance(value, str) else ""


def splits(run: RunFiles) -> list[Row]:
    """Each split with its domains."""
    return [
        Row([split.capitalize(), count(len(domains)), count(len(names)), _named(domains)])
        for split in (SPLITS if run.splits else ())
        for names in [run.splits.get(split, ())]
        for domains in [domains_of(names)]
    ]


def _named(domains: Iterable[str]) -> str:
    names = sorted(domains)
    shown = ", ".join(shorten(name, 60) for name in names[:_MAX_DOMAINS])
    rest = len(names) - _MAX_DOMAINS
    return f"{shown} and {rest:,} more" if rest > 0 else shown or DASH


def _text(run: RunFiles, key: str) -> str:
    value = run.settings.get(key)
    return DASH if value is None else str(value)


def version(run: RunFiles) -> str:
    """Of metagan, that trained the run."""
    found = pick(run.environment, "packages", "metagan")
    return f" {found}" if found else ""
