"""Results of trials, and the contents of a search's `search.json`."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from metagan.runs.search_document import SCHEMA_VERSION, SearchDocument
from tune.config import LARGER_IS_BETTER, SearchJobConfig
from tune.failures import FAILURE, Retry, one_line
from tune.lineage import Segment, from_text
from tune.space import Parameter, applied, value_at
from tune.trial import LINEAGE_TEXT, SETTINGS

#: In the name of Tune's folder of a trial.
AFTER_ID = "__"
# In that folder.
_SAMPLE_FILE = "params.json"
_MEASURED = ("gain", "accuracy", "kid", "coverage")


@dataclass(frozen=True)
class Measurement:
    """A trial at one of its measurements.

    Attributes:
        step: Outer steps done.
        metrics: The objective, and what is measured along with it.
        seconds: Since the trial's start, measurements included.
    """

    step: int
    metrics: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Change:
    """A change of a population's trial to another trial's weights, with other settings.

    Attributes:
        step: Outer steps that the weights had, which it continued from.
        donor: The trial that had trained them.
        sample: Its settings from there on.
    """

    step: int
    donor: str
    sample: Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """The result of a trial.

    Attributes:
        id: Names its run folder.
        sample: The settings that applied, by dotted key.
        status: "done", "stopped" early, or "failed".
        step: Outer steps at its last measurement.
        metrics: At that step; empty if there was none.
        error: Why it failed, one line.
        order: From 1, in order of start.
        curve: Its measurements, in order of steps.
        lineage: With what settings its last weights were trained, and by whom, from the beginning;
            empty where settings do not change.
        changes: Where this trial itself changed over, in order of time.
        retries: When and why it was started again.
    """

    id: str
    sample: Mapping[str, Any]
    status: str
    step: int
    metrics: Mapping[str, float]
    error: str = ""
    order: int = 0
    curve: Sequence[Measurement] = field(default=())
    lineage: Sequence[Segment] = field(default=())
    changes: Sequence[Change] = field(default=())
    retries: Sequence[Retry] = field(default=())

    @property
    def seconds(self) -> float | None:
        """Seconds up to the last measurement; None if there was none."""
        return self.curve[-1].seconds if self.curve else None

    def to_json(self) -> dict[str, Any]:
        """The trial as it stands in `search.json`."""
        return {
            **vars(self),
            **{
                name: [vars(item) for item in getattr(self, name)]
                for name in ("curve", "lineage", "changes", "retries")
            },
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class Findings:
    """The results of a search so far.

    Attributes:
        ranked: Trials from best to worst.
        confirmation: The objective of the "best" and of the "given" settings by fresh seed, and of
            the best trial's "schedule" where its settings changed; empty until they are trained.
        fresh_seeds: What they are trained with.
        seconds: By stage, "trials" and "confirm", of this process.
        resumed: Whether a process before this one worked on the search.
    """

    ranked: Sequence[Trial]
    confirmation: Mapping[str, Sequence[float | None]]
    fresh_seeds: Sequence[int]
    seconds: Mapping[str, float]
    resumed: bool


def trials_of(
    results: Iterable[Any],
    parameters: Sequence[Parameter],
    config: SearchJobConfig,
    retries: Mapping[str, Sequence[Retry]] = MappingProxyType({}),
) -> list[Trial]:
    """Trials from Tune's results of them, in order of start.

    After a restart Tune has them in another order.

    Args:
        results: Of Tune.
        parameters: What was searched.
        config: The settings that are given.
        retries: By trial, when it was started again.
    """
    return [
        replace(
            _trial_of(result, order, parameters, config), retries=retries.get(_id_of(result), ())
        )
        for order, result in enumerate(sorted(results, key=_started), 1)
    ]


def _started(result: Any) -> tuple[int, float]:
    """Key that sorts results by start: random search numbers its trials, others log the time."""
    numbered = re.fullmatch(r".*_(\d+)", _id_of(result))
    rows = _rows(result)[:1]
    clock = [row["timestamp"] - row["time_total_s"] for row in rows if "timestamp" in row]
    return (int(numbered[1]) if numbered else 0, clock[0] if clock else math.inf)


def _trial_of(
    result: Any, order: int, parameters: Sequence[Parameter], config: SearchJobConfig
) -> Trial:
    metrics = result.metrics or {}
    drawn = _sample_of(result)
    sample = {**(applied(parameters, drawn, config) if drawn else {}), **drawn.get(SETTINGS, {})}
    step = int(metrics.get("outer_step", 0))
    rows = _rows(result)
    curve = curve_of(rows)
    values = _values(metrics)
    error = one_line(result.error) if result.error else str(metrics.get(FAILURE) or "")
    if FAILURE in metrics:
        # The report of a failure measured nothing: the last one before it counts.
        step, values = (curve[-1].step, dict(curve[-1].metrics)) if curve else (0, {})
    status = "failed" if error else "done" if step >= _steps_of(sample, config) else "stopped"
    lineages = [from_text(row[LINEAGE_TEXT]) for row in rows if LINEAGE_TEXT in row]
    return Trial(
        _id_of(result),
        # A trial that changed over and then trained nothing keeps what its weights were made with;
        # one that failed, what it failed with.
        {**sample, **(lineages[-1][-1].sample if lineages and not error else {})},
        status,
        step,
        values,
        error,
        order,
        curve,
        lineages[-1] if lineages else (),
        changes_of(lineages),
    )


def _steps_of(sample: Mapping[str, Any], config: SearchJobConfig) -> int:
    """Outer steps of a trial that is not stopped."""
    return int(sample.get("outer.steps", config.outer.steps))


def changes_of(lineages: Sequence[Sequence[Segment]]) -> tuple[Change, ...]:
    """Changes of a trial to another trial's weights, found in the lineages that it reported."""
    found: list[Change] = []
    before: Segment | None = None
    for lineage in lineages:
        last = lineage[-1]
        if last != before and len(lineage) > 1:
            found.append(Change(last.step, lineage[-2].trial, last.sample))
        before = last
    return tuple(found)


def curve_of(rows: Sequence[Mapping[str, Any]]) -> tuple[Measurement, ...]:
    """A trial's measurements from what it reported, one for each step.

    A trial that was started again continues from its checkpoint, and its clock from zero: what it
    took before is added. Of a step that was measured twice the later measurement counts.
    """
    found: dict[int, Measurement] = {}
    before = last = 0.0
    for row in rows:
        seconds = float(row.get("time_total_s", math.nan))
        if seconds < last:
            before += last
        last = seconds
        # In a table, rows without a failure have NaN there.
        failed = isinstance(row.get(FAILURE), str)
        if not failed and not math.isnan(row.get("outer_step", math.nan)):
            step = int(row["outer_step"])
            found[step] = Measurement(step, _values(row), before + seconds)
    return tuple(found[step] for step in sorted(found))


def rank(trials: Sequence[Trial], config: SearchJobConfig) -> list[Trial]:
    """Trials from best to worst by `tune.objective`: those with most steps first, failed ones last.

    A trial that was stopped early is not compared with others at a later step, where its value
    would mean something else.
    """
    sign = -1 if LARGER_IS_BETTER[config.tune.objective] else 1

    def order(trial: Trial) -> tuple[bool, bool, float, float]:
        value = trial.metrics.get(config.tune.objective, math.nan)
        share = trial.step / _steps_of(trial.sample, config)
        return (math.isnan(value), trial.status == "failed", -share, sign * value)

    return sorted(trials, key=order)


def best_of(ranked: Sequence[Trial], config: SearchJobConfig) -> Trial | None:
    """The first, unless nothing was measured."""
    for trial in ranked[:1]:
        if not math.isnan(trial.metrics.get(config.tune.objective, math.nan)):
            return trial
    return None


def search_document(
    config: SearchJobConfig, parameters: Sequence[Parameter], findings: Findings
) -> dict[str, Any]:
    """Contents of `search.json`: all that a page about the search needs.

    Args:
        config: The settings that are given.
        parameters: Those that are searched.
        findings: What was found so far.
    """
    given = config.model_dump(mode="json", exclude={"tune"})
    best = best_of(findings.ranked, config)
    found = {
        "schema_version": SCHEMA_VERSION,
        "objective": config.tune.objective,
        "direction": "max" if LARGER_IS_BETTER[config.tune.objective] else "min",
        "settings": config.tune.model_dump(mode="json", exclude={"space"}),
        "space": [
            {
                "key": parameter.key,
                "kind": parameter.kind,
                "values": list(parameter.values),
                "when": {key: list(allowed) for key, allowed in parameter.when.items()},
                "given": value_at(given, parameter.key),
            }
            for parameter in parameters
        ],
        "given": given,
        "trials": [trial.to_json() for trial in findings.ranked],
        "best": {} if best is None else dict(best.sample),
        "confirmation": {name: list(values) for name, values in findings.confirmation.items()},
        "fresh_seeds": list(findings.fresh_seeds),
        "seconds": dict(findings.seconds),
        "resumed": findings.resumed,
    }
    return SearchDocument.model_validate(found).model_dump(mode="json")


def _sample_of(result: Any) -> Mapping[str, Any]:
    """Settings that were drawn for a trial.

    Of one that reported nothing, Tune has it in its folder only; of one whose process could not
    even start, nowhere.
    """
    if result.config is not None:
        return dict(result.config)
    file = Path(result.path) / _SAMPLE_FILE
    return dict(json.loads(file.read_text())) if file.is_file() else {}


def _id_of(result: Any) -> str:
    folder = Path(result.path).name
    return str((result.metrics or {}).get("trial_id") or folder.partition(AFTER_ID)[0])


def _rows(result: Any) -> list[dict[str, Any]]:
    """Rows that the trial reported."""
    frame = result.metrics_dataframe
    return [] if frame is None else frame.to_dict("records")


def _values(row: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(row[name]) for name in _MEASURED if name in row}
