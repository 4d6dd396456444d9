"""Nothing of held-out classes reaches the weights, whatever the kind of sample."""

from pathlib import Path

import numpy as np
import pytest

from metagan.data.arrow import prepare
from metagan.data.dataset import Dataset
from metagan.data.splits import make_splits
from metagan.kinds.registry import KINDS
from metagan.runs.checkpoint import read_tensors
from tests.helpers import small_data, tiny_config
from tests.workflow.conftest import run_training


def _weights(run: Path) -> dict[str, bytes]:
    checkpoint = run / "checkpoints" / "step-3"
    files = sorted(path.name for path in checkpoint.glob("*.safetensors"))
    assert files
    return {
        f"{file} {name}": tensor.numpy().tobytes()
        for file in files
        for name, tensor in read_tensors(checkpoint, file).items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_samples_of_held_out_classes_change_no_bit_of_the_weights(
    kind: str, tmp_path: Path
) -> None:
    runs = []
    for number in range(2):
        dataset = small_data(kind)
        config = tiny_config(kind, data={"path": str(tmp_path / f"data{number}")})
        if number:
            splits = make_splits(dataset, config.data, seed=config.seed)
            samples = dataset.samples.copy()
            for index in (*splits.validation, *splits.test):
                held = dataset.class_samples(index)
                start = int(dataset.offsets[index])
                samples[start : start + len(held)] = held[::-1, ..., ::-1] // 2
            dataset = Dataset(samples, dataset.offsets, dataset.classes, dataset.kind)
        prepare(dataset, Path(config.data.path or ""))
        run_training(config, tmp_path / f"run{number}")
        runs.append(_weights(tmp_path / f"run{number}"))
    assert runs[0] == runs[1]
    assert np.any([len(values) for values in runs[0].values()])
