"""An attempt at a trial: the same trial may be started again, in the same or another process."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune as ray_tune

from metagan.runs.run_folder import RunFolder
from tune.failures import reported_failures
from tune.trial import run_trial

# How long to wait for the end of a process that had the trial before.
_LOCK_WAIT_S = 60.0
# How long Ray Tune waits for the thread of a trial that it stopped, before it gives up the next
# trial of that process; its own two seconds are too few for a busy machine.
_ENVIRONMENT = {"TUNE_FUNCTION_THREAD_TIMEOUT_S": "60"}


def run_attempt(sample: Mapping[str, Any], *, trials_folder: str, **parameters: Any) -> None:
    """Call `run_trial`, and report failures that would recur; Tune calls this function.

    Args:
        sample: As `run_trial` takes it.
        trials_folder: Likewise.
        parameters: All others of `run_trial`.

    Raises:
        Exception: What is worth another attempt; all else is reported.
    """
    os.environ |= _ENVIRONMENT
    with reported_failures():
        folder = RunFolder(Path(trials_folder) / ray_tune.get_context().get_trial_id())
        if folder.exists():
            with folder.lock(wait_s=_LOCK_WAIT_S):
                pass
        run_trial(sample, trials_folder=trials_folder, **parameters)
