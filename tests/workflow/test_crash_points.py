"""A run that is killed at any moment continues to the same bits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_dies_before_any_change_on_disk_goes_on_to_the_same_bits(
    bars_path: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.workflow.crash_points", str(bars_path), str(tmp_path)]
    # Forks of a process of its own: this one may have threads, which do not survive a fork.
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["differing"] == []
    assert found["points"] > 40
