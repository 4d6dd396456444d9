"""Whole commands on a GPU: trained, resumed and evaluated, in one process and by Ray's workers."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metagan.checkpoint import read_pointer
from metagan.sources.arrow import prepare
from tests.helpers import TINY_SETTINGS, bars

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("cuda")]
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="no Ray here")

SETTINGS = (
    *TINY_SETTINGS,
    "inner.steps=2",
    "warmup.steps=4",
    "outer.meta_batch_size=8",
    "outer.episodes_per_chunk=2",
    "checkpoint.every_steps=3",
    "device=cuda",
)
EVALUATION = (
    "evaluate.seeds=2",
    "evaluate.validation_seeds=2",
    "evaluate.max_classes=4",
    "evaluate.test_per_class=4",
    "evaluate.mix=[0.5]",
    "evaluate.adapt_steps=[0,2]",
    "evaluate.generated_per_real=[4]",
    "evaluate.classifier_steps=20",
    "evaluate.finetune_steps=10",
    "evaluate.source_steps=20",
    "evaluate.quality_samples=50",
    "evaluate.comparison_seeds=1",
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Socket paths of Ray are limited to about 107 bytes, too few for pytest's own folders.
    path = Path(tempfile.mkdtemp(prefix="mg-"))
    prepare(bars(), path / "bars")
    yield path
    shutil.rmtree(path, ignore_errors=True)


def metagan(folder: Path, *arguments: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "metagan", *arguments],
        env=environment | {"HOME": str(folder), "RAY_TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def train(folder: Path, name: str, *arguments: str, steps: int = 12) -> str:
    """The hash of the run's last checkpoint's weights."""
    run = folder / name
    settings = (*SETTINGS, f"data.path={folder / 'bars'}", f"outer.steps={steps}")
    metagan(folder, "train", "--run", str(run), *settings, *arguments)
    return weights_hash(run)


def weights_hash(run: Path) -> str:
    newest = run / "checkpoints" / str(read_pointer(run / "checkpoints", "LATEST"))
    digest = hashlib.sha256()
    for path in sorted(newest.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def evaluation(folder: Path, run: str, *arguments: str) -> dict[str, Any]:
    out = folder / f"{run}.json"
    chosen = ("--run", str(folder / run), "--shots", "3", "--out", str(out))
    metagan(folder, "evaluate", *chosen, *EVALUATION, *arguments)
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def test_a_run_repeats_itself_and_goes_on_where_it_stopped(folder):
    first = train(folder, "a", "--local")
    assert train(folder, "b", "--local") == first
    train(folder, "c", "--local", steps=7)
    run = folder / "c"
    metagan(folder, "train", "--run", str(run), "--local", "--resume", "outer.steps=12")
    assert weights_hash(run) == first


@needs_ray
def test_workers_that_share_a_gpu_give_the_bits_of_one_process(folder):
    one = train(folder, "one", "--local")
    share = ("cluster.num_workers=2", "cluster.gpus_per_worker=0.5")
    assert train(folder, "two", *share) == one
    found = evaluation(folder, "two", *share)
    again = evaluation(folder, "two", *share, "evaluate.best_of=1")
    assert found["downstream"]["3"]["none"] == again["downstream"]["3"]["none"]
    assert found["num_test_classes"] >= 2
