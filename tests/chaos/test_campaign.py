"""One seed of the campaign, in a process of its own: one process has one Ray."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_under_random_faults_has_the_bits_of_an_undisturbed_one(tmp_path: Path) -> None:
    out = tmp_path / "summary.json"
    command = [sys.executable, "-m", "tests.chaos.campaign", "--seeds", "1", "--json", str(out)]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=580, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    summary = json.loads(out.read_text())
    assert summary["faults"] > 0
    assert summary["broken"] == {}
