"""Contents of a run folder for a report; missing or damaged files are noted and never fatal."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from metagan.config.load import flat
from metagan.config.yaml import YamlError, parse_document
from metagan.files import sha256_of
from metagan.report.values import DASH, finite, pick, records, shorten, whole
from metagan.runs.places import check_run
from metagan.runs.run_folder import RunError, RunFolder

EVALUATION = "evaluation.json"
SPLITS = ("train", "validation", "test")
ADAPTATION_GROUPS = ("given", "before", "after")
ANSWERS = "answers"


class Evaluation(NamedTuple):
    """A file of evaluation results: its name in the run folder, and what it holds."""

    file: str
    data: Mapping[str, Any]

    @property
    def target(self) -> str:
        """The data that it is about."""
        return shorten(str(self.data.get("target", self.file)), 80)


class AdaptationPicture(NamedTuple):
    """Pictures of one unseen domain, one class per row: a file for each of `ADAPTATION_GROUPS`.

    Of pairs it is one file, with what was given, asked and drawn in rows.
    """

    domain: str
    files: tuple[Path, ...]
    rows: tuple[str, ...]
    adapt_steps: int | None


@dataclass(frozen=True)
class RunFiles:
    """A run folder, read; what is missing or damaged is empty or None.

    Attributes:
        settings: Every setting by its dotted key.
        splits: Class names by split.
        steps: One record per outer step, in order.
        failures: Failures and runner events.
        evaluation: Results on the run's own test classes.
        others: Results on other targets.
        previews: (outer step, PNG) of training previews, in order.
        num_weights: Weights by player, from the newest checkpoint.
        damaged: A line for each file that is there but cannot be read.
    """

    path: Path
    settings: Mapping[str, Any]
    config_sha256: str
    command: str | None
    environment: Mapping[str, Any]
    splits: Mapping[str, tuple[str, ...]]
    data: Mapping[str, Any]
    steps: tuple[Mapping[str, Any], ...]
    failures: tuple[Mapping[str, Any], ...]
    evaluation: Evaluation | None
    others: tuple[Evaluation, ...]
    adaptation: tuple[AdaptationPicture, ...]
    previews: tuple[tuple[int, Path], ...]
    num_weights: Mapping[str, int]
    damaged: tuple[str, ...]

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name or str(self.path)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of all splits."""
        return tuple(name for split in self.splits.values() for name in split)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Classes that no episode uses."""
        return texts(self.data.get("left_out"))

    @property
    def is_local(self) -> bool:
        """True if the command asked for one process."""
        return self.command is not None and "--local" in self.command.split()

    def text(self, key: str) -> str:
        """A setting as text; a dash where it is not known."""
        value = self.settings.get(key)
        if isinstance(value, list):
            return ", ".join(map(str, value)) or "none"
        return DASH if value is None else str(value)

    @property
    def is_told_inputs(self) -> bool:
        """True if its samples are answers to inputs, drawn from whole domains."""
        return "input" in texts(self.settings.get("gan.conditioning"))

    def total(self, key: str) -> float:
        """Sum over all outer steps in the log."""
        return sum(finite(record.get(key)) or 0 for record in self.steps)

    @property
    def steps_planned(self) -> int | None:
        """Outer steps that the settings ask for."""
        return whole(self.settings.get("outer.steps"))

    @property
    def steps_done(self) -> int:
        """Outer steps in the log."""
        return max((whole(record.get("step")) or 0 for record in self.steps), default=0)

    @property
    def finished(self) -> bool:
        """True if every outer step that the settings ask for is in the log."""
        return self.steps_planned is not None and self.steps_done >= self.steps_planned


def load_run_files(path: Path) -> RunFiles:
    """Read a run folder.

    Raises:
        RunError: If there is no run in the folder.
    """
    check_run(path)
    folder = RunFolder(path)
    reader = _Reader(folder)
    evaluation = reader.mapping(EVALUATION)
    others = [
        Evaluation(file.name, found)
        for file in sorted(path.glob("evaluation-*.json"))
        if (found := reader.mapping(file.name))
    ]
    splits = reader.mapping("splits.json")
    return RunFiles(
        path=path,
        settings=reader.settings(),
        config_sha256=sha256_of(folder.config_file.read_bytes()),
        command=_command(path),
        environment=reader.mapping("environment.json"),
        splits={name: texts(splits.get(name)) for name in SPLITS if name in splits},
        data=reader.mapping("data.json"),
        steps=reader.lines("metrics.jsonl"),
        failures=reader.lines("failures.jsonl"),
        evaluation=Evaluation(EVALUATION, evaluation) if evaluation else None,
        others=tuple(others),
        adaptation=reader.adaptation(),
        previews=_previews(folder.samples),
        num_weights=_num_weights(folder.checkpoints),
        damaged=tuple(reader.damaged),
    )


class _Reader:
    """Reads files one by one and keeps a line about each that is damaged."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self.damaged: list[str] = []

    def settings(self) -> dict[str, Any]:
        # Not validated: a report of a run must not end with the settings of a newer version.
        try:
            data = parse_document(self._folder.config_file.read_text("utf-8")).data
        except (YamlError, ValueError, OSError):
            self.damaged.append("config.yaml is not a readable file of settings")
            return {}
        return dict(flat(data)) if isinstance(data, Mapping) else {}

    def mapping(self, name: str) -> Mapping[str, Any]:
        value = self._json(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.damaged.append(f"{name} does not hold an object")
            return {}
        return value

    def lines(self, name: str) -> tuple[Mapping[str, Any], ...]:
        file = self._folder.path / name
        found = list(map(_record, file.read_bytes().splitlines() if file.is_file() else ()))
        # One half-written last line is what a crash leaves behind and no damage.
        if (bad := found.count(None)) > 1:
            self.damaged.append(f"{name} has {bad} lines that cannot be read; they are left out")
        return tuple(record for record in found if record is not None)

    def adaptation(self) -> tuple[AdaptationPicture, ...]:
        pictures = []
        for entry in records(self._json("samples/adaptation/index.json")):
            files = entry.get("files")
            groups = (ANSWERS,) if pick(files, ANSWERS) is not None else ADAPTATION_GROUPS
            names = [pick(files, group) for group in groups]
            # The index is data: it must not name files outside of its folder.
            if not all(isinstance(n, str) and n and Path(n).name == n for n in names):
                self.damaged.append(f"samples/adaptation/index.json names the files {files!r}")
                continue
            folder = self._folder.samples / "adaptation"
            pictures.append(
                AdaptationPicture(
                    domain=str(entry.get("domain", names[0])),
                    files=tuple(folder / name for name in names),
                    rows=texts(entry.get("rows")),
                    adapt_steps=whole(entry.get("adapt_steps")),
                )
            )
        return tuple(pictures)

    def _json(self, name: str) -> Any:
        if not (self._folder.path / name).is_file():
            return None
        try:
            return self._folder.read_json(name)
        except (RunError, RecursionError):
            self.damaged.append(f"{name} is not valid JSON")
            return None


def domains_of(class_names: tuple[str, ...]) -> list[str]:
    """The domains of classes, which are `domain/label`, by name."""
    return sorted({name.partition("/")[0] for name in class_names})


def _command(path: Path) -> str | None:
    file = path / "command.txt"
    return (file.read_text("utf-8", "replace").strip() or None) if file.is_file() else None


def _record(line: bytes) -> Mapping[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, Mapping) else None


def texts(values: object) -> tuple[str, ...]:
    """The items of a list as texts; nothing for anything else."""
    return tuple(str(value) for value in values) if isinstance(values, list) else ()


def _previews(folder: Path) -> tuple[tuple[int, Path], ...]:
    found = ((_step_of(file.stem), file) for file in folder.glob("step-*.png"))
    return tuple(sorted((step, file) for step, file in found if step >= 0))


def _num_weights(checkpoints: Path) -> dict[str, int]:
    """Weights by player, counted from the header of the newest readable checkpoint."""
    files = checkpoints.glob("step-*/ema.safetensors")
    for file in sorted(files, key=lambda file: _step_of(file.parent.name), reverse=True):
        counts: Counter[str] = Counter()
        try:
            with safe_open(file, framework="numpy") as tensors:
                for name in tensors.keys():  # noqa: SIM118 - no mapping
                    shape = tensors.get_slice(name).get_shape()
                    counts[name.partition(".")[0]] += math.prod(shape)
        except (OSError, SafetensorError):
            continue
        return dict(counts)
    return {}


def _step_of(name: str) -> int:
    number = name.removeprefix("step-")
    return int(number) if number.isdecimal() else -1
