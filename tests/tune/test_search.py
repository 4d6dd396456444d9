"""Searches on Ray: what is found, what is written, and what failures do to it."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from ray import tune as ray_tune

from cluster.config import JobConfig
from cluster.errors import ClusterError
from metagan.config.load import ConfigError, load_config
from metagan.data.arrow import prepare
from metagan.report.search_load import load_search
from metagan.workflow.report import write_search_report
from metagan.workflow.setup import load_run
from tests.helpers import bars, tiny_config
from tests.workflow.conftest import Quiet
from tune.config import SearchJobConfig
from tune.results import Trial, rank
from tune.schedulers import make_searcher, objective_mode
from tune.search import search

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(prepare(bars(), tmp_path_factory.mktemp("data") / "bars"))


def settings(data: str, tune: Mapping[str, Any], **sections: Any) -> SearchJobConfig:
    base = tiny_config(
        data={
            "source": "arrow",
            "path": data,
            "image_size": 16,
            "split_by": "class",
            "test_fraction": 0.25,
            "validation_fraction": 0.25,
        },
        outer={"steps": 4, "meta_batch_size": 4, "episodes_per_chunk": 2},
        evaluate={
            "shots": [3],
            "max_classes": 4,
            "test_per_class": 4,
            "source_steps": 20,
            "classifier_steps": 10,
            "quality_samples": 50,
            "generated_per_real": [4],
            "mix": [0.5],
        },
        device="cpu",
        **sections,
    )
    values = base.model_dump(mode="json") | {
        "tune": {
            "objective": "kid",
            "num_trials": 2,
            "report_every": 2,
            "grace_steps": 2,
            "repetitions": 1,
            "confirm_seeds": 0,
            "scheduler": "none",
            **tune,
        }
    }
    return SearchJobConfig.model_validate_json(json.dumps(values))


def weights(run: Path) -> dict[str, bytes]:
    newest = run / "checkpoints" / (run / "checkpoints" / "LATEST").read_text().strip()
    return {path.name: path.read_bytes() for path in newest.glob("*.safetensors")}


def free_again() -> bool:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"]:
            return True
        time.sleep(0.2)
    return False


def test_a_search_ranks_its_trials_writes_the_best_and_trains_it_with_fresh_seeds(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = {"inner.lr": {"loguniform": [1e-3, 1e-1]}, "inner.steps": {"randint": [1, 3]}}
    # Relative to where the search is started, though trials run in folders of their own.
    monkeypatch.chdir(Path(data).parent)
    config = settings(Path(data).name, {"space": space, "num_trials": 3, "confirm_seeds": 2})
    reporter = Quiet()
    result = search(config, tmp_path / "out", resume=False, reporter=reporter)
    values = [trial["metrics"]["kid"] for trial in result["trials"]]
    assert values == sorted(values)
    assert len(set(values)) == 3
    assert [trial["status"] for trial in result["trials"]] == ["done"] * 3
    assert all(1 <= trial["sample"]["inner.steps"] <= 3 for trial in result["trials"])
    best = load_config(JobConfig, tmp_path / "out" / "best.yaml").config
    assert best.inner.lr == result["best"]["inner.lr"]
    assert best.outer == config.outer
    confirmed = result["confirmation"]
    assert set(confirmed) == {"best", "given"}
    assert all(len(set(kids)) == 2 for kids in confirmed.values())
    assert json.loads((tmp_path / "out" / "search.json").read_text())["best"] == result["best"]
    assert any(fields["stage"] == "trials" for fields in reporter.fields)
    for trial in result["trials"]:
        # Any other command takes a trial's run folder.
        trained = load_run(tmp_path / "out" / "trials" / trial["id"], JobConfig)
        assert trained.config.inner.lr == trial["sample"]["inner.lr"]
        assert [measured["step"] for measured in trial["curve"]] == [2, 4]
        assert trial["curve"][-1]["metrics"] == trial["metrics"]
        seconds = [measured["seconds"] for measured in trial["curve"]]
        assert 0 < seconds[0] < seconds[1] == trial["seconds"]
    assert sorted(trial["order"] for trial in result["trials"]) == [1, 2, 3]
    given = load_config(JobConfig, tmp_path / "out" / "given.yaml").config
    assert given.inner == config.inner
    assert result["fresh_seeds"] == [1000, 1001]
    page = write_search_report(tmp_path / "out", tmp_path / "out" / "report.html")
    assert "3 trials (3 trained to the end)" in page.read_text("utf-8").replace("\u00a0", " ")
    assert free_again()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("searcher", "scheduler"),
    [("optuna", "none"), ("optuna", "asha"), ("random", "hyperband"), ("random", "median")],
)
def test_every_searcher_and_scheduler_ends_with_trials_inside_of_the_space(
    data: str, tmp_path: Path, searcher: str, scheduler: str
) -> None:
    space = {
        "inner.lr": {"loguniform": [1e-3, 1e-1]},
        "inner.steps": {"lograndint": [1, 3]},
        "gan.mode_seeking": {"uniform": [0.01, 0.1], "when": {"inner.optimizer": ["sgd"]}},
        "inner.optimizer": {"choice": ["sgd", "adam"]},
    }
    tune = {"space": space, "num_trials": 5, "searcher": searcher, "scheduler": scheduler}
    result = search(settings(data, tune), tmp_path / "out", resume=False, reporter=Quiet())
    assert len(result["trials"]) == 5
    assert result["trials"][0]["status"] == "done"
    assert len({trial["sample"]["inner.lr"] for trial in result["trials"]}) == 5
    for trial in result["trials"]:
        assert 1e-3 <= trial["sample"]["inner.lr"] <= 1e-1
        assert trial["sample"]["inner.steps"] in (1, 2, 3)
        conditional = "gan.mode_seeking" in trial["sample"]
        assert conditional == (trial["sample"]["inner.optimizer"] == "sgd")
    assert free_again()


def test_optuna_knows_which_way_is_better_and_which_trials_failed(data: str) -> None:
    optuna = pytest.importorskip("optuna")
    config = settings(data, {"searcher": "optuna", "objective": "gain"})
    searcher = make_searcher(config, at_once=2)
    space = {"inner.steps": ray_tune.randint(1, 7)}
    assert searcher.set_search_properties("gain", objective_mode(config), space)
    for number in range(6):
        name = f"trial {number}"
        steps = searcher.suggest(name)["inner.steps"]
        searcher.on_trial_complete(name, {"gain": 0.01 * steps})
    searcher.suggest("failed")
    searcher.on_trial_complete("failed", None, error=True)
    study = searcher._ot_study
    assert study.direction.name == "MAXIMIZE"
    done = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
    assert study.best_trial.value == max(t.value for t in done)
    assert [t.state.name for t in study.trials].count("FAIL") == 1


def test_a_trial_that_diverges_does_not_stop_the_others(data: str, tmp_path: Path) -> None:
    space = {"inner.lr": {"grid": [1e-2, 1e30]}}
    config = settings(data, {"space": space, "num_trials": 1})
    result = search(config, tmp_path / "out", resume=False, reporter=Quiet())
    assert [trial["status"] for trial in result["trials"]] == ["done", "failed"]
    assert "finite" in result["trials"][1]["error"]
    assert result["best"] == {"inner.lr": 1e-2}


def test_a_search_of_which_every_trial_fails_is_an_error(data: str, tmp_path: Path) -> None:
    config = settings(data, {"space": {"inner.lr": {"choice": [1e30]}}, "num_trials": 2})
    with pytest.raises(ClusterError, match=r"all 2 trials failed; the first: .*finite"):
        search(config, tmp_path / "out", resume=False, reporter=Quiet())
    # What became of them is kept, for a page about it.
    found = load_search(tmp_path / "out")
    assert [trial.status for trial in found.trials] == ["failed"] * 2
    assert not (tmp_path / "out" / "best.yaml").exists()


def test_a_trial_with_workers_has_the_bits_of_one_without(data: str, tmp_path: Path) -> None:
    space = {"inner.lr": {"grid": [1e-2]}}
    found = []
    for workers in (0, 2):
        tune = {"space": space, "num_trials": 1, "workers_per_trial": workers}
        out = tmp_path / f"out-{workers}"
        result = search(settings(data, tune), out, resume=False, reporter=Quiet())
        (trial,) = result["trials"]
        found.append((weights(out / "trials" / trial["id"]), trial["metrics"]))
    assert found[0] == found[1]
    assert free_again()


def test_a_finished_search_that_is_resumed_keeps_its_trials(data: str, tmp_path: Path) -> None:
    config = settings(data, {"space": {"inner.lr": {"grid": [1e-2, 1e-3]}}, "num_trials": 1})
    first = search(config, tmp_path / "out", resume=False, reporter=Quiet())
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "trials").rglob("metrics.jsonl")}
    again = search(config, tmp_path / "out", resume=True, reporter=Quiet())
    assert again["trials"] == first["trials"]
    assert {p: p.stat().st_mtime_ns for p in before} == before
    other = settings(data, {"space": {"inner.lr": {"grid": [1e-2, 1e-4]}}, "num_trials": 1})
    with pytest.raises(
        ConfigError, match=r"tune\.space\.inner\.lr\.grid: \[0\.01, 0\.001\] before"
    ):
        search(other, tmp_path / "out", resume=True, reporter=Quiet())


def test_trials_that_can_never_fit_are_refused_with_the_numbers(data: str, tmp_path: Path) -> None:
    config = settings(data, {"workers_per_trial": 99, "space": {"inner.lr": {"choice": [1e-2]}}})
    with pytest.raises(ClusterError, match=r"a trial needs 99.01 CPU, but Ray has 6 CPU"):
        search(config, tmp_path / "out", resume=False, reporter=Quiet())


def test_trials_that_got_further_rank_before_those_that_were_stopped(data: str) -> None:
    config = settings(data, {"objective": "gain"})

    def trial(name: str, step: int, gain: float | None) -> Trial:
        return Trial(name, {}, "done", step, {} if gain is None else {"gain": gain})

    trials = [
        trial("failed", 0, None),
        trial("stopped high", 2, 0.9),
        trial("low", 4, 0.1),
        trial("high", 4, 0.2),
        trial("nan", 4, np.nan),
    ]
    assert [t.id for t in rank(trials, config)][:3] == ["high", "low", "stopped high"]
