"""A search whose driver is killed goes on: finished trials are kept, others continue.

A population goes on by its lineages, to the bit.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from metagan.config.load import load_config
from metagan.data.arrow import prepare
from metagan.runs.run_folder import RunFolder
from tests.conftest import REPOSITORY
from tests.helpers import TINY_SETTINGS, bars, environment_without_ray
from tests.tune.test_population import weights_of_schedule
from tests.tune.test_search import weights
from tune.config import SearchJobConfig
from tune.lineage import Segment

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
    "tune.max_concurrent=2",
)


@dataclass(frozen=True)
class Broken:
    """A search whose driver was killed, and that was resumed.

    Attributes:
        out: Its folder.
        result: `search.json`.
        settings: What it was given.
        kept: Files that `look` found at the kill, with their bytes.
    """

    out: Path
    result: dict[str, Any]
    settings: tuple[str, ...]
    kept: dict[Path, bytes]


def broken_search(tmp_path: Path, look: Callable[[Path], list[Path]], *settings: str) -> Broken:
    """Kill a search's driver as soon as `look` finds something in its folder, and resume it."""
    prepare(bars(), tmp_path / "bars")
    out = tmp_path / "out"
    settings = (*SETTINGS, *settings, f"data.path={tmp_path / 'bars'}")
    with tempfile.TemporaryDirectory(prefix="mg-") as folder:  # Socket paths have to be short.
        command = [sys.executable, "-m", "metagan", "tune", "--out", str(out), *settings]
        own = {"HOME": folder, "RAY_TMPDIR": folder, "OMP_NUM_THREADS": "1"}
        environment = environment_without_ray() | own
        first = subprocess.Popen(command, cwd=REPOSITORY, env=environment)
        deadline = time.monotonic() + 300
        while not (found := look(out)):
            assert time.monotonic() < deadline, "nothing to kill the search for"
            assert first.poll() is None, "the search ended early"
            time.sleep(0.1)
        first.send_signal(signal.SIGKILL)
        first.wait()
        kept_bytes = {path: path.read_bytes() for path in found}
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
    return Broken(out, json.loads((out / "search.json").read_text()), settings, kept_bytes)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_whose_driver_was_killed_is_resumed(tmp_path: Path) -> None:
    broken = broken_search(tmp_path, finished, "tune.scheduler=none")
    assert [trial["status"] for trial in broken.result["trials"]] == ["done"] * 4
    assert all(trial["step"] == 40 for trial in broken.result["trials"])
    assert {path: path.read_bytes() for path in broken.kept} == broken.kept


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_population_whose_driver_was_killed_goes_on_by_its_lineages(tmp_path: Path) -> None:
    broken = broken_search(
        tmp_path,
        exchanged,
        "tune.scheduler=pbt",
        "tune.exchange_every=5",
        "tune.exchange_fraction=0.5",
        "tune.space={inner.lr: {loguniform: [1e-3, 1e-1]}}",
    )
    assert broken.kept
    assert [trial["status"] for trial in broken.result["trials"]] == ["done"] * 4
    config = load_config(SearchJobConfig, None, list(broken.settings)).config
    for trial in broken.result["trials"]:
        run = broken.out / "trials" / trial["id"]
        rows = RunFolder(run).read_lines("metrics.jsonl")
        assert [row["step"] for row in rows] == list(range(1, 41))
        # What the log says and the lineage tells is what made the weights.
        schedule = [Segment(**segment) for segment in trial["lineage"]]
        assert weights_of_schedule(schedule, config, tmp_path / trial["id"]) == weights(run)


def exchanged(out: Path) -> list[Path]:
    """Lineages of trials that went on from another one's weights."""
    files = out.glob("trials/*/lineage.json")
    return [file for file in files if len(json.loads(file.read_text())) > 1]


def finished(out: Path) -> list[Path]:
    """Logs of trials that made all their outer steps."""
    logs = out.glob("trials/*/metrics.jsonl")
    return [log for log in logs if log.read_bytes().count(b"\n") == 40]
