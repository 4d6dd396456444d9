"""A search one of whose trials takes all memory; the last line printed is JSON.

    python -m tests.tune.on_full_memory FOLDER

Ray's memory monitor is told that a node is full long before this machine is. A process of its own:
one process has one Ray.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from metagan.data.arrow import prepare
from tests.chaos.campaign import isolate
from tests.conftest import REPOSITORY
from tests.helpers import bars, take_memory, used_memory
from tests.tune.faults import left_behind, process_of, steps_done
from tests.tune.on_nodes import STEPS, same_bits, tried

TWO = "tune.space={inner.lr: {grid: [0.01, 0.003]}}"
ALONE = ("tune.workers_per_trial=0", "cluster.gpus_per_worker=0")
# Of all memory, besides what is in use before.
ROOM = 0.2
_GREEDY = "METAGAN_TEST_GREEDY"


def watch() -> None:
    """Take memory without end once the file has this process's id; runs in all of Ray's."""
    threading.Thread(target=_take_memory, daemon=True).start()


def _take_memory() -> None:
    told = Path(os.environ[_GREEDY])
    while not told.is_file() or told.read_text() != str(os.getpid()):
        time.sleep(0.05)
    told.unlink()
    take_memory()


class Greedy:
    """Once a trial has done 12 outer steps, it takes all memory; notes which."""

    def __init__(self, trials: Path) -> None:
        self._trials = trials
        self.trial = ""

    def __call__(self) -> bool:
        """Tell the greedy process of a trial under way; True once that is done."""
        for run in sorted(self._trials.glob("*_*")):
            if 12 <= steps_done(run) < STEPS - 10:
                told = Path(os.environ[_GREEDY])
                told.with_suffix(".new").write_text(str(process_of(run)))
                told.with_suffix(".new").rename(told)
                self.trial = run.name
                return True
        return False


def main(arguments: Sequence[str]) -> int:
    """Two searches: undisturbed, and with a trial that takes all memory."""
    folder = Path(arguments[0])
    isolate(folder)
    prepare(bars(), folder / "bars")
    # Workers have to find this module and the file.
    os.environ |= {_GREEDY: str(folder / "greedy"), "PYTHONPATH": str(REPOSITORY)}
    full = used_memory() + ROOM
    system = {"memory_usage_threshold": full, "memory_monitor_refresh_ms": 100}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 2,
            "object_store_memory": 100_000_000,
            "_system_config": system,
        },
    )
    hook = {"worker_process_setup_hook": "tests.tune.on_full_memory.watch"}
    ray.init(address=cluster.address, logging_level="ERROR", runtime_env=hook)
    calm, _ = tried(folder, "calm", lambda: False, TWO, settings=ALONE)
    greedy = Greedy(folder / "loss" / "trials")
    trials, done = tried(folder, "loss", greedy, TWO, settings=ALONE)
    seen = {
        "happened": done,
        "trial": greedy.trial,
        "status": [trial["status"] for trial in trials],
        "retries": {trial["id"]: trial["retries"] for trial in trials},
        "same_bits": [same_bits(folder, *pair) for pair in zip(calm, trials, strict=True)],
        "left": left_behind(),
    }
    ray.shutdown()
    cluster.shutdown()
    print(json.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
