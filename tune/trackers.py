"""Where trials are logged besides our own files, through Ray Tune's callbacks.

Everything stays under the search's folder unless the tracker's own environment variable says
otherwise: `MLFLOW_TRACKING_URI`, `WANDB_MODE`.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ray import tune as ray_tune
from ray.tune.logger import JsonLoggerCallback, TBXLoggerCallback

from cluster.environment import environment_variables, only_errors
from metagan.config import ConfigError
from tune.config import SearchConfig

# Tune adds loggers of its own unless it is told not to.
_NO_LOGGERS_BY_ITSELF = "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"
_MLFLOW_URI = "MLFLOW_TRACKING_URI"
_WANDB_MODE = "WANDB_MODE"
_PROJECT = "metagan"


class _ResultLog(JsonLoggerCallback):
    """What results are read from; a trial that pauses and goes on keeps all of its rows.

    Tune's own takes the copy in storage instead, which may lack the newest.
    """

    def _restore_from_remote(self, file_name: str, trial: Any) -> None:
        if not Path(trial.local_path, file_name).exists():
            super()._restore_from_remote(file_name, trial)


@dataclass(frozen=True)
class _Kind:
    """A tracker.

    Attributes:
        packages: Import names of what it needs.
        callback: Makes it, for the folder of a search and a stage of it.
    """

    packages: tuple[str, ...]
    callback: Callable[[Path, str], ray_tune.Callback]


def _of_started_trials(base: Any) -> Any:
    """A callback's class, for trials that fail before they start, which its own cannot end."""

    class OfStartedTrials(base):  # type: ignore[misc]
        started: frozenset[str] = frozenset()

        def log_trial_start(self, trial: Any) -> None:
            super().log_trial_start(trial)
            self.started |= {trial.trial_id}

        def log_trial_end(self, trial: Any, failed: bool = False) -> None:
            if trial.trial_id in self.started:
                super().log_trial_end(trial, failed)

    return OfStartedTrials


def _tensorboard(out: Path, stage: str) -> ray_tune.Callback:  # noqa: ARG001
    # It writes beside Tune's own files of a trial, under out/tune.
    return TBXLoggerCallback()  # type: ignore[no-untyped-call]


def _mlflow(out: Path, stage: str) -> ray_tune.Callback:
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    return _of_started_trials(MLflowLoggerCallback)(
        tracking_uri=os.environ.get(_MLFLOW_URI, f"sqlite:///{out.absolute() / 'mlflow.db'}"),
        experiment_name=f"{out.absolute().name} {stage}",
        # MLflow takes a parameter once; of a trial whose settings change it gets the last ones.
        log_params_on_trial_end=True,
    )


def _wandb(out: Path, stage: str) -> ray_tune.Callback:
    from ray.air.integrations.wandb import WandbLoggerCallback

    return _of_started_trials(WandbLoggerCallback)(
        project=_PROJECT,
        group=f"{out.absolute().name} {stage}",
        mode=os.environ.get(_WANDB_MODE, "offline"),
        # It makes a folder `wandb` there.
        dir=str(out.absolute()),
        log_config=True,
    )


_KINDS: Mapping[str, _Kind] = {
    "tensorboard": _Kind(("tensorboardX",), _tensorboard),
    "mlflow": _Kind(("mlflow", "sqlalchemy", "alembic"), _mlflow),
    "wandb": _Kind(("wandb",), _wandb),
}


def check_trackers(config: SearchConfig) -> None:
    """Refuse trackers whose packages are missing, before anything starts.

    Raises:
        ConfigError: With what to install.
    """
    problems = []
    for name in config.trackers:
        missing = [package for package in _KINDS[name].packages if find_spec(package) is None]
        if missing:
            problems.append(
                f"tune.trackers has {name}, but {', '.join(missing)} is not installed: pip install "
                f"'metagan[{name}]', or leave {name} out"
            )
    if problems:
        raise ConfigError(*problems)


def tracker_callbacks(config: SearchConfig, out: Path, stage: str) -> list[ray_tune.Callback]:
    """Tune's loggers: the one that results are read from, and those that were asked for.

    Args:
        config: The search.
        out: Its folder.
        stage: Part of the search, such as "trials"; names the group that its trials are in.
    """
    asked = [_KINDS[name].callback(out, stage) for name in dict.fromkeys(config.trackers)]
    return [_ResultLog(), *asked]  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def trackers_environment() -> Iterator[None]:
    """What callbacks read from the environment while Tune runs, and no lines of theirs."""
    wanted = {
        _NO_LOGGERS_BY_ITSELF: "1",
        # Its callback wants an account's key unless this is "offline".
        _WANDB_MODE: os.environ.get(_WANDB_MODE, "offline"),
    }
    with environment_variables(wanted), only_errors(["mlflow"]):
        yield
