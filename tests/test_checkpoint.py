"""Checkpoints appear whole, are verified, and never run code."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from metagan.checkpoint import (
    CheckpointError,
    list_checkpoints,
    load_checkpoint,
    load_newest,
    mark_best,
    read_pointer,
    save_checkpoint,
)
from metagan.outer_loop import MetaLearner
from metagan.params import Layout
from metagan.settings import OuterConfig, RunConfig, WarmupConfig
from metagan.train import build_run_gan
from tests.helpers import tiny_config


@pytest.fixture
def layout() -> Layout:
    return build_run_gan(tiny_config(), (1, 16, 16))[1]


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
        (lambda p: (p / "manifest.json").unlink(), "not a complete checkpoint"),
        (lambda p: (p / "manifest.json").write_text("{"), "not valid JSON"),
        (lambda p: _edit(p / "manifest.json", schema_version=99), "schema version 99"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    tmp_path: Path, layout: Layout, damage, message: str
) -> None:
    save(tmp_path, layout, 1)
    newest = save(tmp_path, layout, 2)
    damage(newest)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(newest, layout)
    checkpoint, complaints = load_newest(tmp_path, layout)
    assert checkpoint is not None
    assert checkpoint.state.step == 1
    assert list(complaints) == [newest]
    assert "step-2" in complaints[newest]


def test_another_architecture_is_refused(tmp_path: Path, layout: Layout) -> None:
    path = save(tmp_path, layout, 1)
    wider = RunConfig.model_validate(tiny_config().model_dump() | {"gan": {"width": 8}})
    other = build_run_gan(wider, (1, 16, 16))[1]
    with pytest.raises(CheckpointError, match=r"missing|expected"):
        load_checkpoint(path, other)


def test_not_a_number_is_refused(tmp_path: Path, layout: Layout) -> None:
    state = learner_after(layout, 1).state()
    state.tensors["ema"][5] = float("nan")
    path = save_checkpoint(tmp_path, state, layout, info={}, keep=3)
    with pytest.raises(CheckpointError, match="NaN"):
        load_checkpoint(path, layout)


def test_a_pickle_in_disguise_never_runs(tmp_path: Path, layout: Layout) -> None:
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {canary}",)

    path = save(tmp_path, layout, 1)
    payload = pickle.dumps(Evil())
    (path / "ema.safetensors").write_bytes(payload)
    import hashlib

    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"]["ema.safetensors"] = {
        "bytes": len(payload),
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError):
        load_checkpoint(path, layout)
    assert not canary.exists()


def test_a_failed_write_leaves_nothing(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("metagan.checkpoint.write_json", full)
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
