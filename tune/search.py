"""A search from its settings to what it found."""

import contextlib
import json
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray import tune as ray_tune
from ray.tune.execution import class_cache

from cluster.connect import cores_here, ray_session
from cluster.environment import environment_variables, quieter
from cluster.errors import ClusterError
from cluster.opening import with_absolute_paths
from metagan.config.affects import settings_of
from metagan.config.load import ConfigError, changed_settings, load_config, to_yaml
from metagan.data.dataset import DataError
from metagan.files import finite_or_null, write_bytes, write_json
from metagan.runs.run_folder import RunFolder
from metagan.runs.search_document import SEARCH_FILE
from metagan.words import counted
from metagan.workflow.setup import check_leak, data_record, prepare
from metagan.workflow.step_log import Reporter
from tune.attempt import run_attempt
from tune.config import LARGER_IS_BETTER, SearchJobConfig
from tune.failures import RETRIES_FILE, RetryLog, read_retries
from tune.lineage import Segment
from tune.objective import Judge, make_judge
from tune.out_of_memory import ends_by_memory_are_losses
from tune.placement import Placement, check_wait, place_trials
from tune.population import is_population, parse_search_space
from tune.results import (
    AFTER_ID,
    Findings,
    Trial,
    best_of,
    rank,
    search_document,
    trials_of,
)
from tune.schedulers import make_scheduler, make_searcher, objective_mode
from tune.space import Parameter, with_sample
from tune.trackers import check_trackers, tracker_callbacks, trackers_environment
from tune.trial import SETTINGS

BEST_FILE = "best.yaml"
GIVEN_FILE = "given.yaml"
SETTINGS_FILE = "search.yaml"
DATA_FILE = "data.json"
# Without boxes, also off a terminal, and without a traceback of every trial that was lost.
_OUTPUT = {"RAY_AIR_NEW_OUTPUT": "0", "TUNE_PRINT_ALL_TRIAL_ERRORS": "0"}
# Seeds that no search trained with.
_FRESH_SEEDS = 1000


@dataclass(frozen=True)
class _Place:
    """The place and manner in which all trials of a search run.

    Attributes:
        out: Folder of the search.
        trials: What each reserves.
        resume: Continue trials of an earlier process.
        reporter: Gets progress.
    """

    out: Path
    trials: Placement
    resume: bool
    reporter: Reporter


def search(
    config: SearchJobConfig, out: Path, *, resume: bool, reporter: Reporter
) -> dict[str, Any]:
    """Search, then train the best settings and the given ones with fresh seeds.

    Args:
        config: The settings that are given, with `tune`.
        out: Folder of the search; trials' run folders are in it.
        resume: Continue a search that was interrupted: finished trials are kept, others
            continue from their checkpoints.
        reporter: Gets progress.

    Returns:
        What `search.json` holds; see `tune.results.search_document`. It is first written
        before the fresh seeds are trained, also where every trial failed.

    Raises:
        ConfigError: If the space or a tracker cannot be used, or the settings are not those of the
            search to resume.
        RunError: If its data are not.
        ClusterError: If no trial can ever fit, or all of them failed.
    """
    parameters = parse_search_space(config)
    check_trackers(config.tune)
    resumed = resume and (out / "tune").is_dir()
    if resumed:
        _check_same_search(config, out)
    out.mkdir(parents=True, exist_ok=True)
    _check_judged(config)
    known = resumed and (out / DATA_FILE).is_file()
    setup = prepare(config, resumed=RunFolder(out) if known else None)
    leak = check_leak(setup, config.data)
    if leak is not None:
        reporter.print(f"LEAK: {leak}; what is measured on held-out classes is too good")
    write_json(out / DATA_FILE, data_record(setup, leak))
    reporter.print(
        f"searching {', '.join(p.key for p in parameters)}: {config.tune.num_trials} trials of up "
        f"to {config.outer.steps} outer steps, by {config.tune.objective} on "
        f"{len(setup.splits.validation)} validation classes"
    )
    write_bytes(out / SETTINGS_FILE, to_yaml(config).encode())
    write_bytes(out / GIVEN_FILE, to_yaml(config.without_search()).encode())
    judge = make_judge(config, setup, out, tell=reporter.print)
    seeds = [config.seed + _FRESH_SEEDS + index for index in range(config.tune.confirm_seeds)]
    with _ray(config):
        place = _Place(out, place_trials(config), resume, reporter)
        started = time.monotonic()
        space = {parameter.key: parameter.to_domain() for parameter in parameters}
        trials = _run(judge, parameters, space, "trials", place)
        seconds = {"trials": time.monotonic() - started}
        findings = Findings(rank(trials, config), {}, seeds, seconds, resumed)
        result = _written(out, search_document(config, parameters, findings))
        best = best_of(findings.ranked, config)
        if best is None:
            failed = next((trial.error for trial in trials if trial.error), "no trial was measured")
            raise ClusterError(
                f"all {len(trials)} trials failed; the first: {failed}; for a page about all of "
                f"them: metagan report --search {out}"
            )
        found = with_sample(config, best.sample)
        write_bytes(out / BEST_FILE, to_yaml(found.without_search()).encode())
        if seeds:
            started = time.monotonic()
            confirmed = _confirm(judge, best, seeds, place)
            seconds = {**seconds, "confirm": time.monotonic() - started}
            findings = replace(findings, confirmation=confirmed, seconds=seconds)
            result = _written(out, search_document(config, parameters, findings))
    return result


def _check_judged(config: SearchJobConfig) -> None:
    """Refuse a run whose samples answer inputs: trials are judged by classifiers of classes.

    Raises:
        DataError: With what can be done instead.
    """
    if "input" in config.gan.conditioning:
        raise DataError(
            f"gan.conditioning is {config.gan.conditioning_text}: a search judges its trials by "
            "classifiers of classes, which answers to inputs are not for; train a few runs, and "
            "compare them by metagan evaluate --baseline"
        )


def _check_same_search(config: SearchJobConfig, out: Path) -> None:
    """Refuse to continue a search with other settings: its kept trials had the old ones."""
    file = out / SETTINGS_FILE
    if not file.is_file():
        return  # Broken off before anything was tried.
    before = load_config(SearchJobConfig, file).config
    # Nothing that trials kept from before depend on; data may have moved.
    may_change = {*settings_of(SearchJobConfig, "where"), "tune.confirm_seeds"}
    if not (out / DATA_FILE).is_file():
        # A search of an earlier version has kept nothing to know its data by.
        may_change -= {"data.path", "data.source"}
    if changed := changed_settings(before, config, may_change):
        raise ConfigError(
            f"{out} was searched with other settings; resume with the same, or choose another "
            "--out:\n  " + "\n  ".join(changed)
        )


def _written(out: Path, document: dict[str, Any]) -> dict[str, Any]:
    document = finite_or_null(document)
    write_json(out / SEARCH_FILE, document)
    return document


def _confirm(
    judge: Judge, best: Trial, seeds: Sequence[int], place: _Place
) -> dict[str, list[float | None]]:
    """The objective of the best and of the given settings, each with fresh seeds."""
    config = judge.config
    count = len(seeds)
    place.reporter.print(
        f"training the best and the given settings with {counted(count, 'fresh seed')}"
    )
    names = {"best": best.sample, "given": {}}
    tried = [{**sample, "seed": seed} for sample in names.values() for seed in seeds]
    whole: dict[str, Any] = {
        "scheduler": "none",
        "searcher": "random",
        "num_trials": 1,
        "space": {},
    }
    fixed = config.model_copy(update={"tune": config.tune.model_copy(update=whole)})
    # The same targets and classifiers: only what is trained has another seed.
    same = replace(judge, config=fixed)
    trials = _run(same, (), {SETTINGS: ray_tune.grid_search(tried)}, "confirm", place)
    values = {
        json.dumps(trial.sample, sort_keys=True): trial.metrics.get(config.tune.objective)
        for trial in trials
    }
    found = [values.get(json.dumps(sample, sort_keys=True)) for sample in tried]
    confirmed = {"best": found[:count], "given": found[count:]}
    if len(best.lineage) > 1:
        # best.yaml has the settings that the trial ended with; these are all that it had.
        by_seed = {SETTINGS: ray_tune.grid_search([{"seed": seed} for seed in seeds])}
        trials = _run(same, (), by_seed, "schedule", place, schedule=best.lineage)
        measured = {t.sample["seed"]: t.metrics.get(config.tune.objective) for t in trials}
        confirmed["schedule"] = [measured.get(seed) for seed in seeds]
    return confirmed


def _run(
    judge: Judge,
    parameters: Sequence[Parameter],
    space: Mapping[str, Any],
    name: str,
    place: _Place,
    *,
    schedule: Sequence[Segment] = (),
) -> list[Trial]:
    # Trials run in folders of their own.
    judge = replace(judge, config=with_absolute_paths(judge.config))
    config, at_once = judge.config, place.trials.at_once
    folder = str(place.out.absolute() / name)
    trainable = ray_tune.with_resources(
        ray_tune.with_parameters(
            run_attempt,
            judge=judge,
            parameters=parameters,
            trials_folder=folder,
            schedule=schedule,
        ),
        place.trials.to_factory(),
    )
    retries = place.out.absolute() / RETRIES_FILE
    storage = str(place.out.absolute() / "tune")
    path = f"{storage}/{name}"
    if place.resume and ray_tune.Tuner.can_restore(path):
        tuner = ray_tune.Tuner.restore(
            path, trainable, resume_unfinished=True, resume_errored=True, param_space=dict(space)
        )
    else:
        tuner = ray_tune.Tuner(
            trainable,
            param_space=dict(space),
            tune_config=ray_tune.TuneConfig(
                metric=config.tune.objective,
                mode=objective_mode(config),
                num_samples=config.tune.num_trials,
                scheduler=make_scheduler(config, parameters),
                search_alg=make_searcher(config, at_once),
                # Only a searcher that learns from trials needs this; see `make_searcher`.
                max_concurrent_trials=at_once if config.tune.searcher != "random" else None,
                # The next trial finds torch imported, and data and kernels warm.
                reuse_actors=config.tune.reuse_processes,
                trial_dirname_creator=_folder_name,
            ),
            run_config=ray_tune.RunConfig(
                name=name,
                storage_path=storage,
                verbose=0,
                callbacks=[
                    _Progress(config, place.reporter, name),
                    RetryLog(retries, place.reporter.print),
                    *tracker_callbacks(config.tune, place.out, name),
                ],
                failure_config=ray_tune.FailureConfig(max_failures=config.tune.max_failures),
                # Before a scheduler that would change settings for no further step.
                stop={"outer_step": config.outer.steps} if is_population(config.tune) else None,
            ),
        )
    with (
        _quiet_tune(),
        _credentials_stay_here(),
        trackers_environment(),
        ends_by_memory_are_losses(),
    ):
        results = tuner.fit()
    return trials_of(iter(results), parameters, config, read_retries(retries))


def _folder_name(trial: Any) -> str:
    """Name of Tune's folder of a trial, which TensorBoard shows."""
    drawn = re.sub(r"[^\w.=,+-]", "_", str(trial.experiment_tag))
    return f"{trial.trial_id}{AFTER_ID}{drawn[:100]}"


@contextlib.contextmanager
def _ray(config: SearchJobConfig) -> Iterator[None]:
    """A Ray by the settings; a private one has all cores of this machine."""
    workers = math.ceil(cores_here() / config.cluster.cpus_per_worker)
    sized = config.cluster.model_copy(update={"num_workers": workers})
    with ray_session(sized):
        yield


class _Progress(ray_tune.Callback):
    """Tells the reporter what Tune's own tables would, in one line."""

    def __init__(self, config: SearchJobConfig, reporter: Reporter, name: str) -> None:
        self._config, self._tune = config, config.tune
        self._reporter, self._name = reporter, name
        self._best: float | None = None
        # Since when there has been no trial, on this process's clock; None once there was.
        self._waiting_since: float | None = math.inf

    def on_step_end(self, iteration: int, trials: Any, **_: Any) -> None:  # noqa: ARG002
        """Report progress, and a wait that has become long."""
        self._check_wait(trials)
        for trial in trials:
            value = trial.last_result.get(self._tune.objective)
            if value is not None and math.isfinite(value):
                better = max if LARGER_IS_BETTER[self._tune.objective] else min
                self._best = value if self._best is None else better(self._best, value)
        self._tell(trials)

    def _check_wait(self, trials: Sequence[Any]) -> None:
        if self._waiting_since is None or any(trial.status != "PENDING" for trial in trials):
            self._waiting_since = None
            return
        now = time.monotonic()
        self._waiting_since = min(now, self._waiting_since)
        if now - self._waiting_since >= self._config.cluster.placement_timeout_s:
            self._waiting_since = now
            self._reporter.print(check_wait(self._config))

    def _tell(self, trials: Sequence[Any]) -> None:
        states = [trial.status for trial in trials]
        self._reporter.progress(
            {
                "stage": self._name,
                "step": states.count("TERMINATED") + states.count("ERROR"),
                "steps": max(len(states), self._tune.num_trials),
                "running": states.count("RUNNING"),
                "failed": states.count("ERROR"),
                f"best_{self._tune.objective}": self._best,
            }
        )


@contextlib.contextmanager
def _quiet_tune() -> Iterator[None]:
    """Silence Tune's tables and its warnings of intended things; our own line says enough."""
    with (
        environment_variables(_OUTPUT),
        quieter(["ray.tune", "ray.train", "ray._private"]),
    ):
        yield


@contextlib.contextmanager
def _credentials_stay_here() -> Iterator[None]:
    """Keeps AWS credentials out of the settings of the trials' processes.

    Tune copies them there from this process's environment, and Ray writes such settings to its
    logs and shows them on its dashboard. What trials need comes to them as it comes to workers of
    training: with their node's environment or role, or with a job's.
    """
    names = class_cache.ENV_VARS_TO_PROPAGATE
    credentials = {name for name in names if name.startswith("AWS_")}
    names -= credentials
    try:
        yield
    finally:
        names |= credentials
