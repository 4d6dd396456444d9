"""What the folder of a search holds for its page, read from `search.json` alone."""

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metagan.config.yaml import format_value
from metagan.files import is_there
from metagan.report.load import flat
from metagan.report.values import finite, pick, records
from metagan.runs.places import what_it_is
from metagan.runs.run_folder import RunError

SEARCH = "search.json"
MAX_KEY = 40  # Letters of a setting's key that are shown.
#: Of `search.json`; raised by one when a reader of older files would misread a newer one.
SCHEMA_VERSION = 1
# Beyond these a number is a fault, and no axis could show it with others.
_LARGEST = 1e30
_RANGES = ("uniform", "loguniform", "randint", "lograndint")


@dataclass(frozen=True)
class Measured:
    """A trial at one of its measurements.

    Attributes:
        step: Outer steps done.
        value: Of the objective.
        seconds: Since the trial's start; None where that was not written down.
    """

    step: int
    value: float | None
    seconds: float | None


@dataclass(frozen=True)
class Changed:
    """Settings that apply from an outer step on.

    Attributes:
        step: Outer steps done before.
        trial: Of a lineage, who trained with them; of a change, whose weights were taken.
        sample: The settings, by dotted key.
    """

    step: int
    trial: str
    sample: Mapping[str, Any]


@dataclass(frozen=True)
class SearchTrial:
    """One trial.

    Attributes:
        id: Names its run folder.
        rank: From 1, the best.
        order: From 1, in order of start.
        status: "done", "stopped" or "failed".
        step: Outer steps at its last measurement.
        value: Of the objective, there; None if it was never measured.
        metrics: All that was measured there, by name.
        sample: The settings that applied, by dotted key.
        seconds: Up to its last measurement.
        error: Why it failed.
        curve: Its measurements, in order of steps.
        lineage: What its last weights were trained with, from the beginning; empty where settings
            do not change on the way.
        changes: Where it went on from another trial's weights.
        retries: Why it was started again, once for each time.
    """

    id: str
    rank: int
    order: int
    status: str
    step: int
    value: float | None
    metrics: Mapping[str, float | None]
    sample: Mapping[str, Any]
    seconds: float | None
    error: str
    curve: tuple[Measured, ...]
    lineage: tuple[Changed, ...] = ()
    changes: tuple[Changed, ...] = ()
    retries: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchedKey:
    """One searched setting.

    Attributes:
        key: Its dotted key.
        kind: "uniform", "choice" ...; empty where the space was not written down.
        values: [low, high], or what to choose from.
        when: Settings and the values of theirs for which it applies.
        given: Its value before the search.
    """

    key: str
    kind: str
    values: tuple[Any, ...]
    when: Mapping[str, tuple[Any, ...]]
    given: Any

    @property
    def is_log(self) -> bool:
        """Whether it is drawn evenly over orders of magnitude."""
        return self.kind.startswith("log")

    @property
    def ends(self) -> tuple[float, float] | None:
        """Of a range that makes an axis; None for values to choose from."""
        if self.kind not in _RANGES or len(self.values) != 2:
            return None
        low, high = map(finite, self.values)
        if low is None or high is None or not low < high or (self.is_log and low <= 0):
            return None
        return low, high


@dataclass(frozen=True)
class Pair:
    """The best and the given settings, trained with the same fresh seed.

    Attributes:
        seed: None where it was not written down.
        best: Objective of the best settings; None if that training failed.
        given: Of the given ones.
        schedule: Of the settings that the best trial had one after the other; None where they did
            not change, too.
    """

    seed: int | None
    best: float | None
    given: float | None
    schedule: float | None = None


@dataclass(frozen=True)
class SearchFiles:
    """A search, read.

    Attributes:
        path: Its folder, as it was given.
        objective: What trials are judged by.
        is_larger_better: Its direction.
        trials: From best to worst.
        keys: What was searched.
        best: The best settings found, by searched key.
        pairs: The comparison by fresh seeds; empty until it was made.
        settings: Of the search, such as scheduler and searcher.
        given: Every setting of a run before the search, by dotted key.
        seconds: By stage, of the process that finished it.
        resumed: Whether other processes worked on it before.
        schema_version: 0 for a file from before there were versions.
    """

    path: Path
    objective: str
    is_larger_better: bool
    trials: tuple[SearchTrial, ...]
    keys: tuple[SearchedKey, ...]
    best: Mapping[str, Any]
    pairs: tuple[Pair, ...]
    settings: Mapping[str, Any]
    given: Mapping[str, Any]
    seconds: Mapping[str, Any]
    resumed: bool
    schema_version: int

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name or str(self.path)

    @property
    def measured(self) -> list[SearchTrial]:
        """Trials that have a value, from best to worst."""
        return [trial for trial in self.trials if trial.value is not None]

    @property
    def best_trial(self) -> SearchTrial | None:
        """The first of them."""
        return next(iter(self.measured), None)

    @property
    def confirm_seeds(self) -> int | None:
        """Fresh seeds that were asked for; None where that was not written down."""
        asked = finite(self.settings.get("confirm_seeds"))
        return None if asked is None else int(asked)

    @property
    def sign(self) -> int:
        """What makes a larger objective better."""
        return 1 if self.is_larger_better else -1

    def given_at(self, key: str) -> Any:
        """The value of a setting before the search; None where it was not written down."""
        return next((k.given for k in self.keys if k.key == key), self.given.get(key))


def load_search(path: Path) -> SearchFiles:
    """Read the folder of a search.

    Raises:
        RunError: If there is no search in the folder, its `search.json` is damaged, or a newer
            version wrote it.
    """
    data = _read(path)
    objective = data["objective"]
    trials = tuple(
        _trial(record, objective, rank) for rank, record in enumerate(records(data["trials"]), 1)
    )
    version = finite(data.get("schema_version")) or 0
    best = _mapping(data.get("best"))
    return SearchFiles(
        path=path,
        objective=objective,
        is_larger_better=data.get("direction", "min" if objective == "kid" else "max") != "min",
        trials=trials,
        keys=_keys(data, trials, best),
        best=best,
        pairs=_pairs(data),
        settings=_mapping(data.get("settings")),
        given=flat(_mapping(data.get("given"))),
        seconds=_mapping(data.get("seconds")),
        resumed=data.get("resumed") is True,
        schema_version=int(version),
    )


def _read(path: Path) -> Mapping[str, Any]:
    file = path / SEARCH
    quoted = shlex.quote(str(path))
    again = f"metagan tune -c FILE --out {quoted} --resume"
    if not os.path.isfile(file):
        if os.path.isdir(path / "tune"):
            raise RunError(f"{path}: the search here has no {SEARCH} yet; go on with it by {again}")
        # A search is not to be made in a folder that is something else.
        free = not is_there(path, f"--search {path}", RunError) or (
            path.is_dir() and not any(path.iterdir())
        )
        fix = f"make one with metagan tune --out {quoted}" if free else what_it_is(path)
        raise RunError(f"{path}: no search here (no {SEARCH}); {fix}")
    fix = f"write it again with {again}, which keeps finished trials"
    try:
        data = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        place = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise RunError(f"{file} is damaged: it is not valid JSON{place}; {fix}") from None
    if not isinstance(data, Mapping):
        raise RunError(f"{file} is damaged: it does not hold an object; {fix}")
    for name, kind, words in (("objective", str, "a name"), ("trials", list, "a list")):
        if not isinstance(data.get(name), kind):
            raise RunError(f"{file} is damaged: {name} is not {words}; {fix}")
    if len(records(data["trials"])) != len(data["trials"]):
        raise RunError(f"{file} is damaged: trials has an entry that is not an object; {fix}")
    version = data.get("schema_version", 0)
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise RunError(
            f"{file} has schema_version {version!r}, but this metagan reads up to "
            f"{SCHEMA_VERSION}; install the version that wrote it, or a newer one"
        )
    return data


def _trial(record: Mapping[str, Any], objective: str, rank: int) -> SearchTrial:
    metrics = {str(name): _number(value) for name, value in _mapping(record.get("metrics")).items()}
    curve = [
        Measured(
            int(finite(entry.get("step")) or 0),
            _number(pick(entry, "metrics", objective)),
            _number(entry.get("seconds")),
        )
        for entry in records(record.get("curve"))
    ]
    return SearchTrial(
        id=str(record.get("id", rank)),
        rank=rank,
        order=int(finite(record.get("order")) or rank),
        status=str(record.get("status", "")),
        step=int(finite(record.get("step")) or 0),
        value=metrics.get(objective),
        metrics=metrics,
        sample=_mapping(record.get("sample")),
        seconds=_number(record.get("seconds")),
        error=str(record.get("error") or ""),
        curve=tuple(sorted(curve, key=lambda point: point.step)),
        lineage=_changed(record.get("lineage"), "trial"),
        changes=_changed(record.get("changes"), "donor"),
        retries=tuple(str(entry.get("reason", "")) for entry in records(record.get("retries"))),
    )


def _changed(entries: object, who: str) -> tuple[Changed, ...]:
    return tuple(
        Changed(
            int(finite(entry.get("step")) or 0),
            str(entry.get(who, "")),
            _mapping(entry.get("sample")),
        )
        for entry in records(entries)
    )


def _keys(
    data: Mapping[str, Any], trials: tuple[SearchTrial, ...], best: Mapping[str, Any]
) -> tuple[SearchedKey, ...]:
    """As they were written down; of an older file what the samples show."""
    if written := records(data.get("space")):
        return tuple(
            SearchedKey(
                str(entry.get("key")),
                str(entry.get("kind")),
                tuple(_list(entry.get("values"))),
                {key: tuple(_list(v)) for key, v in _mapping(entry.get("when")).items()},
                entry.get("given"),
            )
            for entry in written
        )
    names = sorted({*best, *(key for trial in trials for key in trial.sample)})
    return tuple(
        _seen(name, [t.sample[name] for t in trials if name in t.sample]) for name in names
    )


def _seen(name: str, values: list[Any]) -> SearchedKey:
    numbers = [number for value in values if (number := finite(value)) is not None]
    if len(numbers) == len(values) and numbers and min(numbers) < max(numbers):
        low, high = min(numbers), max(numbers)
        kind = "loguniform" if low > 0 and high > 20 * low else "uniform"
        return SearchedKey(name, kind, (low, high), {}, None)
    distinct = {format_value(value): value for value in values}
    return SearchedKey(name, "choice", tuple(distinct.values()), {}, None)


def _pairs(data: Mapping[str, Any]) -> tuple[Pair, ...]:
    best, given = (_list(pick(data, "confirmation", name)) for name in ("best", "given"))
    seeds = [finite(seed) for seed in _list(data.get("fresh_seeds"))]
    count = min(len(best), len(given))
    seeds += [None] * (count - len(seeds))
    schedule = _list(pick(data, "confirmation", "schedule"))
    schedule += [None] * (count - len(schedule))
    return tuple(
        Pair(None if seed is None else int(seed), _number(b), _number(g), _number(s))
        for seed, b, g, s in zip(seeds, best, given, schedule, strict=False)
    )


def _number(value: object) -> float | None:
    number = finite(value)
    return None if number is None or abs(number) > _LARGEST else number


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
