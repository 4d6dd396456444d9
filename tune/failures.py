"""Failures of a trial: those of its surroundings, which deserve another attempt, and its own.

A failure that would recur is reported as a last, empty measurement and not raised, since Ray Tune
starts a trial again after anything that is raised, and ends the process with its warm imports.
"""

import contextlib
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ray import cloudpickle
from ray import tune as ray_tune
from ray.exceptions import RayError, RayTaskError

from cluster.errors import ClusterError
from cluster.last_words import explain
from metagan.runs.run_folder import BusyError, WriteError
from tune.config import LARGER_IS_BETTER

#: In a report, why the trial failed.
FAILURE = "failure"
#: In the folder of a search: one line for each time that a trial was started again.
RETRIES_FILE = "retries.jsonl"
# Of files: these are the user's to correct.
_LASTING = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


@dataclass(frozen=True)
class Retry:
    """A time that a trial was started again.

    Attributes:
        step: Outer steps at its last measurement before; it continues from its newest checkpoint.
        reason: What it was lost to, one line.
    """

    step: int
    reason: str


def is_of_surroundings(error: Exception) -> bool:
    """True if machines, memory or files failed, so that another attempt may succeed.

    A run that diverges, unusable data or settings, and mistakes of our own would fail again.
    """
    if isinstance(error, RayError):
        return not isinstance(error, RayTaskError)
    if isinstance(error, OSError):
        return not isinstance(error, _LASTING)
    surroundings = (ClusterError, BusyError, WriteError, MemoryError, torch.OutOfMemoryError)
    return isinstance(error, surroundings)


@contextlib.contextmanager
def reported_failures() -> Iterator[None]:
    """End a trial with a report of what it raises, unless it is worth another attempt."""
    try:
        yield
    except Exception as error:
        if is_of_surroundings(error):
            raise
        # Searchers and schedulers want what they go by in every report, and pass over NaN and over
        # steps before any at which they decide.
        report: dict[str, Any] = dict.fromkeys(LARGER_IS_BETTER, math.nan)
        ray_tune.report({**report, "outer_step": 0, FAILURE: one_line(error), "done": True})


def one_line(error: BaseException) -> str:
    """The last line of what an error says, or its name."""
    if isinstance(error, RayError) and not isinstance(error, RayTaskError):
        return explain(error)
    return (str(error).strip() or type(error).__name__).splitlines()[-1]


class RetryLog(ray_tune.Callback):
    """Writes down every time that Ray Tune starts a trial again, and says so."""

    def __init__(self, file: Path, tell: Callable[[str], None]) -> None:
        """Appends to `file`, as later processes of the search do; `tell` gets lines."""
        self._file, self._tell = file, tell

    def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:  # noqa: ARG002
        """Note that a trial was lost and is about to start again."""
        step, reason = int(trial.last_result.get("outer_step", 0)), _reason(trial)
        record = {"trial": trial.trial_id, "step": step, "reason": reason}
        with self._file.open("a") as stream:
            stream.write(json.dumps(record) + "\n")
        self._tell(
            f"trial {trial.trial_id} was lost, measured last at outer step {step}, and is started "
            f"again: {reason}"
        )

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:  # noqa: ARG002
        """Note that a trial was lost and will not start again."""
        self._tell(f"trial {trial.trial_id} was lost too often and has failed: {_reason(trial)}")


def _reason(trial: Any) -> str:
    file = trial.pickled_error_file
    if file is None:
        return "its process could not be started"
    return one_line(cloudpickle.loads(Path(file).read_bytes()))


def read_retries(file: Path) -> Mapping[str, tuple[Retry, ...]]:
    """Retries that `RetryLog` wrote, by trial."""
    found: dict[str, tuple[Retry, ...]] = defaultdict(tuple)
    for line in file.read_text().splitlines() if file.is_file() else ():
        # The last line of a process that was killed may be cut off.
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            found[record["trial"]] += (Retry(record["step"], record["reason"]),)
    return found
