"""A run's copy in another place: what is complete, who may write, what comes back."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from metagan.checkpoint import MANIFEST, save_checkpoint
from metagan.gan import build_gan
from metagan.outer_loop import LearnerState
from metagan.params import Layout
from metagan.run_folder import RunError, RunFolder
from metagan.settings import CheckpointConfig
from metagan.storage import RunStorage, StorageError
from tests.helpers import tiny_config


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.create(config_yaml="seed: 0\n", splits={"train": ["a"]}, data={"sha256": "00"})
    folder.append("metrics.jsonl", [{"step": 1}])
    return folder


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return (tmp_path / "store" / "run").as_uri()


@pytest.fixture
def layout() -> Layout:
    return Layout.of(build_gan(tiny_config().gan, (1, 16, 16), seed=0)[1])


def save(run: RunFolder, layout: Layout, step: int) -> None:
    vector = torch.full((layout.size,), float(step))
    state = LearnerState(step, {"init": vector, "ema": vector})
    save_checkpoint(run.checkpoints, state, layout, info={}, keep=5)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("BEST", ".lock", "driver.json")
    }


def opened(uri: str) -> RunStorage:
    storage = RunStorage(uri, pause_s=0.0)
    storage.claim()
    return storage


def test_what_is_pulled_is_what_was_pushed(
    run: RunFolder, uri: str, layout: Layout, tmp_path: Path
) -> None:
    storage = opened(uri)
    for step in (3, 6):
        save(run, layout, step)
        storage.push(run, keep=5)
    assert storage.steps() == [6, 3]
    copy = RunFolder(tmp_path / "elsewhere" / "run")
    assert RunStorage(uri).pull(copy) == 6
    pulled = contents(copy.path)
    assert pulled == {k: v for k, v in contents(run.path).items() if "step-3" not in k}
    assert copy.exists()


def test_a_run_folder_that_is_as_new_is_left_alone(
    run: RunFolder, uri: str, layout: Layout
) -> None:
    storage = opened(uri)
    assert storage.pull(run) is None
    save(run, layout, 3)
    storage.push(run, keep=5)
    save(run, layout, 6)
    before = contents(run.path)
    assert storage.pull(run) is None
    assert contents(run.path) == before


def test_a_run_folder_that_is_behind_gets_the_newer_checkpoint_and_keeps_its_own(
    run: RunFolder, uri: str, layout: Layout, tmp_path: Path
) -> None:
    save(run, layout, 3)
    behind = RunFolder(tmp_path / "behind")
    shutil.copytree(run.path, behind.path)
    save(run, layout, 6)
    opened(uri).push(run, keep=5)
    assert RunStorage(uri).pull(behind) == 6
    assert {p.name for p in behind.checkpoints.glob("step-*")} == {"step-3", "step-6"}
    assert (behind.checkpoints / "LATEST").read_text() == "step-6\n"


def test_a_checkpoint_without_its_manifest_is_none(
    run: RunFolder, uri: str, layout: Layout, tmp_path: Path
) -> None:
    storage = opened(uri)
    for step in (3, 6):
        save(run, layout, step)
        storage.push(run, keep=5)
    (tmp_path / "store" / "run" / "checkpoints" / "step-6" / MANIFEST).unlink()
    assert storage.steps() == [3]
    assert RunStorage(uri).pull(RunFolder(tmp_path / "new")) == 3


def test_the_manifest_is_written_last_and_deleted_first(
    run: RunFolder, uri: str, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = opened(uri)
    written: list[str] = []
    write = RunStorage._write

    def noted(self: RunStorage, name: str, data: bytes) -> None:
        written.append(name)
        write(self, name, data)

    monkeypatch.setattr(RunStorage, "_write", noted)
    save(run, layout, 3)
    storage.push(run, keep=1)
    of_step = [name for name in written if "step-3" in name]
    assert len(of_step) == 4
    assert of_step[-1].endswith(MANIFEST)
    save(run, layout, 6)
    storage.push(run, keep=1)
    assert storage.steps() == [6]


def test_a_driver_that_was_replaced_stops(run: RunFolder, uri: str, layout: Layout) -> None:
    first, second = opened(uri), opened(uri)
    save(run, layout, 3)
    second.push(run, keep=5)
    with pytest.raises(RunError, match="has taken over"):
        first.push(run, keep=5)


def test_a_failing_storage_is_tried_again_and_then_told(
    run: RunFolder, uri: str, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = opened(uri)
    save(run, layout, 3)
    calls = failing(storage, monkeypatch, times=3)
    storage.push(run, keep=5)
    assert storage.steps() == [3]
    assert next(calls) > 3
    failing(storage, monkeypatch, times=1000)
    with pytest.raises(StorageError, match=r"file:.*no room"):
        storage.push(run, keep=5)


def failing(storage: RunStorage, monkeypatch: pytest.MonkeyPatch, *, times: int) -> Iterator[int]:
    """The file system's first operations fail; yields how many there were so far."""
    real, count = storage._fs, 0

    class Failing:
        def __getattr__(self, name: str) -> object:
            nonlocal count
            count += 1
            if count <= times:
                raise OSError("no room\nsecond line")
            return getattr(real, name)

    def counted() -> Iterator[int]:
        while True:
            yield count

    monkeypatch.setattr(storage, "_fs", Failing())
    return counted()


@pytest.mark.parametrize("uri", ["nonsense://x/y", "file://host/x"])
def test_a_place_that_cannot_be_opened_is_an_error_with_the_setting(uri: str) -> None:
    with pytest.raises(RunError, match=r"checkpoint\.storage"):
        RunStorage(uri)


@pytest.mark.parametrize(
    ("uri", "said"),
    [("bucket/run", "expected a URI"), ("s3://key:secret@bucket/run", "credentials")],
)
def test_a_uri_that_is_relative_or_holds_secrets_is_refused(uri: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        CheckpointConfig(storage=uri)
    assert json.loads(caught.value.json())[0]["loc"] == ["storage"]
