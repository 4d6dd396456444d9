"""A run's copy in another place: what is complete, who may write, what comes back."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from metagan.config.settings import CheckpointConfig
from metagan.core.gan import build_gan
from metagan.core.meta_learner import LearnerState
from metagan.core.params import Layout
from metagan.data.form import Form
from metagan.files import sha256_of
from metagan.kinds.image.build import build_players
from metagan.runs.checkpoint import MANIFEST, CheckpointError, save_checkpoint
from metagan.runs.run_folder import RunError, RunFolder
from metagan.runs.storage import Pulled, RunStorage, StorageError
from tests.helpers import tiny_config, tree


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
    return Layout.of(
        build_gan(build_players, tiny_config().gan, Form("image", (1, 16, 16)), seed=0)[1]
    )


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
    assert RunStorage(uri).pull(copy) == Pulled(6)
    pulled = contents(copy.path)
    assert pulled == {k: v for k, v in contents(run.path).items() if "step-3" not in k}
    assert copy.exists()


def test_a_run_folder_that_is_as_new_is_left_alone(
    run: RunFolder, uri: str, layout: Layout
) -> None:
    storage = opened(uri)
    assert storage.pull(run) == Pulled()
    save(run, layout, 3)
    storage.push(run, keep=5)
    save(run, layout, 6)
    before = contents(run.path)
    assert storage.pull(run) == Pulled()
    assert contents(run.path) == before


def test_a_run_folder_that_is_behind_gets_the_newer_checkpoint_and_keeps_its_own(
    run: RunFolder, uri: str, layout: Layout, tmp_path: Path
) -> None:
    save(run, layout, 3)
    behind = RunFolder(tmp_path / "behind")
    shutil.copytree(run.path, behind.path)
    save(run, layout, 6)
    opened(uri).push(run, keep=5)
    assert RunStorage(uri).pull(behind) == Pulled(6)
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
    assert RunStorage(uri).pull(RunFolder(tmp_path / "new")) == Pulled(3)


def flip_a_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def drop(file: Path) -> None:
    file.unlink()


def not_finite(file: Path) -> None:
    """Put infinity into a checkpoint's file, with the hash that then belongs to it."""
    data = file.read_bytes()
    file.write_bytes(data[:-4] + b"\x00\x00\x80\x7f")
    manifest = json.loads((file.parent / MANIFEST).read_text())
    manifest["files"][file.name]["sha256"] = sha256_of(file.read_bytes())
    (file.parent / MANIFEST).write_text(json.dumps(manifest))


def shorten(file: Path) -> None:
    (file.parent / MANIFEST).write_text('{"schema_version": 1')


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip_a_byte, r"^step-6/init\.safetensors: \d+ bytes, sha256 .* the file is damaged; kept"),
        (drop, r"^step-6/init\.safetensors: No such file"),
        (not_finite, r"^step-6/init\.safetensors: .* holds NaN or infinity"),
        (shorten, r"^step-6/manifest\.json: not valid JSON"),
    ],
)
def test_a_damaged_copy_gives_way_to_the_one_before_and_is_told(
    run: RunFolder,
    uri: str,
    layout: Layout,
    tmp_path: Path,
    damage: Callable[[Path], None],
    said: str,
) -> None:
    storage = opened(uri)
    for step in (3, 6):
        save(run, layout, step)
        storage.push(run, keep=5)
    damage(tmp_path / "store/run/checkpoints/step-6/init.safetensors")
    before = tree(tmp_path / "store")
    copy = RunFolder(tmp_path / "new")
    pulled = RunStorage(uri).pull(copy)
    assert pulled.step == 3
    (complaint,) = pulled.damaged
    assert complaint.startswith(f"{uri}: ")
    assert re.search(said, complaint.removeprefix(f"{uri}: "))
    kept = complaint.rpartition("kept as ")[2]
    assert {p.name for p in copy.checkpoints.iterdir()} == {"step-3", "LATEST", "BEST", kept}
    assert tree(copy.checkpoints / "step-3") == tree(run.checkpoints / "step-3")
    assert (copy.checkpoints / "LATEST").read_text() == "step-3\n"
    assert tree(tmp_path / "store") == before
    # The run that goes on is not behind what it stepped back over.
    again = opened(uri)
    save(copy, layout, 4)
    again.push(copy, keep=1)
    assert storage.steps() == [6, 4]


def test_a_run_folder_goes_on_from_its_own_where_all_newer_copies_are_damaged(
    run: RunFolder, uri: str, layout: Layout, tmp_path: Path
) -> None:
    save(run, layout, 3)
    behind = RunFolder(tmp_path / "behind")
    shutil.copytree(run.path, behind.path)
    before = tree(behind.path)
    save(run, layout, 6)
    opened(uri).push(run, keep=5)
    flip_a_byte(tmp_path / "store/run/checkpoints/step-6/ema.safetensors")
    pulled = RunStorage(uri).pull(behind)
    assert pulled.step is None
    assert len(pulled.damaged) == 1
    after = {
        name: data for name, data in tree(behind.path).items() if "damaged-step-6-" not in name
    }
    assert after == before


def test_a_damaged_checkpoint_of_the_run_folder_gives_way_to_its_sound_copy(
    run: RunFolder, uri: str, layout: Layout
) -> None:
    storage = opened(uri)
    for step in (3, 6):
        save(run, layout, step)
        storage.push(run, keep=5)
    sound = tree(run.checkpoints / "step-6")
    for step in (3, 6):
        flip_a_byte(run.checkpoints / f"step-{step}/init.safetensors")
    pulled = RunStorage(uri).pull(run)
    assert pulled.step == 6
    (complaint,) = pulled.damaged
    assert complaint.startswith(f"{run.checkpoints / 'step-6'} is damaged; kept as damaged-step-6-")
    assert tree(run.checkpoints / "step-6") == sound
    assert (run.checkpoints / complaint.rpartition("kept as ")[2]).is_dir()
    # The other one is in nobody's way.
    assert (run.checkpoints / "step-3").is_dir()
    # Now there is nothing newer.
    assert RunStorage(uri).pull(run) == Pulled()


def test_other_folders_beside_the_copies_are_let_alone(
    run: RunFolder, uri: str, layout: Layout, tmp_path: Path
) -> None:
    storage = opened(uri)
    save(run, layout, 3)
    storage.push(run, keep=5)
    there = tmp_path / "store/run/checkpoints"
    shutil.copytree(there / "step-3", there / "step-3-by-hand")
    save(run, layout, 6)
    storage.push(run, keep=1)
    assert storage.steps() == [6]
    assert (there / "step-3-by-hand").is_dir()


def test_where_all_copies_are_damaged_nothing_is_started_and_nothing_left(
    run: RunFolder, uri: str, layout: Layout, tmp_path: Path
) -> None:
    storage = opened(uri)
    for step in (3, 6):
        save(run, layout, step)
        storage.push(run, keep=5)
        flip_a_byte(tmp_path / f"store/run/checkpoints/step-{step}/init.safetensors")
    before = tree(tmp_path)
    new = RunFolder(tmp_path / "new")
    with pytest.raises(RunError, match=r"(?s)all checkpoints are damaged.*step-6/.*step-3/"):
        RunStorage(uri).pull(new)
    new.discard()
    assert tree(tmp_path) == before


def test_a_copy_that_may_be_sound_is_not_passed_over(
    run: RunFolder, uri: str, layout: Layout, tmp_path: Path
) -> None:
    storage = opened(uri)
    for step in (3, 6):
        save(run, layout, step)
        storage.push(run, keep=5)
    file = tmp_path / "store/run/checkpoints/step-6" / MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text()) | {"schema_version": 2}))
    before = tree(tmp_path)
    new = RunFolder(tmp_path / "new")
    with pytest.raises(CheckpointError, match=rf"{uri}: step-6/manifest.json: .*use the version"):
        RunStorage(uri).pull(new)
    new.discard()
    assert tree(tmp_path) == before


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


@pytest.mark.parametrize("operation", ["open_input_file", "open_output_stream", "move"])
def test_a_failing_storage_is_tried_again_and_then_told(
    run: RunFolder, uri: str, layout: Layout, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    storage = opened(uri)
    save(run, layout, 3)
    with monkeypatch.context() as patched:
        calls = failing(storage, patched, operation, times=2)
        storage.push(run, keep=5)
    assert storage.steps() == [3]
    assert len(calls) > 2
    save(run, layout, 4)
    failing(storage, monkeypatch, operation, times=1000)
    with pytest.raises(StorageError, match=r"file:.*no room"):
        storage.push(run, keep=5)
    # What is half there is no checkpoint.
    assert RunStorage(uri).steps() == [3]


@pytest.mark.parametrize("whole", [1, 3])
def test_a_push_that_breaks_off_between_files_leaves_the_copy_as_it_was(
    run: RunFolder, uri: str, layout: Layout, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    storage = opened(uri)
    save(run, layout, 3)
    storage.push(run, keep=5)
    save(run, layout, 4)
    failing(storage, monkeypatch, "move", times=1000, after=whole)
    with pytest.raises(StorageError, match="no room"):
        storage.push(run, keep=5)
    fetched = RunFolder(run.path.with_name("elsewhere"))
    assert opened(uri).pull(fetched) == Pulled(3, ())


def failing(
    storage: RunStorage,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    *,
    times: int,
    after: int = 0,
) -> list[str]:
    """Calls of one operation of the file system fail so often; returns those so far."""
    real, calls = storage._fs, []

    class Failing:
        def __getattr__(self, name: str) -> object:
            if name == operation:
                calls.append(name)
                if after < len(calls) <= after + times:
                    raise OSError("no room\nsecond line")
            return getattr(real, name)

    monkeypatch.setattr(storage, "_fs", Failing())
    return calls


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
