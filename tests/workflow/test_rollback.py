"""A run that diverges goes back to a checkpoint and on with a lower outer learning rate."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from metagan.config.settings import RunConfig
from metagan.core.aggregate import DivergedError
from metagan.core.chunks import ChunkKey, ChunkResult
from metagan.core.meta_learner import MetaLearner
from metagan.core.outer_loop import EpisodeRunner, RunnerStats, Upcoming, WorkerSpec, meta_train
from metagan.core.params import Vector
from metagan.runs.checkpoint import list_checkpoints, load_checkpoint
from metagan.runs.run_folder import RunError, RunFolder
from metagan.workflow.setup import prepare
from metagan.workflow.train import OpenRunner, local_runner, train_run
from tests.equal_runs import assert_equal_runs
from tests.workflow.conftest import Quiet, bars_config, run_training

#: With this rate the fourth outer step has no finite episode; with a hundredth of it, all are well.
LR, ROLLBACK_LR = 300.0, 0.01


def config_of(path: Path, *, rollbacks: int = 1, **changes: Any) -> RunConfig:
    outer = {
        "steps": 6,
        "meta_batch_size": 4,
        "episodes_per_chunk": 2,
        "lr": LR,
        "optimizer": "sgd",
        "rollbacks": rollbacks,
        "rollback_lr": ROLLBACK_LR,
    }
    return bars_config(path, outer=outer | changes, checkpoint={"every_steps": 2, "keep": 1})


def lines(run: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


def untimed(run: Path) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in line.items() if not name.endswith("_s")}
        for line in lines(run, "metrics.jsonl")
    ]


@pytest.fixture(scope="module")
def rolled_back(tmp_path_factory: pytest.TempPathFactory, bars_path: Path) -> Path:
    run = tmp_path_factory.mktemp("rollback") / "run"
    run_training(config_of(bars_path), run)
    return run


def test_without_rollbacks_the_same_run_ends_and_names_the_first_bad_task_and_weight(
    bars_path: Path, tmp_path: Path
) -> None:
    message = r"outer step 4: only 0 of 4 .*task 'domain\d/angle\d', .*first in generator\.body"
    with pytest.raises(DivergedError, match=message):
        run_training(config_of(bars_path, rollbacks=0), tmp_path / "run")
    assert list_checkpoints(tmp_path / "run" / "checkpoints")[0].name == "step-3"


def test_it_goes_on_from_the_last_regular_checkpoint_with_the_lower_rate(
    rolled_back: Path, bars_path: Path, tmp_path: Path
) -> None:
    run_training(config_of(bars_path, rollbacks=0, steps=2), tmp_path / "two")
    config = config_of(bars_path, rollbacks=0, lr=LR * ROLLBACK_LR)
    setup = prepare(config)
    learner = MetaLearner(setup.layout.flatten(setup.initial), config.outer, config.warmup)
    learner.load(load_checkpoint(tmp_path / "two" / "checkpoints" / "step-2", setup.layout).state)
    with local_runner(config)(setup.spec) as runner:
        meta_train(learner, setup.source, runner, config, setup.layout, on_step=lambda *_: False)
    end = load_checkpoint(rolled_back / "checkpoints" / "step-6", setup.layout).state
    assert torch.equal(end.tensors["init"], torch.from_numpy(learner.vector))
    assert end.tensors["rollbacks"] == 1


def test_it_is_told_and_the_log_has_every_step_once(rolled_back: Path) -> None:
    (event,) = lines(rolled_back, "failures.jsonl")
    assert (event["kind"], event["step"]) == ("rollback", 2)
    assert "outer step 4: only 0 of 4 episodes" in event["reason"]
    assert (
        "back to outer step 2 with 0.01 of outer.lr (rollback 1 of outer.rollbacks 1)"
        in (event["reason"])
    )
    assert [line["step"] for line in lines(rolled_back, "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]


class Cut:
    """A runner that is cut off at its n-th outer step."""

    num_workers = 1

    def __init__(self, runner: EpisodeRunner, number: int, error: Exception) -> None:
        self._runner, self._left, self._error = runner, number, error

    def run(
        self, vector: Vector, chunks: Sequence[ChunkKey], upcoming: Sequence[Upcoming] = ()
    ) -> tuple[list[ChunkResult], RunnerStats]:
        self._left -= 1
        if not self._left:
            raise self._error
        return self._runner.run(vector, chunks, upcoming)

    def take_events(self) -> Sequence[dict[str, object]]:
        return ()

    def heed(self, asked_to_stop: Callable[[], bool]) -> None:
        self._runner.heed(asked_to_stop)


class Lost(RuntimeError):
    """An error like those of the cluster: a checkpoint is written before the run ends."""

    exit_code = 4


def cut(config: RunConfig, number: int, error: Exception) -> OpenRunner:
    @contextlib.contextmanager
    def opened(spec: WorkerSpec) -> Iterator[EpisodeRunner]:
        with local_runner(config)(spec) as runner:
            yield Cut(runner, number, error)

    return opened


@pytest.mark.parametrize("error", [Lost("lost"), RuntimeError("killed")], ids=["kept", "not_kept"])
@pytest.mark.parametrize("number", range(2, 9))
def test_wherever_it_is_interrupted_it_comes_to_the_same_bits(
    rolled_back: Path, bars_path: Path, tmp_path: Path, number: int, error: Exception
) -> None:
    """Eight outer steps are computed: 1 to 4, of which 4 diverges, then 3 to 6."""
    config, run = config_of(bars_path), tmp_path / "run"
    with pytest.raises(type(error)):
        train_run(config, run, open_runner=cut(config, number, error), reporter=Quiet())
    run_training(config, run, resume=True)
    assert_equal_runs(run, rolled_back)
    assert untimed(run) == untimed(rolled_back)


def test_it_goes_back_to_a_checkpoint_that_only_the_copy_had(
    bars_path: Path, tmp_path: Path
) -> None:
    config = config_of(bars_path)
    # The one before the newest is what the fourth step goes back to.
    places = {"every_steps": 1, "keep": 1, "storage": f"file://{tmp_path / 'copy'}"}
    checkpoint = config.checkpoint.model_copy(update=places)
    config = config.model_copy(update={"checkpoint": checkpoint})
    other = {"storage": f"file://{tmp_path / 'other'}"}
    calm = config.model_copy(update={"checkpoint": checkpoint.model_copy(update=other)})
    run_training(calm, tmp_path / "calm")
    run, killed = tmp_path / "run", cut(config, 4, RuntimeError("killed"))
    with pytest.raises(RuntimeError, match="killed"):
        train_run(config, run, open_runner=killed, reporter=Quiet())
    shutil.rmtree(run)
    run_training(config, run, resume=True)
    assert_equal_runs(run, tmp_path / "calm")
    assert untimed(run) == untimed(tmp_path / "calm")
    (event,) = lines(run, "failures.jsonl")
    assert (event["kind"], event["step"]) == ("rollback", 2)


def test_when_all_rollbacks_are_used_up_the_run_has_diverged(
    bars_path: Path, tmp_path: Path
) -> None:
    config, run = config_of(bars_path, rollbacks=2, rollback_lr=0.999), tmp_path / "run"
    with pytest.raises(DivergedError, match="only 0 of 4"):
        run_training(config, run)
    assert [line["kind"] for line in lines(run, "failures.jsonl")[:2]] == ["rollback"] * 2
    assert lines(run, "failures.jsonl")[-1]["kind"] == "end"


def test_checkpoints_that_are_gone_back_to_stay_as_frequent_as_they_were(
    rolled_back: Path, bars_path: Path
) -> None:
    config = config_of(bars_path)
    other = config.model_copy(
        update={"checkpoint": config.checkpoint.model_copy(update={"every_steps": 3})}
    )
    before = (RunFolder(rolled_back).path / "metrics.jsonl").read_bytes()
    with pytest.raises(RunError, match=r"checkpoint\.every_steps: 2 before, 3 now"):
        run_training(other, rolled_back, resume=True)
    assert (rolled_back / "metrics.jsonl").read_bytes() == before
