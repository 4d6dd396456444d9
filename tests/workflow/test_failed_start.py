"""A start that fails leaves the folder free for the corrected command."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from metagan.train import EpisodeRunner, WorkerSpec
from metagan.workflow.train import train_run
from tests.workflow.conftest import Quiet, bars_config, run_training


@contextlib.contextmanager
def no_workers(_: WorkerSpec) -> Iterator[EpisodeRunner]:
    raise RuntimeError("no worker can be placed")
    yield


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
