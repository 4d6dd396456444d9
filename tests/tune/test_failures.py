"""Trials that are lost, and trials that fail: the former go on, the latter do not."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayTaskError

from cluster.errors import ClusterError
from metagan.config.load import ConfigError
from metagan.core.aggregate import DivergedError
from metagan.data.dataset import DataError
from metagan.runs.run_folder import BusyError, RunError, RunFolder, WriteError
from tests.tune.faults import Disturbing, kill_at, left_behind, process_of, processes, steps_done
from tests.tune.test_search import settings, weights
from tests.workflow.conftest import Quiet
from tune.failures import Retry, is_of_surroundings, read_retries
from tune.search import search


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ActorDiedError(), True),
        (OutOfMemoryError("the node ran out of memory"), True),
        (ClusterError("21 workers were lost"), True),
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (OSError(5, "Input/output error"), True),
        (BusyError("in use by process 7"), True),
        (WriteError("No space left on device"), True),
        (RayTaskError("compute", "Traceback ...", ValueError("a mistake")), False),
        (DivergedError("not finite"), False),
        (DataError("no such picture"), False),
        (ConfigError("inner.lr"), False),
        (RunError("damaged"), False),
        (FileNotFoundError("data"), False),
        (ZeroDivisionError(), False),
    ],
)
def test_what_is_tried_again_is_what_may_succeed(error: Exception, again: bool) -> None:
    assert is_of_surroundings(error) is again


def test_retries_are_read_by_trial_and_half_a_line_is_passed_over(tmp_path: Path) -> None:
    lines = [{"trial": name, "step": 5, "reason": "lost"} for name in ("a", "b", "a")]
    file = tmp_path / "retries.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"trial": "a", "st')
    assert read_retries(file) == {"a": (Retry(5, "lost"),) * 2, "b": (Retry(5, "lost"),)}
    assert read_retries(tmp_path / "none") == {}


def test_a_run_folder_is_waited_for_no_longer_than_asked(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path / "run").lock(),
        pytest.raises(BusyError, match="in use by process"),
        RunFolder(tmp_path / "run").lock(wait_s=0.3),
    ):
        pass


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_trial_that_is_lost_before_it_has_measured_anything_fails_alone(
    bars_path: Path, tmp_path: Path
) -> None:
    space = {"inner.lr": {"grid": LRS}}
    config = settings(str(bars_path), {"num_trials": 1, "max_failures": 0, "space": space})
    killed: list[str] = []

    def kill() -> bool:
        for run in sorted((tmp_path / "out" / "trials").glob("*_*")):
            if (run / ".lock").is_file() and not steps_done(run):
                os.kill(process_of(run), signal.SIGKILL)
                killed.append(run.name)
                return True
        return False

    reporter = Disturbing(kill)
    found = search(config, tmp_path / "out", resume=False, reporter=reporter)
    status = {trial["id"]: trial["status"] for trial in found["trials"]}
    assert status.pop(killed[0]) == "failed"
    assert list(status.values()) == ["done"]
    assert found["trials"][-1]["sample"].keys() == {"inner.lr"}
    assert "actor" in found["trials"][-1]["error"].lower()
    assert any(f"trial {killed[0]} was lost too often" in line for line in reporter.lines)


LRS = [1e-2, 3e-3]
LONG = {"num_trials": 1, "report_every": 10, "space": {"inner.lr": {"grid": LRS}}}


def long(data: Path, tune: dict[str, object]):
    """Trials of 60 outer steps that are measured six times."""
    config = settings(str(data), {**LONG, **tune})
    return config.model_copy(update={"outer": config.outer.model_copy(update={"steps": 60})})


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
class TestOnRay:
    def test_a_killed_trial_goes_on_and_all_have_the_bits_of_an_undisturbed_search(
        self, bars_path: Path, tmp_path: Path
    ) -> None:
        config = long(bars_path, {"max_concurrent": 2})
        calm = search(config, tmp_path / "calm", resume=False, reporter=Quiet())
        reporter = Disturbing(kill_at(tmp_path / "out" / "trials", 25))
        found = search(config, tmp_path / "out", resume=False, reporter=reporter)
        assert reporter.done
        trials = sorted(found["trials"], key=lambda trial: trial["order"])
        retries = [trial["retries"] for trial in trials]
        assert sorted(map(len, retries)) == [0, 1]
        (retry,) = max(retries, key=len)
        assert "ActorDiedError" in retry["reason"]
        assert retry["step"] in (20, 30, 40, 50)
        told = [line for line in reporter.lines if "is started again: ActorDiedError" in line]
        assert len(told) == 1
        expected = {trial["sample"]["inner.lr"]: trial for trial in calm["trials"]}
        for trial in trials:
            same = expected[trial["sample"]["inner.lr"]]
            assert (trial["status"], trial["metrics"]) == ("done", same["metrics"])
            runs = [tmp_path / "calm", tmp_path / "out"]
            ids = [same["id"], trial["id"]]
            first, second = (weights(r / "trials" / i) for r, i in zip(runs, ids, strict=True))
            assert first == second
        assert left_behind() == []

    def test_a_trial_that_is_lost_too_often_has_failed_and_the_reason_is_kept(
        self, bars_path: Path, tmp_path: Path
    ) -> None:
        config = long(bars_path, {"max_concurrent": 2, "max_failures": 1})
        reporter = Disturbing(kill_at(tmp_path / "out" / "trials", 12, times=2))
        found = search(config, tmp_path / "out", resume=False, reporter=reporter)
        done, failed = found["trials"]
        assert (done["status"], done["retries"]) == ("done", [])
        assert failed["status"] == "failed"
        assert "ActorDiedError" in failed["error"]
        assert len(failed["retries"]) == 1

    def test_a_trial_that_diverges_is_not_tried_again_and_its_process_takes_the_next(
        self, bars_path: Path, tmp_path: Path
    ) -> None:
        space = {"inner.lr": {"grid": [1e-2, 1e30, 3e-3]}}
        config = settings(str(bars_path), {"space": space, "num_trials": 1, "max_concurrent": 1})
        found = search(config, tmp_path / "out", resume=False, reporter=Quiet())
        trials = sorted(found["trials"], key=lambda trial: trial["order"])
        assert [trial["status"] for trial in trials] == ["done", "failed", "done"]
        assert "finite" in trials[1]["error"]
        assert [trial["retries"] for trial in trials] == [[], [], []]
        assert not (tmp_path / "out" / "retries.jsonl").exists()
        runs = [tmp_path / "out" / "trials" / trial["id"] for trial in trials[::2]]
        assert process_of(runs[0]) == process_of(runs[1])

    def test_a_trial_that_diverges_goes_back_as_often_as_it_may_and_is_then_measured(
        self, bars_path: Path, tmp_path: Path
    ) -> None:
        space = {"outer.lr": {"grid": [300.0]}}
        config = settings(str(bars_path), {"space": space, "num_trials": 1, "report_every": 2})
        changes = {"steps": 6, "optimizer": "sgd", "rollbacks": 1, "rollback_lr": 0.01}
        config = config.model_copy(update={"outer": config.outer.model_copy(update=changes)})
        found = search(config, tmp_path / "out", resume=False, reporter=Quiet())
        (trial,) = found["trials"]
        assert (trial["status"], trial["step"], trial["retries"]) == ("done", 6, [])
        assert [measured["step"] for measured in trial["curve"]] == [2, 4, 6]
        run = tmp_path / "out" / "trials" / trial["id"]
        events = (run / "failures.jsonl").read_text()
        assert events.count('"rollback"') == 1

    def test_results_do_not_depend_on_what_a_process_ran_before(
        self, bars_path: Path, tmp_path: Path
    ) -> None:
        space = {
            "inner.lr": {"grid": [1e-2, 3e-3]},
            "algorithm.name": {"grid": ["reptile", "fomaml"]},
        }
        found = []
        for reuse in (True, False):
            tune = {"space": space, "num_trials": 1, "reuse_processes": reuse, "max_concurrent": 1}
            out = tmp_path / f"{reuse}"
            result = search(settings(str(bars_path), tune), out, resume=False, reporter=Quiet())
            trials = sorted(result["trials"], key=lambda trial: trial["order"])
            runs = [out / "trials" / trial["id"] for trial in trials]
            assert len({process_of(run) for run in runs}) == (1 if reuse else 4)
            found.append([(t["metrics"], weights(r)) for t, r in zip(trials, runs, strict=True)])
        assert found[0] == found[1]

    def test_a_trial_that_is_stopped_early_frees_its_workers_before_the_next_has_its_own(
        self, bars_path: Path, tmp_path: Path
    ) -> None:
        counts: list[int] = []

        def count() -> bool:
            counts.append(len(processes(b"ray::EpisodeWorker")))
            return False

        space = {"inner.lr": {"grid": [1e-2, 1e-1, 3e-1]}}
        tune = {"space": space, "num_trials": 1, "scheduler": "asha", "workers_per_trial": 2}
        config = settings(str(bars_path), {**tune, "max_concurrent": 1, "report_every": 1})
        found = search(config, tmp_path / "out", resume=False, reporter=Disturbing(count))
        assert "stopped" in {trial["status"] for trial in found["trials"]}
        assert max(counts) == 2
        assert left_behind() == []
