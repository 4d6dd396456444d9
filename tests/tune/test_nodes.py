"""Searches on simulated nodes: with labels, some of which are lost, or whose memory is full."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.simulated import own_environment
from tests.conftest import REPOSITORY
from tests.tune.on_nodes import STEPS


def on_nodes(scenario: str, timeout_s: float) -> Any:
    """Run `python -m tests.tune.SCENARIO`; return what it has seen."""
    with tempfile.TemporaryDirectory(prefix="mg-") as folder:  # Socket paths have to be short.
        done = subprocess.run(
            [sys.executable, "-m", f"tests.tune.{scenario}", folder],
            cwd=REPOSITORY,
            # Ray reads some of it when it is imported, and tests before may have set it.
            env=own_environment(Path(folder)),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    # Errors of Ray's core end with hundreds of addresses in its libraries.
    told = [line for line in done.stderr.splitlines() if ".so" not in line]
    assert done.returncode == 0, "\n".join([done.stdout[-2000:], *told[-60:]])
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(300)
def test_trials_run_on_nodes_with_the_labels_that_were_asked_for() -> None:
    seen = on_nodes("on_labelled_nodes", 280)
    assert seen["apart"] == {
        "status": ["done"],
        "trials": ["driver"],
        "workers": ["spot"],
        "left": [],
    }
    assert seen["fallback"] == {"status": ["done"], "trials": ["on_demand"], "left": []}
    assert (
        "0 GPU on nodes labelled metagan.io/role=nothing; change cluster.worker_labels"
        in (seen["nowhere"]["error"])
    )
    assert (
        "no node for a trial's driver is labelled metagan.io/role=nothing"
        in (seen["no driver"]["error"])
    )


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_trials_with_workers_end_whatever_nodes_are_lost_and_with_the_bits_of_a_calm_search():
    seen = on_nodes("on_nodes", 1400)

    loss = seen["loss"]
    assert loss["happened"]
    # Three trials with two GPUs each ran at once on eight.
    assert loss["fewest_free_gpus"] == 2
    assert loss["status"] == ["done"] * 3
    assert loss["same_bits"] == [True] * 3
    # Only the trial that was on the node was started again.
    (retry,) = loss["retries"].pop(loss["trial"])
    # What is seen first: that the actor cannot be reached, or that its node is dead.
    assert retry["reason"].startswith("Actor")
    assert 10 <= retry["step"] < STEPS
    assert list(loss["retries"].values()) == [[], []]
    assert loss["left"] == []

    many = seen["many"]
    assert many["happened"]
    assert many["status"] == ["done"] * 6
    assert many["steps"] == [STEPS] * 6
    assert many["retries"].pop(many["trial"])
    assert not any(many["retries"].values())
    assert many["left"] == []


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_trial_that_takes_all_memory_is_started_again_and_no_bit_changes() -> None:
    seen = on_nodes("on_full_memory", 280)
    assert seen["happened"]
    assert seen["status"] == ["done"] * 2
    assert seen["same_bits"] == [True] * 2
    # Which of the node's processes ends is Ray's to choose.
    reasons = [retry["reason"] for retries in seen["retries"].values() for retry in retries]
    assert any("memory" in reason for reason in reasons), reasons
    assert seen["left"] == []
