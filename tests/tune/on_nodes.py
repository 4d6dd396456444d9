"""Searches on a simulated cluster whose nodes are lost; the last line printed is JSON.

    python -m tests.tune.on_nodes FOLDER

Four nodes with two GPUs each, which are not there: Ray counts them, and workers compute on the CPU.
A trial has two workers with a GPU each, so that it fills a node. A process of its own: one process
has one Ray.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from metagan.config.load import load_config
from metagan.data.arrow import prepare
from tests.chaos.campaign import isolate
from tests.helpers import TINY_SETTINGS, bars
from tests.tune.faults import Disturbing, left_behind, parent_of, process_of, steps_done
from tests.tune.test_search import weights
from tune.config import SearchJobConfig
from tune.search import search

NUM_NODES = 4
STEPS = 40
SETTINGS = (
    *TINY_SETTINGS,
    "data.split_by=class",
    "data.test_fraction=0.25",
    "data.validation_fraction=0.25",
    "inner.steps=3",
    "outer.meta_batch_size=4",
    "outer.episodes_per_chunk=2",
    "evaluate.shots=[3]",
    "evaluate.max_classes=4",
    "evaluate.test_per_class=4",
    "evaluate.source_steps=20",
    "evaluate.quality_samples=50",
    "cluster.gpus_per_worker=1",
    "cluster.placement_timeout_s=300",
    "tune.objective=kid",
    "tune.report_every=5",
    "tune.repetitions=1",
    "tune.confirm_seeds=0",
    "tune.scheduler=none",
    "tune.workers_per_trial=2",
    "tune.num_trials=1",
)
THREE = "tune.space={inner.lr: {grid: [0.01, 0.003, 0.001]}}"
SIX = "tune.space={inner.lr: {grid: [0.01, 0.007, 0.005, 0.003, 0.002, 0.001]}}"
# A node that is killed counts as dead within seconds; one that is only slow does not.
HEALTH = {
    "health_check_initial_delay_ms": 5000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 5000,
    "health_check_failure_threshold": 5,
}


class Nodes:
    """A head without cores, which is never lost, and nodes for one trial each."""

    def __init__(self) -> None:
        head = {"num_cpus": 0, "_system_config": HEALTH}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self._nodes = [
            self._cluster.add_node(num_cpus=3, num_gpus=2, object_store_memory=100_000_000)
            for _ in range(NUM_NODES)
        ]
        ray.init(address=self._cluster.address, logging_level="ERROR")

    def lose_that_of(self, pid: int) -> bool:
        """Remove the node that has a process, with all that runs there; False if there is none."""
        try:
            parent = parent_of(pid)
        except FileNotFoundError:
            return False
        for node in self._nodes:
            if parent == node.all_processes["raylet"][0].process.pid:
                self._nodes.remove(node)
                self._cluster.remove_node(node, allow_graceful=False)
                return True
        return False

    def close(self) -> None:
        """End all nodes."""
        ray.shutdown()
        self._cluster.shutdown()


class NodeLoss:
    """Once a trial has done 12 outer steps, its node is lost; notes which trials were there."""

    def __init__(self, nodes: Nodes, trials: Path) -> None:
        self._nodes, self._trials = nodes, trials
        self.trial = ""
        self.fewest_free = float("inf")

    def __call__(self) -> bool:
        """Take the node of a trial under way; True once that is done."""
        self.fewest_free = min(self.fewest_free, ray.available_resources().get("GPU", 0.0))
        for run in sorted(self._trials.glob("*_*")):
            started = 12 <= steps_done(run) < STEPS - 10
            if started and self._nodes.lose_that_of(process_of(run)):
                self.trial = run.name
                return True
        return False


def tried(
    folder: Path, name: str, act: Any, space: str, *, settings: Sequence[str] = ()
) -> tuple[Sequence[Mapping[str, Any]], bool]:
    """The trials of a search in order of start, and whether `act` was done."""
    given = [*SETTINGS, f"data.path={folder / 'bars'}", space, f"outer.steps={STEPS}", *settings]
    config = load_config(SearchJobConfig, None, given).config
    reporter = Disturbing(act)
    found = search(config, folder / name, resume=False, reporter=reporter)
    return sorted(found["trials"], key=lambda trial: trial["order"]), reporter.done


def same_bits(folder: Path, first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """True if a trial of the search "calm" and one of "loss" learned the same."""
    runs = [
        folder / name / "trials" / trial["id"]
        for name, trial in (("calm", first), ("loss", second))
    ]
    return weights(runs[0]) == weights(runs[1]) and first["metrics"] == second["metrics"]


def main(arguments: Sequence[str]) -> int:
    """Three searches: undisturbed, with the loss of a node, and with more trials than room."""
    folder = Path(arguments[0])
    isolate(folder)
    prepare(bars(), folder / "bars")
    nodes = Nodes()
    seen: dict[str, Any] = {}

    calm, _ = tried(folder, "calm", lambda: False, THREE)
    loss = NodeLoss(nodes, folder / "loss" / "trials")
    trials, done = tried(folder, "loss", loss, THREE)
    seen["loss"] = {
        "happened": done,
        "fewest_free_gpus": loss.fewest_free,
        "trial": loss.trial,
        "status": [trial["status"] for trial in trials],
        "retries": {trial["id"]: trial["retries"] for trial in trials},
        "same_bits": [same_bits(folder, *pair) for pair in zip(calm, trials, strict=True)],
        "left": left_behind(),
    }
    print(json.dumps(seen), flush=True)

    # Three nodes are left for six trials, and while they run only two.
    loss = NodeLoss(nodes, folder / "many" / "trials")
    trials, done = tried(folder, "many", loss, SIX)
    seen["many"] = {
        "happened": done,
        "status": [trial["status"] for trial in trials],
        "steps": [trial["step"] for trial in trials],
        "retries": {trial["id"]: trial["retries"] for trial in trials},
        "trial": loss.trial,
        "left": left_behind(),
    }
    nodes.close()
    print(json.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
