"""Checkpoints appear whole, are verified, and never run code."""

import hashlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from metagan.config.learning import OuterConfig, WarmupConfig
from metagan.config.settings import RunConfig
from metagan.core.meta_learner import MetaLearner
from metagan.core.params import Layout
from metagan.data.form import Form
from metagan.runs.checkpoint import (
    CheckpointError,
    DamagedCheckpointError,
    delete_checkpoint,
    list_checkpoints,
    load_best,
    load_checkpoint,
    load_newest,
    mark_best,
    read_pointer,
    save_checkpoint,
)
from metagan.workflow.worker import build_run_gan
from tests.helpers import tiny_config, tree


@pytest.fixture
def layout() -> Layout:
    return build_run_gan(tiny_config(), Form("image", (1, 16, 16)))[1]


def learner_after(layout: Layout, steps: int) -> MetaLearner:
    learner = MetaLearner(torch.zeros(layout.size), OuterConfig(), WarmupConfig())
    rng = np.random.default_rng(0)
    for _ in range(steps):
        learner.apply(rng.standard_normal(layout.size).astype(np.float32))
    return learner


def save(folder: Path, layout: Layout, steps: int, keep: int = 3) -> Path:
    state = learner_after(layout, steps).state()
    return save_checkpoint(folder, state, layout, info={"seed": 0}, keep=keep)


def test_a_checkpoint_restores_every_tensor_bit_for_bit(tmp_path: Path, layout: Layout) -> None:
    learner = learner_after(layout, 3)
    path = save_checkpoint(tmp_path, learner.state(), layout, info={}, keep=3)
    restored = load_checkpoint(path, layout).state
    assert restored.step == 3
    assert restored.tensors.keys() == learner.state().tensors.keys()
    for name, tensor in learner.state().tensors.items():
        assert torch.equal(restored.tensors[name], tensor), name


def test_weights_load_with_safetensors_alone(tmp_path: Path, layout: Layout) -> None:
    tensors = load_file(save(tmp_path, layout, 1) / "ema.safetensors")
    assert {name: tuple(t.shape) for name, t in tensors.items()} == dict(layout.shapes)


def test_what_a_killed_process_left_unfinished_goes(tmp_path: Path, layout: Layout) -> None:
    unfinished = tmp_path / ".step-7.0123abcd.tmp"
    others = [tmp_path / ".step-7.mine.tmp", tmp_path / ".notes"]
    for folder in (unfinished, *others):
        folder.mkdir()
        (folder / "file").write_text("")
    save(tmp_path, layout, 1)
    assert not unfinished.exists()
    assert all((folder / "file").is_file() for folder in others)


def test_old_checkpoints_go_but_the_best_stays(tmp_path: Path, layout: Layout) -> None:
    mark_best(tmp_path, save(tmp_path, layout, 1))
    for steps in (2, 3, 4):
        save(tmp_path, layout, steps, keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-4", "step-3", "step-1"]
    assert read_pointer(tmp_path, "LATEST") == "step-4"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: _flip(p / "ema.safetensors"), "damaged"),
        (lambda p: (p / "ema.safetensors").write_bytes(b""), "damaged"),
        (lambda p: _truncate(p / "init.safetensors"), "damaged"),
        (lambda p: (p / "optimizer.safetensors").unlink(), "No such file"),
        (lambda p: (p / "manifest.json").unlink(), "No such file .* not complete"),
        (lambda p: (p / "manifest.json").write_text("{"), "not valid JSON"),
        (lambda p: (p / "manifest.json").write_text("{}"), "without a schema version"),
        (lambda p: (p / "manifest.json").write_text("[]"), "without a schema version"),
        (lambda p: _edit(p / "manifest.json", schema_version=None), "without a schema version"),
        (lambda p: _edit(p / "manifest.json", files=["ema.safetensors"]), "list of files"),
        (lambda p: _edit(p / "manifest.json", files={}), "not listed"),
        (lambda p: _edit(p / "manifest.json", step=1), "step 1 in a folder step-2"),
        (lambda p: _put(p, "ema.safetensors", b"\xff" * 7 + b"\x7f" + b"{}"), "damaged"),
        (lambda p: _put(p, "ema.safetensors", _as(torch.float16, p)), "float16, expected float32"),
        (lambda p: _put(p, "init.safetensors", _as(torch.float64, p)), "float64, expected float32"),
        (lambda p: _put(p, "ema.safetensors", _with_nan(p)), "holds NaN"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    tmp_path: Path, layout: Layout, damage, message: str
) -> None:
    save(tmp_path, layout, 1)
    newest = save(tmp_path, layout, 2)
    damage(newest)
    with pytest.raises(DamagedCheckpointError, match=message) as caught:
        load_checkpoint(newest, layout)
    assert str(newest) in str(caught.value)
    checkpoint, complaints = load_newest(tmp_path, layout)
    assert checkpoint is not None
    assert checkpoint.state.step == 1
    assert complaints == {newest: str(caught.value)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda p: _edit(p / "manifest.json", schema_version=99),
            "schema version 99.*use the vers",
        ),
        (lambda p: _folder_in_place_of(p / "manifest.json"), "manifest.*cannot be read"),
        (lambda p: _folder_in_place_of(p / "ema.safetensors"), "ema.*cannot be read"),
    ],
)
def test_one_that_may_be_sound_does_not_give_way_to_an_older_one(
    tmp_path: Path, layout: Layout, change, message: str
) -> None:
    save(tmp_path, layout, 1)
    change(save(tmp_path, layout, 2))
    with pytest.raises(CheckpointError, match=message) as caught:
        load_newest(tmp_path, layout)
    assert not isinstance(caught.value, DamagedCheckpointError)


def test_a_file_without_permission_is_not_called_damaged(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    path = save(tmp_path, layout, 1)
    monkeypatch.setattr(Path, "read_bytes", denied)  # Root reads whatever the mode says.
    with pytest.raises(CheckpointError, match=r"Permission denied.*may be intact") as caught:
        load_checkpoint(path, layout)
    assert not isinstance(caught.value, DamagedCheckpointError)


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        list_checkpoints(tmp_path / "file")
    assert list_checkpoints(tmp_path / "none") == []


@pytest.mark.parametrize(
    "named",
    [
        b"step-9\n",
        b"../../../../etc\n",
        b"/etc",
        b".",
        b"",
        b"step-1/../step-1",
        b"step-01",
        b"\xff\xfe",
    ],
)
def test_a_pointer_to_nothing_of_ours_is_not_followed_and_the_newest_intact_one_is_used(
    tmp_path: Path, layout: Layout, named: bytes
) -> None:
    for steps in (1, 2, 3):
        save(tmp_path, layout, steps)
    _flip(tmp_path / "step-3" / "ema.safetensors")
    for pointer in ("BEST", "LATEST"):
        (tmp_path / pointer).write_bytes(named)
        assert read_pointer(tmp_path, pointer) is None
    best = load_best(tmp_path, layout)
    assert best is not None
    assert best.path == tmp_path / "step-2"


def test_a_damaged_best_one_is_told_with_the_way_to_the_newest_intact_one(
    tmp_path: Path, layout: Layout
) -> None:
    for steps in (1, 2, 3):
        mark_best(tmp_path, save(tmp_path, layout, steps))
    _flip(tmp_path / "step-3" / "ema.safetensors")
    before = tree(tmp_path)
    with pytest.raises(DamagedCheckpointError) as caught:
        load_best(tmp_path, layout)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'step-3' / 'ema.safetensors'}: ")
    assert "newest intact checkpoint is step-2" in message
    assert f"move {tmp_path / 'step-3'} away and repeat the command" in message
    assert tree(tmp_path) == before

    (tmp_path / "step-3").rename(tmp_path / "elsewhere")
    best = load_best(tmp_path, layout)
    assert best is not None
    assert best.path == tmp_path / "step-2"


def test_without_an_intact_one_the_error_says_so(tmp_path: Path, layout: Layout) -> None:
    assert load_best(tmp_path, layout) is None
    mark_best(tmp_path, save(tmp_path, layout, 1))
    _flip(tmp_path / "step-1" / "init.safetensors")
    with pytest.raises(
        DamagedCheckpointError, match=r"init.*no other checkpoint of this run is intact"
    ):
        load_best(tmp_path, layout)
    (tmp_path / "BEST").unlink()
    with pytest.raises(DamagedCheckpointError, match=r"init.*no checkpoint of this run is intact"):
        load_best(tmp_path, layout)


def test_deleting_that_is_broken_off_leaves_no_half_of_a_checkpoint(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    path = save(tmp_path, layout, 1)
    monkeypatch.setattr("metagan.runs.checkpoint.shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        delete_checkpoint(path)
    assert list_checkpoints(tmp_path) == []


def test_another_architecture_is_refused(tmp_path: Path, layout: Layout) -> None:
    path = save(tmp_path, layout, 1)
    wider = RunConfig.model_validate(tiny_config().model_dump() | {"gan": {"width": 8}})
    other = build_run_gan(wider, Form("image", (1, 16, 16)))[1]
    with pytest.raises(CheckpointError, match="settings under `gan` differ") as caught:
        load_checkpoint(path, other)
    assert not isinstance(caught.value, DamagedCheckpointError)


def test_a_pickle_in_disguise_never_runs(tmp_path: Path, layout: Layout) -> None:
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {canary}",)

    path = save(tmp_path, layout, 1)
    _put(path, "ema.safetensors", pickle.dumps(Evil()))
    with pytest.raises(CheckpointError):
        load_checkpoint(path, layout)
    assert not canary.exists()


def test_a_failed_write_leaves_nothing(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("metagan.runs.checkpoint.write_json", full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, layout, 1)
    assert list(tmp_path.iterdir()) == []


def test_files_follow_the_umask(tmp_path: Path, layout: Layout) -> None:
    before = os.umask(0o022)
    try:
        path = save(tmp_path, layout, 1)
    finally:
        os.umask(before)
    assert (path / "ema.safetensors").stat().st_mode & 0o777 == 0o644


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-7] ^= 1
    file.write_bytes(bytes(data))


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def _edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def _put(path: Path, name: str, data: bytes) -> None:
    """Another content, with the hash that belongs to it."""
    (path / name).write_bytes(data)
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    files = json.loads((path / "manifest.json").read_text())["files"]
    _edit(path / "manifest.json", files=files | {name: entry})


def _as(dtype: torch.dtype, path: Path) -> bytes:
    tensors = load_file(path / "ema.safetensors")
    return to_bytes({name: tensor.to(dtype) for name, tensor in tensors.items()})


def _with_nan(path: Path) -> bytes:
    tensors = load_file(path / "ema.safetensors")
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    return to_bytes(tensors)


def _folder_in_place_of(file: Path) -> None:
    file.unlink()
    file.mkdir()
