"""A search whose driver is killed goes on: finished trials are kept, others continue."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from metagan.sources.arrow import prepare
from tests.conftest import REPOSITORY
from tests.helpers import TINY_SETTINGS, bars

SETTINGS = (
    *TINY_SETTINGS,
    "outer.steps=40",
    "outer.meta_batch_size=4",
    "evaluate.shots=[3]",
    "evaluate.max_classes=4",
    "evaluate.test_per_class=4",
    "evaluate.source_steps=20",
    "evaluate.quality_samples=50",
    "tune.objective=kid",
    "tune.num_trials=4",
    "tune.report_every=5",
    "tune.repetitions=1",
    "tune.confirm_seeds=0",
    "tune.scheduler=none",
    "tune.max_concurrent=2",
)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_whose_driver_was_killed_is_resumed(tmp_path: Path) -> None:
    prepare(bars(), tmp_path / "bars")
    out = tmp_path / "out"
    with tempfile.TemporaryDirectory(prefix="mg-") as folder:  # Socket paths have to be short.
        command = [sys.executable, "-m", "metagan", "tune", "--out", str(out), *SETTINGS]
        command.append(f"data.path={tmp_path / 'bars'}")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        environment = {**kept, "HOME": folder, "RAY_TMPDIR": folder, "OMP_NUM_THREADS": "1"}
        first = subprocess.Popen(command, cwd=REPOSITORY, env=environment)
        deadline = time.monotonic() + 300
        while len(done := finished(out)) < 1:
            assert time.monotonic() < deadline, "no trial was finished"
            assert first.poll() is None, "the search ended early"
            time.sleep(0.1)
        first.send_signal(signal.SIGKILL)
        first.wait()
        kept_bytes = {path: path.read_bytes() for path in done}
        again = subprocess.run(
            [*command, "--resume"],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
    assert again.returncode == 0, again.stdout + again.stderr
    result = json.loads((out / "search.json").read_text())
    assert [trial["status"] for trial in result["trials"]] == ["done"] * 4
    assert all(trial["step"] == 40 for trial in result["trials"])
    assert {path: path.read_bytes() for path in done} == kept_bytes


def finished(out: Path) -> list[Path]:
    """Logs of trials that made all their outer steps."""
    logs = out.glob("trials/*/metrics.jsonl")
    return [log for log in logs if log.read_bytes().count(b"\n") == 40]
