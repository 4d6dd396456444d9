"""The folder of a search for its page, read from `search.json` alone."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from metagan.config.load import flat
from metagan.files import is_there
from metagan.metrics.front import front_of
from metagan.report.values import LARGE, SPACE, fixed, significant, whole
from metagan.runs.places import what_it_is
from metagan.runs.run_folder import RunError
from metagan.runs.search_document import (
    SCHEMA_VERSION,
    SEARCH_FILE,
    SearchDocument,
    Trial,
)
from metagan.words import command_line

MAX_KEY, MAX_ID = 40, 24  # Letters of a setting's key and of a trial's name that are shown.
ENDS = {"done": "trained to the end", "stopped": "stopped early", "failed": "failed"}


@dataclass(frozen=True)
class Measure:
    """The way in which values of an objective are written, in sentences and in headings (`short`).

    A stored value times `factor` has `decimals`, None for three significant digits, and a unit;
    `signed` says that it is itself a difference.
    """

    name: str
    short: str
    factor: float = 1.0
    decimals: int | None = None
    unit: str = ""
    signed: bool = False

    def number(self, value: float | None, *, signed: bool | None = None) -> str:
        """A value without its unit; `signed` for a difference of two."""
        if value is None:
            return fixed(None, 0)
        value *= self.factor
        signed = self.signed if signed is None else signed
        if self.decimals is not None and abs(value) < LARGE:
            return fixed(value, self.decimals, signed=signed)
        text = significant(value)
        return f"+{text}" if signed and value > 0 else text

    def text(self, value: float | None) -> str:
        """A value with its unit."""
        return self.number(value) + ("" if value is None else self.unit)

    def change(self, value: float | None) -> str:
        """A difference of two values with its unit."""
        unit = "" if value is None or not self.unit else f"{SPACE}points"
        return self.number(value, signed=True) + unit


_MEASURES = {
    "gain": Measure(
        "gain over classical augmentation", "gain, points", 100, 2, f"{SPACE}points", signed=True
    ),
    "accuracy": Measure("accuracy", "accuracy, %", 100, 2, f"{SPACE}%"),
    "coverage": Measure("coverage", "coverage, %", 100, 2, f"{SPACE}%"),
    "kid": Measure("kernel distance (KID)", "KID", 1, 4),
    "compute_s": Measure("seconds of computing", "computing, s"),
}


class Pair(NamedTuple):
    """The objective of the best, the given and the best trial's changing settings with one seed.

    None where a training failed, where settings did not change, and for a seed that was not
    written down.
    """

    seed: int | None
    best: float | None
    given: float | None
    schedule: float | None

    @property
    def change(self) -> float | None:
        """Value of the best settings minus that of the given ones."""
        return None if self.best is None or self.given is None else self.best - self.given


def measure_of(name: str) -> Measure:
    """The way in which values of this objective or metric are written."""
    return _MEASURES.get(name, Measure(name, name))


class Search(SearchDocument):
    """A search, read: what its `search.json` holds, and what follows from that.

    Trials have their ranks, and `given` has dotted keys.
    """

    path: Path

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name or str(self.path)

    @property
    def measure(self) -> Measure:
        """The way in which values of the objective are written."""
        return measure_of(self.objective)

    @property
    def sign(self) -> int:
        """1 where a larger objective is better, else -1."""
        usual = "min" if self.objective == "kid" else "max"
        return -1 if (self.direction or usual) == "min" else 1

    @property
    def measured(self) -> list[Trial]:
        """Trials that have a value, from best to worst."""
        return [trial for trial in self.trials if trial.value is not None]

    @property
    def best_trial(self) -> Trial | None:
        """The best trial that has a value."""
        return next(iter(self.measured), None)

    @property
    def comparable(self) -> list[Trial]:
        """Trials that got as far as the best one, from best to worst."""
        best = self.best_trial
        return [
            trial
            for trial in self.measured
            if best is not None and (trial.step, trial.status) == (best.step, best.status)
        ]

    @property
    def best_so_far(self) -> list[tuple[int, float]]:
        """(order of a trial, best value of those up to it), of trials that compare with the best.

        Trials that were stopped earlier do not count: their values are of another step.
        """
        found: list[tuple[int, float]] = []
        for trial in sorted(self.comparable, key=lambda trial: trial.order):
            value = trial.value or 0.0
            if not found or self.sign * (value - found[-1][1]) > 0:
                found.append((trial.order, value))
        return found

    @property
    def front(self) -> list[Trial]:
        """Comparable trials that no other one beats in objective and time, cheapest first."""
        timed = [trial for trial in self.comparable if trial.seconds is not None]
        values, costs = [t.value or 0.0 for t in timed], [t.seconds or 0.0 for t in timed]
        return [timed[place] for place in front_of(values, costs, sign=self.sign)]

    @property
    def pairs(self) -> list[Pair]:
        """The comparison by fresh seeds; empty until it was made."""
        found = self.confirmation
        best, given = found.get("best", ()), found.get("given", ())
        number = min(len(best), len(given))
        seeds = [whole(seed) for seed in self.fresh_seeds]
        columns: tuple[Sequence[Any], ...] = (seeds, best, given, found.get("schedule", ()))
        return [
            Pair(*(column[i] if i < len(column) else None for column in columns))
            for i in range(number)
        ]

    @property
    def confirm_seeds(self) -> int | None:
        """Fresh seeds that were asked for; None where that was not written down."""
        return whole(self.settings.get("confirm_seeds"))

    def given_at(self, key: str) -> Any:
        """The value of a setting before the search; None where it was not written down."""
        return next((k.given for k in self.space if k.key == key), self.given.get(key))


def load_search(path: Path) -> Search:
    """Read the folder of a search.

    Raises:
        RunError: If there is no search in the folder, its `search.json` is damaged, or a newer
            version wrote it.
    """
    document = _read(path)
    trials = tuple(
        trial.model_copy(
            update={
                "id": trial.id or str(rank),
                "order": trial.order or rank,
                "curve": tuple(sorted(trial.curve, key=lambda measured: measured.step)),
                "rank": rank,
                "value": trial.metrics.get(document.objective),
            }
        )
        for rank, trial in enumerate(document.trials, 1)
    )
    more = {"trials": trials, "given": dict(flat(document.given))}
    return Search.model_validate({**dict(document), **more, "path": path})


def _read(path: Path) -> SearchDocument:
    file = path / SEARCH_FILE
    again = command_line("tune", "-c", "FILE", "--out", path, "--resume")
    if not os.path.isfile(file):
        if os.path.isdir(path / "tune"):
            raise RunError(
                f"{path}: the search here has no {SEARCH_FILE} yet; continue it with {again}"
            )
        # A search is not to be made in a folder that is something else.
        there = is_there(path, f"--search {path}", RunError)
        free = not there or (path.is_dir() and not any(path.iterdir()))
        made = command_line("tune", "--out", path)
        fix = f"make one with {made}" if free else what_it_is(path)
        raise RunError(f"{path}: no search here (no {SEARCH_FILE}); {fix}")
    damaged, fix = f"{file} is damaged", f"write it again with {again}, which keeps finished trials"
    try:
        data = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        place = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise RunError(f"{damaged}: it is not valid JSON{place}; {fix}") from None
    if not isinstance(data, dict):
        raise RunError(f"{damaged}: it does not hold an object; {fix}")
    for name, kind, words in (("objective", str, "a name"), ("trials", list, "a list")):
        if not isinstance(data.get(name), kind):
            raise RunError(f"{damaged}: {name} is not {words}; {fix}")
    if not all(isinstance(trial, dict) for trial in data["trials"]):
        raise RunError(f"{damaged}: trials has an entry that is not an object; {fix}")
    version = data.get("schema_version", 0)
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise RunError(
            f"{file} has schema_version {version!r}, but this metagan reads up to "
            f"{SCHEMA_VERSION}; install the version that wrote it, or a newer one"
        )
    # JSON can name halves of surrogate pairs, which are no text.
    text = json.dumps(data, ensure_ascii=False).encode("utf-8", "replace")
    return SearchDocument.model_validate(json.loads(text))
