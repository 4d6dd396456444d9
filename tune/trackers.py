"""Trackers that log trials in addition to our own files, through Ray Tune's callbacks.

Everything stays under the search's folder unless the tracker's own environment variable says
otherwise: `MLFLOW_TRACKING_URI`, `WANDB_MODE`.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ray import tune as ray_tune
from ray.tune.logger import JsonLoggerCallback, TBXLoggerCallback

from cluster.environment import environment_variables, quieter
from metagan.config.load import ConfigError
from tune.config import SearchConfig

# Tune adds loggers of its own unless it is asked not to.
_NO_LOGGERS_BY_ITSELF = "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"
_MLFLOW_URI = "MLFLOW_TRACKING_URI"
_WANDB_MODE = "WANDB_MODE"
_PROJECT = "metagan"
_LOG = logging.getLogger(__name__)


class _ResultLog(JsonLoggerCallback):
    """The log that results are read from; a trial that pauses and continues keeps all of its rows.

    Tune's own log takes the copy in storage instead, which may lack the newest rows.
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


def harmless(base: Any) -> Any:
    """A logger callback's class that a search outlives.

    After its first error (a server that is gone, a full disk), which is reported, it logs no more.
    It also skips the end of a trial that failed before it started, which its base cannot end.
    """

    class Harmless(base):  # type: ignore[misc]
        broken = False
        started: frozenset[str] = frozenset()

        def _unless_broken(self, name: str, *arguments: Any, **named: Any) -> None:
            if self.broken:
                return
            try:
                getattr(super(), name)(*arguments, **named)
            except Exception as error:  # noqa: BLE001 - whatever it is, the search is worth more
                self.broken = True
                said = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
                _LOG.warning("%s logs no more: %s", base.__name__, said)

        def setup(self, *arguments: Any, **named: Any) -> None:
            self._unless_broken("setup", *arguments, **named)

        def log_trial_start(self, trial: Any) -> None:
            self._unless_broken("log_trial_start", trial)
            self.started |= {trial.trial_id}

        def log_trial_result(self, iteration: int, trial: Any, result: Any) -> None:
            self._unless_broken("log_trial_result", iteration, trial, result)

        def log_trial_save(self, trial: Any) -> None:
            self._unless_broken("log_trial_save", trial)

        def log_trial_end(self, trial: Any, failed: bool = False) -> None:
            if trial.trial_id in self.started:
                self._unless_broken("log_trial_end", trial, failed)

        def on_experiment_end(self, trials: Any, **info: Any) -> None:
            self._unless_broken("on_experiment_end", trials, **info)

    return Harmless


def _tensorboard(out: Path, stage: str) -> ray_tune.Callback:  # noqa: ARG001
    # It writes beside Tune's own files of a trial, under out/tune.
    made: ray_tune.Callback = harmless(TBXLoggerCallback)()
    return made


def _mlflow(out: Path, stage: str) -> ray_tune.Callback:
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    return harmless(MLflowLoggerCallback)(
        tracking_uri=os.environ.get(_MLFLOW_URI, f"sqlite:///{out.absolute() / 'mlflow.db'}"),
        experiment_name=f"{out.absolute().name} {stage}",
        # MLflow takes a parameter once; of a trial whose settings change it gets the last ones.
        log_params_on_trial_end=True,
    )


def _wandb(out: Path, stage: str) -> ray_tune.Callback:
    from ray.air.integrations.wandb import WandbLoggerCallback

    return harmless(WandbLoggerCallback)(
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
    """Set the variables that trackers read while Tune runs, and silence their loggers."""
    wanted = {
        _NO_LOGGERS_BY_ITSELF: "1",
        # Its callback wants an account's key unless this is "offline".
        _WANDB_MODE: os.environ.get(_WANDB_MODE, "offline"),
    }
    with environment_variables(wanted), quieter(["mlflow"]):
        yield
