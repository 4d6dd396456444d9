"""The format of `search.json`, which `metagan tune` writes and the page about a search reads.

Readers take damage as far as it goes: a part of another kind than the one expected becomes nothing,
so that the rest of the document still has its page.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

SEARCH_FILE: Final = "search.json"
#: Raised by one when a reader of older files would misread a newer one.
SCHEMA_VERSION: Final = 1
# Beyond these a number is a fault, and no axis could show it with others.
_LARGEST = 1e30
_RANGES = ("uniform", "loguniform", "randint", "lograndint")


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and abs(value) <= _LARGEST else None


def _text(value: object) -> str:
    # Half of a surrogate pair, as in the name of a file in an error, is no text in UTF-8.
    return "" if value is None else str(value).encode("utf-8", "replace").decode()


def _objects(value: object) -> list[Any]:
    listed = value if isinstance(value, list | tuple) else ()
    return [item for item in listed if isinstance(item, Mapping | BaseModel)]


Number = Annotated[float | None, BeforeValidator(_number)]
Whole = Annotated[int, BeforeValidator(lambda value: int(_number(value) or 0))]
Text = Annotated[str, BeforeValidator(_text)]
_AsList = BeforeValidator(lambda value: value if isinstance(value, list | tuple) else ())
Values = Annotated[tuple[Any, ...], _AsList]
_AsMapping = BeforeValidator(lambda value: value if isinstance(value, Mapping) else {})
Sample = Annotated[dict[str, Any], _AsMapping]
Numbers = Annotated[dict[str, Number], _AsMapping]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Measurement(_Part):
    """A trial at one of its measurements.

    Attributes:
        step: Outer steps done.
        metrics: All that was measured, by name.
        seconds: Since the trial's start, measurements included.
    """

    step: Whole = 0
    metrics: Numbers = {}
    seconds: Number = None


class Segment(_Part):
    """Outer steps that were done with the same settings; the next segment ends them."""

    step: Whole = 0
    trial: Text = ""
    sample: Sample = {}


class Change(_Part):
    """A trial continued from the weights of another one, the donor, with these settings."""

    step: Whole = 0
    donor: Text = ""
    sample: Sample = {}


class Retry(_Part):
    """A time that a trial was started again."""

    step: Whole = 0
    reason: Text = ""


class Trial(_Part):
    """The result of a trial.

    Attributes:
        id: Names its run folder.
        sample: The settings that applied, by dotted key.
        status: "done", "stopped" early, or "failed".
        step: Outer steps at its last measurement.
        metrics: At that step; empty if there was none.
        error: Why it failed, one line.
        order: From 1, in order of start; 0 where that was not written down.
        curve: Its measurements, in order of steps.
        lineage: What its last weights were trained with, from the beginning; empty where settings
            do not change on the way.
        changes: The steps at which it continued from another trial's weights.
        retries: When and why it was started again.
        seconds: Up to its last measurement.
        rank: Its place from 1, the best; a reader's, as the next.
        value: Of the objective at its last measurement; None if it was never measured.
    """

    id: Text = ""
    sample: Sample = {}
    status: Text = ""
    step: Whole = 0
    metrics: Numbers = {}
    error: Text = ""
    order: Whole = 0
    curve: Annotated[tuple[Measurement, ...], BeforeValidator(_objects)] = ()
    lineage: Annotated[tuple[Segment, ...], BeforeValidator(_objects)] = ()
    changes: Annotated[tuple[Change, ...], BeforeValidator(_objects)] = ()
    retries: Annotated[tuple[Retry, ...], BeforeValidator(_objects)] = ()
    seconds: Number = None
    rank: Annotated[Whole, Field(exclude=True)] = 0
    value: Annotated[Number, Field(exclude=True)] = None


class SearchedKey(_Part):
    """One searched setting.

    Attributes:
        key: Its dotted key.
        kind: "uniform", "choice" ...
        values: [low, high], or what to choose from.
        when: Settings and the values of theirs for which it applies.
        given: Its value before the search.
    """

    key: Text = ""
    kind: Text = ""
    values: Values = ()
    when: Annotated[dict[str, Values], _AsMapping] = {}
    given: Any = None

    @property
    def is_log(self) -> bool:
        """True if the setting is drawn evenly over orders of magnitude."""
        return self.kind.startswith("log")

    @property
    def ends(self) -> tuple[float, float] | None:
        """Ends of a range that makes an axis; None for values to choose from."""
        if self.kind not in _RANGES or len(self.values) != 2:
            return None
        low, high = map(_number, self.values)
        if low is None or high is None or not low < high or (self.is_log and low <= 0):
            return None
        return low, high


class SearchDocument(_Part):
    """All of `search.json`.

    Attributes:
        schema_version: 0 for a file from before there were versions.
        objective: What trials are judged by.
        direction: "max" or "min".
        settings: Of the search, such as scheduler and searcher.
        space: What was searched.
        given: All settings of a run before the search, in sections.
        trials: From best to worst.
        best: The best settings found, by searched key.
        confirmation: The objective of the "best" and of the "given" settings by fresh seed, and of
            the best trial's "schedule" where its settings changed; empty until they are trained.
        fresh_seeds: What they are trained with.
        seconds: By stage, "trials" and "confirm", of the process that finished the search.
        resumed: Whether other processes worked on the search before.
    """

    schema_version: Whole = 0
    objective: Text
    direction: Text = ""
    settings: Sample = {}
    space: Annotated[tuple[SearchedKey, ...], BeforeValidator(_objects)] = ()
    given: Sample = {}
    trials: Annotated[tuple[Trial, ...], BeforeValidator(_objects)] = ()
    best: Sample = {}
    confirmation: Annotated[dict[str, Annotated[tuple[Number, ...], _AsList]], _AsMapping] = {}
    fresh_seeds: Values = ()
    seconds: Numbers = {}
    resumed: Annotated[bool, BeforeValidator(lambda value: value is True)] = False
