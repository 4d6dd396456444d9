"""Populations: what is refused, and that a trial's weights are those of its recorded lineage."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cluster.config import JobConfig
from metagan.config.load import ConfigError
from metagan.data.arrow import prepare
from metagan.files import finite_or_null
from metagan.report.search_load import load_search
from metagan.runs.run_folder import RunFolder
from metagan.workflow.report import write_search_report
from metagan.workflow.setup import prepare as prepare_run
from metagan.workflow.train import local_runner, train_run
from tests.helpers import bars
from tests.tune.test_search import free_again, settings, weights
from tests.workflow.conftest import Quiet
from tune.config import SearchConfig, SearchJobConfig
from tune.lineage import (
    Segment,
    drop_old_snapshots,
    go_on_from,
    newest_step,
    replay,
    write_lineage,
)
from tune.population import (
    CHANGEABLE,
    parse_search_space,
    population_scheduler,
    snapshots_kept,
)
from tune.search import search
from tune.trial import trial_config

RATES = {
    "inner.lr": {"loguniform": [1e-3, 1e-1]},
    "gan.mode_seeking": {"uniform": [0.01, 0.3]},
}


def job(tune: Mapping[str, Any], **sections: Any) -> SearchJobConfig:
    values = {"outer": {"steps": 100}, "tune": {"scheduler": "pbt", **tune}, **sections}
    return SearchJobConfig.model_validate(values)


@pytest.mark.parametrize(
    ("key", "entry", "said"),
    [
        ("gan.width", {"choice": [8, 16]}, "gan.width: a running trial cannot change it"),
        ("inner.steps", {"randint": [2, 9]}, "a running trial cannot change it"),
        ("seed", {"choice": [1, 2]}, "it can change gan.r1, "),
        ("inner.lr", {"grid": [1e-3, 1e-2]}, "cannot try a grid in full"),
        ("warmup.lr", {"uniform": [1e-4, 1e-3]}, "of 0 outer steps is over when"),
    ],
)
def test_what_a_running_trial_cannot_change_is_refused_with_its_key(
    key: str, entry: Any, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_search_space(job({"space": {**RATES, key: entry}}))
    (problem,) = caught.value.problems
    assert problem.startswith(f"tune.space: {key}: ")
    assert said in problem


@pytest.mark.parametrize(
    ("tune", "sections", "said"),
    [
        ({"exchange_every": 100}, {}, r"first exchanges at outer step 100 .* outer\.steps is 100"),
        ({"report_every": 60, "exchange_every": 70}, {}, "first exchanges at outer step 120"),
        ({}, {"checkpoint": {"storage": "file:///copies"}}, "also go back to another one's"),
        ({}, {"algorithm": {"name": "joint"}, "tune_space": True}, ""),
    ],
)
def test_a_population_that_could_not_exchange_is_refused(
    tune: dict[str, Any], sections: dict[str, Any], said: str
) -> None:
    if sections.pop("tune_space", False):
        # Where nothing is given, of the space of the algorithm what can change is left.
        assert [p.key for p in parse_search_space(job(tune, **sections))] == ["gan.mode_seeking"]
        return
    with pytest.raises(ConfigError, match=said):
        parse_search_space(job({"space": RATES, **tune}, **sections))


@pytest.mark.parametrize(
    ("tune", "said"),
    [
        ({"scheduler": "pbt", "searcher": "optuna"}, "set tune.searcher random"),
        ({"scheduler": "pbt", "num_trials": 1}, "at least 2 to exchange between"),
        ({"scheduler": "pbt", "exchange_fraction": 0.6}, "less than or equal to 0.5"),
    ],
)
def test_settings_that_cannot_go_together_are_refused(tune: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SearchConfig.model_validate(tune)


def test_everything_that_can_change_is_a_setting_with_a_real_value() -> None:
    for key in CHANGEABLE:
        section, name = key.split(".")
        annotation = JobConfig.model_fields[section].annotation
        assert annotation is not None
        assert annotation.model_fields[name].annotation in (float, float | None), key


def test_perturbed_settings_stay_inside_of_their_ranges() -> None:
    space = {**RATES, "outer.momentum": {"choice": [0.5, 0.9]}}
    config = job({"space": space})
    parameters = parse_search_space(config)
    scheduler: Any = population_scheduler(config, parameters)
    trial = type("T", (), {"config": {}})()
    for _ in range(200):
        trial.config = {"inner.lr": 1e-1, "gan.mode_seeking": 0.01, "outer.momentum": 0.9}
        changed, _ = scheduler._get_new_config(trial, trial)
        assert 1e-3 <= changed["inner.lr"] <= 1e-1
        assert 0.01 <= changed["gan.mode_seeking"] <= 0.3
        assert changed["outer.momentum"] in (0.5, 0.9)


def test_snapshots_outlive_the_exchange_after_the_next() -> None:
    assert snapshots_kept(job({"report_every": 10, "exchange_every": 25})) == 8


# With Ray.


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(prepare(bars(), tmp_path_factory.mktemp("data") / "bars"))


def population(data: str, **tune: Any) -> SearchJobConfig:
    values = {
        "space": RATES,
        "scheduler": "pbt",
        "num_trials": 4,
        "report_every": 4,
        "exchange_every": 4,
        "exchange_fraction": 0.5,
        **tune,
    }
    config = settings(data, values)
    # Momentum and an average: state that has to come along with the weights.
    more = config.outer.model_copy(update={"steps": 12, "optimizer": "nesterov", "lr": 0.1})
    return config.model_copy(update={"outer": more})


def test_old_snapshots_go_and_young_ones_stay(tmp_path: Path) -> None:
    for number in range(5):
        folder = tmp_path / f"checkpoint_{number:06d}"
        folder.mkdir()
        if number != 1:
            os.utime(folder, (0, 0))
    drop_old_snapshots(tmp_path / "checkpoint_000004", keep=2, min_age_s=60)
    assert sorted(path.name[-1] for path in tmp_path.iterdir()) == ["1", "3", "4"]


def test_a_trial_goes_on_from_the_snapshot_whatever_is_in_its_folder(tmp_path: Path) -> None:
    snapshot, run = tmp_path / "snapshot", tmp_path / "run"
    lineage = (Segment(0, "donor", {"inner.lr": 1.0}),)
    for folder in (snapshot, run):
        (folder / "checkpoints").mkdir(parents=True)
    (run / "left").touch()
    write_lineage(snapshot, lineage)
    assert go_on_from(snapshot, run) == lineage
    assert {path.name for path in run.iterdir()} == {"checkpoints", "lineage.json", "samples"}
    assert {path.name for path in tmp_path.iterdir()} == {"snapshot", "run"}
    # Without one it starts from the beginning.
    assert go_on_from(None, run) == ()
    assert not run.exists()


def weights_of_schedule(
    schedule: list[Segment], config: SearchJobConfig, run: Path
) -> dict[str, bytes]:
    """Trained by a lineage in one process, without Tune."""
    splits = prepare_run(config).spec.splits

    def train(own: JobConfig, reached: Any) -> None:
        train_run(
            own,
            run,
            open_runner=local_runner(own),
            reporter=Quiet(),
            resume="auto",
            splits=splits,
            on_checkpoint=lambda _setup, _init, step: reached(step),
        )

    replay(schedule, run, lambda s: trial_config(config, (), {"settings": s}, "x"), train)
    return weights(run)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("at_once", [None, 1])
def test_a_trials_weights_are_those_of_its_lineage_to_the_bit(
    data: str, tmp_path: Path, at_once: int | None
) -> None:
    # Who is compared with whom depends on who is when where: on a busy machine perhaps with nobody.
    for attempt in range(3):
        config = population(data, max_concurrent=at_once, confirm_seeds=1)
        config = config.model_copy(update={"seed": attempt})
        out = tmp_path / f"out-{attempt}"
        result = search(config, out, resume=False, reporter=Quiet())
        assert [trial["status"] for trial in result["trials"]] == ["done"] * 4
        changed = [trial for trial in result["trials"] if trial["changes"]]
        if changed:
            break
    assert changed, "nobody took over anything"
    every = config.tune.report_every
    by_id = {trial["id"]: trial for trial in result["trials"]}
    for trial in result["trials"]:
        measured = [point["step"] for point in trial["curve"]]
        missing = set(range(every, 13, every)) - set(measured)
        assert measured == sorted(set(measured))
        # Weights that were taken over may be those of a later step.
        assert all(any(step <= c["step"] for c in trial["changes"]) for step in missing)
        steps = [segment["step"] for segment in trial["lineage"]]
        assert steps[0] == 0
        assert steps == sorted(set(steps))
        assert trial["lineage"][-1] == {
            "step": steps[-1],
            "trial": trial["id"],
            "sample": trial["sample"],
        }
        for key, (low, high) in {"inner.lr": (1e-3, 1e-1), "gan.mode_seeking": (0.01, 0.3)}.items():
            assert all(low <= s["sample"][key] <= high for s in trial["lineage"])
        for change in trial["changes"]:
            assert change["donor"] in by_id
            assert change["donor"] != trial["id"]
            assert change["step"] < 12
        kept = json.loads((out / "trials" / trial["id"] / "lineage.json").read_text())
        assert kept == trial["lineage"]
        log = RunFolder(out / "trials" / trial["id"]).read_lines("metrics.jsonl")
        assert [row["step"] for row in log] == list(range(1, 13))
    trial = changed[0]
    schedule = [Segment(**segment) for segment in trial["lineage"]]
    again = weights_of_schedule(schedule, config, tmp_path / "again")
    assert again == weights(out / "trials" / trial["id"])
    # The same number of steps with the last settings alone is something else, unless they were
    # the donor's, too.
    constant = weights_of_schedule([schedule[-1]], config, tmp_path / "constant")
    assert (constant == again) == all(s.sample == schedule[-1].sample for s in schedule)
    best = result["trials"][0]
    assert ("schedule" in result["confirmation"]) == (len(best["lineage"]) > 1)
    assert newest_step(out / "trials" / trial["id"]) == 12
    assert load_search(out).trials[0].id == best["id"]
    assert finite_or_null(result) == result
    page = write_search_report(out, out / "report.html").read_text("utf-8")
    assert "Where settings changed" in page
    assert free_again()
