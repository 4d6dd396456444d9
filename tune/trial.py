"""One trial: a run of `metagan train` that is measured at every checkpoint."""

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray import tune as ray_tune

from cluster.config import JobConfig
from cluster.opening import open_runner
from cluster.resources import hide_gpus_not_granted
from metagan.core.params import GanParams
from metagan.workflow.setup import TrainSetup
from metagan.workflow.train import OpenRunner, local_runner, train_run
from tune.config import SearchJobConfig
from tune.lineage import (
    Segment,
    drop_old_snapshots,
    extended,
    go_on_from,
    newest_step,
    replay,
    take_over,
    to_text,
    write_lineage,
    write_snapshot,
)
from tune.objective import Judge
from tune.population import is_population, snapshots_kept
from tune.space import Parameter, applied, with_sample

#: In a sample, settings that were not searched but are to be tried.
SETTINGS = "settings"
#: What a trial of a population reports in addition to measures of its initialization.
LINEAGE_TEXT = "lineage"
# A trial is started within this time, once there is room for it.
_START_S = 600.0


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
) -> JobConfig:
    """A trial's complete settings, which its run folder keeps.

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
    return with_sample(config.without_search(), {**chosen, **own})


def run_trial(
    sample: Mapping[str, Any],
    *,
    judge: Judge,
    parameters: Sequence[Parameter],
    trials_folder: str,
    schedule: Sequence[Segment] = (),
) -> None:
    """Train with a sample of the space and report on the way; what Tune calls.

    A trial that is started again continues from its run folder's newest checkpoint; one of a
    population from the snapshot that Tune has for it, which may be another trial's.

    Args:
        sample: A value of each parameter, and what `SETTINGS` says.
        judge: What all trials share.
        parameters: Those that are searched.
        trials_folder: Run folders are in it.
        schedule: Settings that change on the way, below those under `SETTINGS`.
    """
    hide_gpus_not_granted()
    config = judge.config
    trial_id = ray_tune.get_context().get_trial_id()
    run = Path(trials_folder) / trial_id

    def settings(chosen: Mapping[str, Any]) -> JobConfig:
        return trial_config(config, parameters, {**sample, **chosen}, trial_id)

    def train(own: JobConfig, tell: Callable[[Mapping[str, float]], None]) -> None:
        def measure(setup: TrainSetup, init: GanParams, step: int) -> None:
            metrics = {**judge.measure(own, setup, init), "outer_step": step}
            # By this name some of Tune's loggers know what to draw values over.
            tell({**metrics, "timesteps_total": step})

        train_run(
            own,
            run,
            open_runner=_runner(own, in_workers=config.tune.workers_per_trial > 0),
            reporter=_Silent(),
            resume="auto",
            splits=judge.splits,
            on_checkpoint=measure,
        )

    if schedule:

        def train_part(own: JobConfig, reached: Callable[[int], None]) -> None:
            def report(metrics: Mapping[str, float]) -> None:
                ray_tune.report(dict(metrics))
                reached(int(metrics["outer_step"]))

            train(own, report)

        fixed = sample.get(SETTINGS, {})
        replay(schedule, run, lambda chosen: settings({SETTINGS: {**chosen, **fixed}}), train_part)
    elif is_population(config.tune):
        _quiet_about_snapshots()
        own = settings({})
        lineage = _lineage(run, trial_id, applied(parameters, sample, config))
        take_over(run, lineage, own)
        train(own, lambda metrics: _report_with_snapshot(metrics, run, lineage, config))
    else:
        train(settings({}), lambda metrics: ray_tune.report(dict(metrics)))


def _lineage(run: Path, trial_id: str, sample: Mapping[str, Any]) -> tuple[Segment, ...]:
    """Prepare the run folder to continue, and return the lineage of its weights."""
    checkpoint = ray_tune.get_checkpoint()
    if checkpoint is None:
        return extended(go_on_from(None, run), trial_id, sample, 0)
    with checkpoint.as_directory() as snapshot:
        before = go_on_from(Path(snapshot), run)
    return extended(before, trial_id, sample, newest_step(run))


def _report_with_snapshot(
    metrics: Mapping[str, float], run: Path, lineage: Sequence[Segment], config: SearchJobConfig
) -> None:
    """Report, with a snapshot that this trial or another one can continue from."""
    write_lineage(run, lineage)
    with tempfile.TemporaryDirectory() as folder:
        write_snapshot(run, Path(folder))
        ray_tune.report(
            {**metrics, LINEAGE_TEXT: to_text(lineage)},
            checkpoint=ray_tune.Checkpoint.from_directory(folder),
        )
    kept = ray_tune.get_checkpoint()
    assert kept is not None
    drop_old_snapshots(Path(kept.path), keep=snapshots_kept(config), min_age_s=_START_S)


def _quiet_about_snapshots() -> None:
    """Silence Tune's line in the terminal for each snapshot."""
    for name in ("ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _runner(config: JobConfig, *, in_workers: bool) -> OpenRunner:
    if in_workers:
        # They find their places in the trial's own placement group, whose labels were chosen.
        placed = config.cluster.model_copy(update={"worker_labels": (), "fallback_labels": ()})
        return lambda spec: open_runner(spec, placed)
    return local_runner(config, threads=config.cluster.threads_per_worker)
