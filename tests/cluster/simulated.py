"""Scenarios on a simulated cluster, each in a process of its own: one process has one Ray."""

import json
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from metagan.core.outer_loop import WorkerSpec
from metagan.core.params import Vector
from metagan.workflow.setup import TrainSetup
from tests.conftest import REPOSITORY
from tests.helpers import environment_without_ray

_MARK = "RESULT "
# A node that is gone refuses its checks at once, and counts as dead after about three of them, a
# second apart. One that is only busy has ten seconds to answer each.
HEALTH = {
    "health_check_initial_delay_ms": 2000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 10_000,
    "health_check_failure_threshold": 3,
}


class Inputs(NamedTuple):
    """Inputs of a scenario, from a run.

    Attributes:
        spec: For workers.
        vector: The initialization.
        tasks: Of training.
        weights: Theirs.
    """

    spec: WorkerSpec
    vector: Vector
    tasks: list[str]
    weights: list[int]


def run_scenario(
    name: str, run: TrainSetup, folder: Path, *, timeout_s: float = 580, **environment: str
) -> Any:
    """Run `python -m tests.cluster.NAME` in a Ray environment of its own; return its result.

    Args:
        name: Module of the scenario.
        run: Reaches it as `inputs`.
        folder: Where that is written.
        timeout_s: For all of it.
        environment: More variables.
    """
    file = folder / "inputs.pickle"
    vector = run.layout.flatten(run.initial).numpy().copy()
    tasks, weights = run.source.tasks("train"), run.source.task_weights("train")
    file.write_bytes(pickle.dumps(Inputs(run.spec, vector, list(tasks), list(weights))))
    with tempfile.TemporaryDirectory(prefix="mg-") as short:  # Socket paths have to be short.
        done = subprocess.run(
            [sys.executable, "-m", f"tests.cluster.{name}", str(file)],
            cwd=REPOSITORY,
            env={**own_environment(Path(short)), **environment},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines, done.stdout + done.stderr
    return json.loads(lines[0].removeprefix(_MARK))


def own_environment(folder: Path) -> Mapping[str, str]:
    """Variables of a process whose Ray has nothing to do with any other."""
    return environment_without_ray() | {
        "HOME": str(folder),
        "RAY_TMPDIR": str(folder),
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
        # A few cores for a whole cluster: a node may take its time to start.
        "RAY_raylet_start_wait_time_s": "120",
    }


def inputs() -> Inputs:
    """The run that `run_scenario` was given; inside a scenario."""
    found: Inputs = pickle.loads(Path(sys.argv[1]).read_bytes())
    return found


def tell(result: Any) -> None:
    """Print the result for `run_scenario` to return; called inside a scenario."""
    print(_MARK + json.dumps(result), flush=True)
