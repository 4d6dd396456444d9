"""A start that fails leaves the folder as it was, free for the corrected command."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from metagan.core.outer_loop import EpisodeRunner, WorkerSpec
from metagan.data.dataset import DataError
from metagan.runs.run_folder import RunError, RunFolder
from metagan.workflow.train import local_runner, train_run
from tests.helpers import tree
from tests.workflow.conftest import Quiet, bars_config, run_training


@contextlib.contextmanager
def no_workers(_: WorkerSpec) -> Iterator[EpisodeRunner]:
    raise RuntimeError("no worker can be placed")
    yield


@pytest.mark.parametrize("fails_on", ["data", "workers"])
def test_a_failed_start_in_a_folder_with_hidden_things_leaves_exactly_those(
    tmp_path: Path, bars_path: Path, fails_on: str
) -> None:
    run = tmp_path / "run"
    (run / ".git" / "objects").mkdir(parents=True)
    (run / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (run / ".env").write_text("KEY=1\n")
    before = tree(tmp_path)
    config = bars_config(bars_path if fails_on == "workers" else tmp_path / "nowhere")
    with pytest.raises((RuntimeError, DataError)):
        train_run(config, run, open_runner=no_workers, reporter=Quiet())
    assert tree(tmp_path) == before


@pytest.mark.parametrize("fails_on", ["data", "workers"])
@pytest.mark.parametrize("resume", [False, "auto"])
def test_a_failed_start_leaves_no_new_folder(
    tmp_path: Path, bars_path: Path, fails_on: str, resume: bool
) -> None:
    config = bars_config(bars_path if fails_on == "workers" else tmp_path / "nowhere")
    run = tmp_path / "runs" / "first"
    with pytest.raises((RuntimeError, DataError)):
        train_run(config, run, open_runner=no_workers, reporter=Quiet(), resume=resume)
    assert list(tmp_path.iterdir()) == []


def test_a_resume_of_what_is_no_run_leaves_no_new_folder(tmp_path: Path, bars_path: Path) -> None:
    with pytest.raises(RunError, match="nothing to resume"):
        run_training(bars_config(bars_path), tmp_path / "runs" / "typo", resume=True)
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_puts_there_meanwhile_outlives_a_failed_start(
    tmp_path: Path, bars_path: Path
) -> None:
    run = tmp_path / "run"

    @contextlib.contextmanager
    def no_workers_after_a_while(spec: WorkerSpec) -> Iterator[EpisodeRunner]:
        (run / "notes.txt").write_text("mine")
        (run / "samples" / "mine.png").write_bytes(b"mine")
        with no_workers(spec) as runner:
            yield runner

    with pytest.raises(RuntimeError, match="no worker"):
        train_run(
            bars_config(bars_path), run, open_runner=no_workers_after_a_while, reporter=Quiet()
        )
    assert tree(run) == {"notes.txt": b"mine", "samples": None, "samples/mine.png": b"mine"}


def test_once_a_step_is_logged_a_failure_keeps_everything(tmp_path: Path, bars_path: Path) -> None:
    class Broken(Quiet):
        def progress(self, fields, *, force=False) -> None:  # noqa: ARG002
            raise RuntimeError("after the first step")

    config = bars_config(bars_path)
    with pytest.raises(RuntimeError, match="after the first step"):
        train_run(config, tmp_path / "run", open_runner=local_runner(config), reporter=Broken())
    folder = RunFolder(tmp_path / "run")
    assert folder.exists()
    assert [line["step"] for line in folder.read_lines("metrics.jsonl")] == [1]


def test_a_failed_start_can_be_repeated_with_the_same_folder(
    tmp_path: Path, bars_path: Path
) -> None:
    config = bars_config(bars_path)
    with pytest.raises(RuntimeError, match="no worker"):
        train_run(config, tmp_path / "run", open_runner=no_workers, reporter=Quiet())
    run_training(config, tmp_path / "run")
    assert (tmp_path / "run" / "checkpoints" / "LATEST").read_text() == "step-3\n"


def test_a_failed_resume_keeps_everything(tmp_path: Path, bars_path: Path) -> None:
    run_training(bars_config(bars_path), tmp_path / "run")
    longer = bars_config(
        bars_path, outer={"meta_batch_size": 4, "episodes_per_chunk": 2, "steps": 9}
    )
    with pytest.raises(RuntimeError, match="no worker"):
        train_run(longer, tmp_path / "run", open_runner=no_workers, reporter=Quiet(), resume=True)
    assert (tmp_path / "run" / "checkpoints" / "step-3" / "manifest.json").is_file()


def test_scalars_are_written_for_tensorboard(trained: Path) -> None:
    events = list(trained.glob("events.out.tfevents.*"))
    assert len(events) == 1
    assert b"train/loss_g_last" in events[0].read_bytes()
