"""Whole commands on a GPU: trained, resumed and evaluated, in one process and by Ray's workers."""

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from metagan.data.arrow import prepare
from metagan.runs.checkpoint import read_pointer
from tests.helpers import TINY_SETTINGS, bars, descendants, environment_without_ray

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


SHARED = ("cluster.num_workers=2", "cluster.gpus_per_worker=0.5")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Socket paths of Ray are limited to about 107 bytes, too few for pytest's own folders.
    path = Path(tempfile.mkdtemp(prefix="mg-"))
    prepare(bars(), path / "bars")
    yield path
    shutil.rmtree(path, ignore_errors=True)


def environment(folder: Path) -> dict[str, str]:
    return environment_without_ray() | {"HOME": str(folder), "RAY_TMPDIR": str(folder)}


def metagan(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "metagan", *arguments],
        env=environment(folder),
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


@pytest.fixture(scope="module")
def in_one_process(folder: Path) -> str:
    """The hash of the weights that `train` gives in one process."""
    return train(folder, "one", "--local")


@needs_ray
def test_workers_that_share_a_gpu_give_the_bits_of_one_process(folder, in_one_process):
    assert train(folder, "two", *SHARED) == in_one_process
    found = evaluation(folder, "two", *SHARED)
    again = evaluation(folder, "two", *SHARED, "evaluate.best_of=1")
    assert found["downstream"]["3"]["none"] == again["downstream"]["3"]["none"]
    assert found["num_test_classes"] >= 2


def workers_of(pid: int) -> list[int]:
    """Ray's workers below a process."""
    found = []
    for child in descendants(pid):
        with contextlib.suppress(OSError):  # It ended meanwhile.
            if b"ray::EpisodeWorker" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


@needs_ray
def test_a_killed_worker_gives_its_memory_back_and_no_bit_changes(folder, in_one_process):
    free_before = torch.cuda.mem_get_info()[0]
    run = folder / "killed"
    settings = (*SETTINGS, f"data.path={folder / 'bars'}", "outer.steps=12", *SHARED)
    command = [sys.executable, "-m", "metagan", "train", "--run", str(run), *settings]
    with subprocess.Popen(command, env=environment(folder), stdout=subprocess.DEVNULL) as driver:
        try:
            lines, deadline = run / "metrics.jsonl", time.monotonic() + 120
            while not (lines.exists() and lines.read_text().count("\n") >= 2):
                assert driver.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            victims = workers_of(driver.pid)
            assert victims
            os.kill(victims[0], signal.SIGKILL)
            assert driver.wait(timeout=200) == 0
        finally:
            driver.kill()
    failures = (run / "failures.jsonl").read_text()
    assert "worker" in failures
    assert weights_hash(run) == in_one_process
    deadline = time.monotonic() + 20
    while torch.cuda.mem_get_info()[0] < free_before - (64 << 20):
        assert time.monotonic() < deadline, "memory of the GPU is still in use"
        time.sleep(0.2)


@needs_ray
def test_trials_share_a_gpu(folder):
    out = folder / "search"
    shared = ("tune.num_trials=3", "cluster.gpus_per_worker=0.5", "tune.repetitions=1")
    space = ("tune.space={inner.lr: {loguniform: [1e-3, 1e-2]}}", "tune.objective=kid")
    settings = (*SETTINGS, *EVALUATION, f"data.path={folder / 'bars'}", "outer.steps=8")
    more = ("tune.report_every=4", "tune.grace_steps=4", "tune.confirm_seeds=1")
    metagan(folder, "tune", "--out", str(out), *settings, *shared, *space, *more)
    found = json.loads((out / "search.json").read_text())
    assert len(found["trials"]) == 3
    assert not any(trial["error"] for trial in found["trials"])


@needs_ray
def test_doctor_finds_the_gpu(folder):
    said = metagan(folder, "doctor", "device=cuda", *SHARED)
    assert torch.cuda.get_device_name() in said
