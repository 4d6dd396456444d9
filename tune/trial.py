"""One trial: a run of `metagan train` that is measured at every checkpoint."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray import tune as ray_tune

from cluster.resources import hide_gpus_not_granted
from cluster.runner import open_runner
from metagan.params import GanParams
from metagan.workflow.setup import TrainSetup
from metagan.workflow.train import OpenRunner, local_runner, train_run
from tune.config import SearchJobConfig
from tune.objective import Judge
from tune.space import Parameter, applied, with_sample

#: In a sample, settings that were not searched but are to be tried.
SETTINGS = "settings"


class _Silent:
    """A reporter for a process that nobody looks at."""

    def progress(self, fields: Mapping[str, object], *, force: bool = False) -> None:
        """Nothing; Tune has the metrics."""

    def print(self, text: str) -> None:
        """Nothing; the trial's run folder has it all."""


def trial_config(
    config: SearchJobConfig,
    parameters: Sequence[Parameter],
    sample: Mapping[str, Any],
    trial_id: str,
) -> SearchJobConfig:
    """A trial's complete settings.

    Args:
        config: The settings that are given.
        parameters: Those that are searched.
        sample: A value of each; under `SETTINGS`, values of others, which always apply.
        trial_id: Names its copy in `checkpoint.storage`, if there is to be one.
    """
    own: dict[str, Any] = {
        "checkpoint.every_steps": config.tune.report_every,
        "checkpoint.keep": 1,
        "cluster.num_workers": max(1, config.tune.workers_per_trial),
        "cluster.min_workers": 1,
    }
    if config.checkpoint.storage is not None:
        own["checkpoint.storage"] = f"{config.checkpoint.storage.rstrip('/')}/{trial_id}"
    chosen = {**applied(parameters, sample, config), **sample.get(SETTINGS, {})}
    return with_sample(config, {**chosen, **own})


def run_trial(
    sample: Mapping[str, Any],
    *,
    judge: Judge,
    parameters: Sequence[Parameter],
    trials_folder: str,
) -> None:
    """Train with a sample of the space and report on the way; what Tune calls.

    A trial that is started again goes on from its run folder's newest checkpoint.
    """
    hide_gpus_not_granted()
    config = judge.config
    trial_id = ray_tune.get_context().get_trial_id()
    own = trial_config(config, parameters, sample, trial_id)

    def report(setup: TrainSetup, init: GanParams, step: int) -> None:
        ray_tune.report({**judge.measure(own, setup, init), "outer_step": step})

    train_run(
        own,
        Path(trials_folder) / trial_id,
        open_runner=_runner(own),
        reporter=_Silent(),
        resume="auto",
        splits=judge.splits,
        on_checkpoint=report,
    )


def _runner(config: SearchJobConfig) -> OpenRunner:
    if config.tune.workers_per_trial:
        # They find their places in the trial's own placement group.
        return lambda spec: open_runner(spec, config.cluster)
    return local_runner(config, threads=config.cluster.threads_per_worker)
