"""Trackers of trials: what they write, and the error where a package is missing."""

import contextlib
import os
import sqlite3
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import cloudpickle
from ray.tune.logger import JsonLoggerCallback

from metagan.config.load import ConfigError
from metagan.data.arrow import prepare
from tests.helpers import bars
from tests.tune.test_search import settings
from tests.workflow.conftest import Quiet
from tune.config import SearchConfig
from tune.search import search
from tune.trackers import (
    check_trackers,
    harmless,
    tracker_callbacks,
    trackers_environment,
)

SPACE = {"inner.lr": {"grid": [1e-2, 2e-2]}}


# Of how these packages use others; nothing of ours.
OTHERS_WARN = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [package for package in packages if find_spec(package) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed")


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_tracker_whose_package_is_missing_is_refused_with_what_to_install(
    name: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tune.trackers.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=rf"tune\.trackers has {name}.*'metagan\[{name}\]'"):
        check_trackers(SearchConfig(trackers=(name,)))
    check_trackers(SearchConfig())


def test_a_missing_tracker_stops_a_search_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tune.trackers.find_spec", lambda _: None)
    config = settings("nowhere", {"space": SPACE, "trackers": ["wandb"]})
    with pytest.raises(ConfigError, match="wandb is not installed"):
        search(config, tmp_path / "out", resume=False, reporter=Quiet())
    assert not (tmp_path / "out").exists()


def test_without_trackers_only_what_results_are_read_from_is_written(tmp_path: Path) -> None:
    (logger,) = tracker_callbacks(SearchConfig(), tmp_path, "trials")
    assert isinstance(logger, JsonLoggerCallback)
    twice = SearchConfig(trackers=("tensorboard", "tensorboard"))
    assert len(tracker_callbacks(twice, tmp_path, "trials")) == 2


def test_the_environment_is_as_before_when_tune_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    before = dict(os.environ)
    with trackers_environment():
        assert os.environ["WANDB_MODE"] == "offline"
    assert dict(os.environ) == before
    monkeypatch.setenv("WANDB_MODE", "online")
    with trackers_environment():
        assert os.environ["WANDB_MODE"] == "online"
    assert os.environ["WANDB_MODE"] == "online"


def test_a_trial_that_never_started_is_not_ended() -> None:
    calls: list[tuple[str, str]] = []

    class Strict:
        def log_trial_start(self, trial: Any) -> None:
            calls.append(("start", trial.trial_id))

        def log_trial_end(self, trial: Any, failed: bool = False) -> None:
            calls.append((f"end {failed}", trial.trial_id))

    callback = harmless(Strict)()
    a, b = (SimpleNamespace(trial_id=name) for name in "ab")
    callback.log_trial_start(a)
    callback.log_trial_end(a, failed=True)
    callback.log_trial_end(b, failed=True)
    assert calls == [("start", "a"), ("end True", "a")]


def test_a_tracker_that_fails_is_told_of_once_and_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Gone:
        def setup(self, **_: Any) -> None:
            pass

        def log_trial_start(self, trial: Any) -> None:
            pass

        def log_trial_result(self, *_: Any) -> None:
            raise ConnectionError("the server is gone\nand a page about it")

        def on_experiment_end(self, *_: Any) -> None:
            raise AssertionError("not asked any more")

    callback = cloudpickle.loads(cloudpickle.dumps(harmless(Gone)()))
    trial = SimpleNamespace(trial_id="a")
    callback.setup(stop=None)
    callback.log_trial_start(trial)
    for iteration in (1, 2):
        callback.log_trial_result(iteration, trial, {})
    callback.log_trial_end(trial)
    callback.on_experiment_end([trial])
    assert [record.getMessage() for record in caplog.records] == [
        "Gone logs no more: the server is gone"
    ]


@needs("mlflow", "sqlalchemy", "alembic")
@OTHERS_WARN
def test_mlflow_is_told_the_last_settings_of_a_trial_that_starts_again_with_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (_, callback) = tracker_callbacks(SearchConfig(trackers=("mlflow",)), tmp_path, "trials")
    again = cloudpickle.loads(cloudpickle.dumps(callback))  # As Tune keeps it for a restart.

    class Trial:
        trial_id = "a"

        def __init__(self) -> None:
            self.config = {"inner.lr": 0.01}

        def __str__(self) -> str:
            return "trial a"

    trial: Any = Trial()
    again.setup()
    again.log_trial_start(trial)
    again.log_trial_result(1, trial, {"kid": 0.5, "timesteps_total": 25, "lineage": "[]"})
    trial.config = {"inner.lr": 0.012}
    again.log_trial_start(trial)
    again.log_trial_result(2, trial, {"kid": 0.4, "timesteps_total": 50, "lineage": "[]"})
    again.log_trial_end(trial)
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        assert database.execute("select key, value from params").fetchall() == [
            ("inner.lr", "0.012")
        ]
        rows = database.execute("select step, value from metrics where key = 'kid'").fetchall()
        assert sorted(rows) == [(25, 0.5), (50, 0.4)]
        assert database.execute("select status from runs").fetchall() == [("FINISHED",)]


# With Ray.


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(prepare(bars(), tmp_path_factory.mktemp("data") / "bars"))


def searched(data: str, tmp_path: Path, *trackers: str) -> tuple[Path, list[dict[str, Any]]]:
    here = sorted(Path().iterdir())
    config = settings(data, {"space": SPACE, "num_trials": 1, "trackers": list(trackers)})
    result = search(config, tmp_path / "out", resume=False, reporter=Quiet())
    assert [trial["status"] for trial in result["trials"]] == ["done"] * 2
    assert sorted(Path().iterdir()) == here, "something was written where the command ran"
    return tmp_path / "out", result["trials"]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_tensorboard_has_each_trials_objective_by_outer_step(data: str, tmp_path: Path) -> None:
    out, trials = searched(data, tmp_path, "tensorboard")
    found = {}
    for trial in trials:
        (events,) = (out / "tune" / "trials").glob(f"*{trial['id']}*/events.out.tfevents.*")
        found[trial["id"]] = scalars(events)["ray/tune/kid"]
    for trial in trials:
        wanted = {point["step"]: point["metrics"]["kid"] for point in trial["curve"]}
        assert found[trial["id"]] == pytest.approx(wanted)


def scalars(file: Path) -> dict[str, dict[int, float]]:
    """Values in a file of events, by name and step."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, dict[int, float]] = {}
    data = file.read_bytes()
    while data:
        # A record: its length, a checksum, itself, another checksum.
        size = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + size])
        for value in event.summary.value:
            found.setdefault(value.tag, {})[event.step] = value.simple_value
        data = data[12 + size + 4 :]
    return found


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
@needs("mlflow", "sqlalchemy", "alembic")
@OTHERS_WARN
def test_mlflow_has_each_trials_settings_and_objective(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    out, trials = searched(data, tmp_path, "mlflow")
    with contextlib.closing(sqlite3.connect(out / "mlflow.db")) as database:
        params = database.execute("select key, value from params").fetchall()
        metrics = database.execute("select step, value from metrics where key = 'kid'").fetchall()
    assert sorted(params) == [("inner.lr", "0.01"), ("inner.lr", "0.02")]
    points = [(p["step"], p["metrics"]["kid"]) for trial in trials for p in trial["curve"]]
    assert sorted(metrics) == sorted(points)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
@needs("wandb")
@OTHERS_WARN
def test_wandb_writes_a_run_for_each_trial_and_asks_for_no_account(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    out, trials = searched(data, tmp_path, "wandb")
    runs = sorted((out / "wandb").glob("offline-run-*"))
    assert len(runs) == 2
    for trial in trials:
        (run,) = [path for path in runs if path.name.endswith(trial["id"])]
        (file,) = run.glob("*.wandb")
        assert b"kid" in file.read_bytes()
