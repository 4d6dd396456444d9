"""First sections of the page: the result, what is missing, and what was run."""

from collections.abc import Iterable

from metagan.report.commands import missing
from metagan.report.headline import at_reference, headline, sentence, tally
from metagan.report.html import Child, Html, el, shorten
from metagan.report.load import SPLITS, RunFiles, domains_of
from metagan.report.tables import Column, Row, facts, note, table
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
    significant,
)

_MAX_DOMAINS = 40


def result_section(run: RunFiles) -> Html:
    """The run's name, its result in words, and the few numbers that matter most."""
    data = None if run.evaluation is None else run.evaluation.data
    more: list[str] = []
    if data is not None:
        more = [
            f"Without classical augmentation: {text[:1].lower()}{text[1:]}"
            for text in map(sentence, at_reference(data)[1:])
        ]
        more.append(tally(data))
    return el(
        "header",
        el("p", _status(run), class_="kicker"),
        el("h1", run.name),
        el("p", headline(data), class_="lead"),
        el("p", " ".join(text for text in more if text)) if any(more) else None,
        _tiles(run),
        _stale(run),
        _missing(run),
        _damaged(run),
    )


def _status(run: RunFiles) -> str:
    if run.steps_planned is None:
        return f"Report of a run: {plural(run.steps_done, 'outer step')}"
    if run.finished:
        return f"Report of a finished run: {plural(run.steps_done, 'outer step')}"
    return (
        f"Report of an unfinished run: {count(run.steps_done)} of "
        f"{plural(run.steps_planned, 'outer step')}"
    )


def _tiles(run: RunFiles) -> Html | None:
    if run.evaluation is None:
        return None
    data = run.evaluation.data
    tiles = []
    for section, name in (("downstream", "from scratch"), ("downstream_pretrained", "fine-tuned")):
        for comparison in at_reference(data, section)[:1]:
            shown = "left out" if comparison.closed else None
            points = fixed(100 * comparison.difference.mean, 1, signed=True)
            detail = (
                "the gate chose no generated samples"
                if comparison.closed
                else f"points, {comparison.difference.text(signed=True).partition(' ')[2]}"
            )
            tone = {"gain": "good", "loss": "bad"}.get(comparison.verdict)
            tiles.append(
                _tile(
                    f"Gain over {comparison.baseline_name}, {name}, "
                    f"{plural(comparison.shots, 'shot')}",
                    shown or points,
                    detail,
                    tone=tone,
                )
            )
    kid = finite(pick(data, "quality", "kid"))
    if kid is not None:
        error = finite(pick(data, "quality", "kid_stderr"))
        tiles.append(
            _tile(
                "Kernel distance (KID) on unseen domains",
                fixed(kid, 4),
                "0 is perfect" if error is None else f"\u00b1 {fixed(error, 4)}; 0 is perfect",
            )
        )
    copies = finite(pick(data, "quality", "copies"))
    if copies is not None:
        tiles.append(
            _tile(
                "Generated samples that are copies of a given one",
                f"{fixed(100 * copies, 1)}{SPACE}%",
                "about 1\u00a0% is what unseen real samples would show",
            )
        )
    return el("dl", tiles, class_="tiles") if tiles else None


def _tile(name: str, value: str, detail: str, *, tone: str | None = None) -> Html:
    return el(
        "div",
        el("dt", name),
        el("dd", value, class_=tone),
        el("dd", detail, class_="more"),
        class_="tile",
    )


def _stale(run: RunFiles) -> Html | None:
    """A word of caution where the evaluation is of an earlier state of the run."""
    evaluated = finite(pick(run.evaluation.data, "run_step")) if run.evaluation else None
    if evaluated is None or int(evaluated) == run.steps_done or not run.steps:
        return None
    return note(
        el(
            "p",
            f"The evaluation is of outer step {count(evaluated)}; the log has reached step "
            f"{count(run.steps_done)}.",
        ),
        warning=True,
    )


def _missing(run: RunFiles) -> Html | None:
    found = missing(run)
    if not found:
        return None
    by_command: dict[str, list[str]] = {}
    for what, command in found:
        by_command.setdefault(command, []).append(what)
    return note(
        el("p", el("b", "What is missing"), ", and the command that makes it:"),
        el(
            "ul",
            [
                el("li", " ".join(texts), el("br"), el("code", command))
                for command, texts in by_command.items()
            ],
        ),
        warning=True,
    )


def _damaged(run: RunFiles) -> Html | None:
    if not run.damaged:
        return None
    return note(
        el("p", el("b", "Files that could not be read")),
        el("ul", [el("li", shorten(line, 300)) for line in run.damaged]),
        warning=True,
    )


def what_was_run(run: RunFiles) -> list[Child]:
    """Data, algorithm, networks, machine, versions and hashes."""
    return [
        facts(
            [
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
        ),
        _splits(run),
    ]


def _data(run: RunFiles) -> Child:
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


def _task(run: RunFiles) -> Child:
    unit = run.settings.get("task.unit")
    if unit is None:
        return None
    ways = f" of {_text(run, 'task.ways')} classes" if unit == "domain" else ""
    return (
        f"one {unit}{ways}; {_text(run, 'task.shots')} support and "
        f"{_text(run, 'task.num_query')} query samples per class"
    )


def _algorithm(run: RunFiles) -> Child:
    name = run.settings.get("algorithm.name")
    if name is None:
        return None
    text = f"{name}: {_text(run, 'inner.steps')} inner steps ({_text(run, 'inner.optimizer')}, "
    text += f"lr {_text(run, 'inner.lr')}); outer {_text(run, 'outer.optimizer')}, lr "
    text += f"{_text(run, 'outer.lr')}, meta-batch {_text(run, 'outer.meta_batch_size')}"
    warmup = finite(run.settings.get("warmup.steps"))
    if warmup:
        text += f"; the first {plural(int(warmup), 'outer step')} joint pre-training (warm-up)"
    return text


def _networks(run: RunFiles) -> Child:
    family = run.settings.get("gan.family")
    if family is None:
        return None
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


def _steps(run: RunFiles) -> Child:
    planned = f" of {count(run.steps_planned)}" if run.steps_planned is not None else ""
    episodes = sum(finite(record.get("episodes")) or 0 for record in run.steps)
    return f"{count(run.steps_done)}{planned}; {count(episodes)} episodes"


def _durations(run: RunFiles) -> Child:
    seconds = [finite(record.get("wall_s")) or 0.0 for record in run.steps]
    texts = [f"training {duration(sum(seconds))}"] if seconds else []
    evaluated = finite(pick(run.evaluation.data, "wall_s")) if run.evaluation else None
    texts += [f"evaluation {duration(evaluated)}"] if evaluated is not None else []
    return "; ".join(texts)


def _hardware(run: RunFiles) -> Child:
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


def _versions(run: RunFiles) -> Child:
    packages = pick(run.environment, "packages")
    found = [("Python", run.environment.get("python"))]
    found += list(packages.items()) if isinstance(packages, dict) else []
    return ", ".join(f"{name} {version}" for name, version in found if version)


def _hash(value: object) -> Child:
    return el("code", value) if isinstance(value, str) else None


def _splits(run: RunFiles) -> Html | None:
    if not run.splits:
        return None
    rows = []
    for split in SPLITS:
        names = run.splits.get(split, ())
        domains = domains_of(names)
        rows.append(
            Row([split.capitalize(), count(len(domains)), count(len(names)), _named(domains)])
        )
    return table(
        "Splits",
        [
            Column("Split", False),
            Column("Domains"),
            Column("Classes"),
            Column("Which", False, prose=True),
        ],
        rows,
        about="Training uses the first, every choice the second; the third is only measured.",
    )


def _named(domains: Iterable[str]) -> str:
    names = sorted(domains)
    shown = ", ".join(shorten(name, 60) for name in names[:_MAX_DOMAINS])
    rest = len(names) - _MAX_DOMAINS
    return f"{shown} and {rest:,} more" if rest > 0 else shown or DASH


def _text(run: RunFiles, key: str) -> str:
    value = run.settings.get(key)
    return DASH if value is None else str(value)
