"""Runs that should be equal to the bit and are not: the message says what differs, and where."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.equal_runs import assert_equal_runs


@pytest.fixture(autouse=True)
def keeps_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def write_run(run: Path, *, steps: int = 3, weight: float = 0.5, loss: float = 1.0) -> Path:
    folder = run / "checkpoints" / f"step-{steps}"
    folder.mkdir(parents=True)
    (run / "checkpoints" / "LATEST").write_text(f"step-{steps}\n")
    save_file({"g.bias": torch.tensor([1.0, weight, -2.0])}, folder / "ema.safetensors")
    losses = [1.0] + [loss] * (steps - 1)
    lines = [{"step": i, "loss": loss, "wall_s": i} for i, loss in enumerate(losses, 1)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def test_one_last_bit_is_named_with_its_tensor_its_size_and_its_first_step(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a")
    second = write_run(tmp_path / "b", weight=0.5 + 2**-24, loss=1.0 + 2**-40)
    with pytest.raises(AssertionError) as raised:
        assert_equal_runs(first, second)
    said = str(raised.value)
    assert "step-3 ema.g.bias: 1 of 3 numbers, by up to 5.96e-08, where the largest is 2" in said
    assert "the logs differ from outer step 2 on: ['loss']" in said
    kept = Path(said.partition("kept in ")[2].partition(":")[0])
    for name, run in (("first", first), ("second", second)):
        copy = kept / name / "checkpoints/step-3/ema.safetensors"
        assert copy.read_bytes() == (run / "checkpoints/step-3/ema.safetensors").read_bytes()


def test_runs_of_different_length_are_not_taken_for_a_matter_of_bits(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"newest checkpoints are step-3 and step-1"):
        assert_equal_runs(write_run(tmp_path / "a"), write_run(tmp_path / "b", steps=1))


def test_equal_runs_pass_whatever_their_times(tmp_path: Path) -> None:
    first, second = write_run(tmp_path / "a"), write_run(tmp_path / "b")
    log = second / "metrics.jsonl"
    log.write_text(log.read_text().replace('"wall_s": ', '"wall_s": 7'))
    assert_equal_runs(first, second)
