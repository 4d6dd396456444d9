"""Several real drivers at once on one run folder: one trains, the others are refused."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metagan.config.load import to_yaml
from tests.cluster.ray_for_tests import bars_config, bars_run
from tests.conftest import REPOSITORY

DRIVERS = 3


@pytest.mark.slow
def test_of_drivers_that_start_together_on_one_run_folder_one_trains(tmp_path: Path) -> None:
    bars_run(tmp_path / "bars")
    (tmp_path / "run.yaml").write_text(to_yaml(bars_config(tmp_path / "bars")))
    run = tmp_path / "run"
    reached = 0
    # A run that none of them finds, then one that all of them find.
    for _ in range(2):
        drivers = [_start(tmp_path / "run.yaml", run) for _ in range(DRIVERS)]
        said: dict[int, str] = {}
        try:
            deadline = time.monotonic() + 240
            while sum(driver.poll() is None for driver in drivers) > 1:
                assert time.monotonic() < deadline, "more than one goes on"
                time.sleep(0.05)
            (winner,) = [driver for driver in drivers if driver.poll() is None]
            while len(_steps(run)) <= reached:
                assert time.monotonic() < deadline, "waited in vain"
                assert winner.poll() is None, "it ended, too"
                time.sleep(0.05)
            winner.send_signal(signal.SIGTERM)
            assert winner.wait(200) == 130
        finally:
            for driver in drivers:
                driver.kill()
                said[driver.pid] = driver.communicate()[1]
        for loser in drivers:
            if loser is not winner:
                assert loser.returncode == 2
                assert f"is in use by process {winner.pid} on " in said[loser.pid]
        steps = _steps(run)
        assert steps == list(range(1, len(steps) + 1))
        assert len(steps) > reached
        reached = len(steps)
        assert (run / "checkpoints" / f"step-{reached}" / "manifest.json").is_file()


def _start(config: Path, run: Path) -> "subprocess.Popen[str]":
    command = f"-m metagan train -c {config} --run {run} --local --resume auto".split()
    return subprocess.Popen(
        [sys.executable, *command, "outer.steps=100000", "checkpoint.every_steps=100000"],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _steps(run: Path) -> list[int]:
    file = run / "metrics.jsonl"
    lines = file.read_text().splitlines(keepends=True) if file.is_file() else []
    return [json.loads(line)["step"] for line in lines if line.endswith("\n")]
